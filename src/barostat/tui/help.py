"""What the keys do and what the signs mean."""

from __future__ import annotations

from typing import Final

from rich.text import Text

from barostat.tui.trail import STEP_S

__all__ = ["help_text"]

_KEYS: Final = (
    ("↑ ↓ PgUp PgDn", "choose a VM"),
    ("Enter", "all about it"),
    ("p", "pause or resume it: a paused VM keeps its size"),
    ("e", "turn Dynamic Memory on or off for it"),
    ("s", "change its settings"),
    ("P", "pause or resume the whole host"),
    ("< >", "sort by the column to the left or right"),
    ("r", "sort the other way round"),
    ("a", "every alarm and fault"),
    ("?", "this"),
    ("q", "end"),
)

_SIGNS: Final = (
    ("OK", "it has what it needs and at least 80 % of its buffer"),
    ("Low", "it has what it needs, but less of its buffer"),
    ("Warning", "it needs more than it has, so its own kernel pages"),
    ("-", "silent, or Dynamic Memory is not at work in it"),
    ("Pressure", "demand over assigned: 100 % is exactly enough"),
    ("Target", "█ has  ░ is to get  ▒ is to give  · up to its maximum"),
    ("Trend", f"pressure, the worst of {STEP_S} s a sign; its edge is 125 %"),
    ("pool", "kept in hand, so that urgent grows need not wait"),
)


def help_text() -> Text:
    """Write it all down."""
    drawn = Text()
    for names in (_KEYS, _SIGNS):
        for name, about in names:
            drawn.append(f"{name:>14}  ", "bold").append(f"{about}\n")
        drawn.append("\n")
    drawn.append("Nothing is changed without a question first.")
    return drawn
