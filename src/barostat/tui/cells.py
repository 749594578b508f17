"""What stands in a cell, drawn: statuses, sizes, bars and sparklines. Pure.

Nothing is told by colour alone: a status is a word, and the parts of a bar differ in their signs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.style import Style
from rich.text import Text

from barostat.core.pressure import Status
from barostat.units import format_size

__all__ = [
    "BLUE",
    "CYAN",
    "GREEN",
    "MAGENTA",
    "RED",
    "STATUS_STYLES",
    "YELLOW",
    "bar",
    "number",
    "percent",
    "size",
    "sparkline",
    "status",
    "words",
]

# Colours of our own: those that a terminal calls blue or red may not be told from its background.
BLUE: Final = "#5c9cf5"
CYAN: Final = "#4fb3bf"
GREEN: Final = "#6cc070"
MAGENTA: Final = "#b48ead"
RED: Final = "#f2646b"
YELLOW: Final = "#e0b050"

STATUS_STYLES: Final = {
    Status.OK: GREEN,
    Status.LOW: YELLOW,
    Status.WARNING: f"bold {RED}",
    Status.PAGING: f"bold {MAGENTA}",
    Status.UNKNOWN: "dim",
}

_HELD: Final = Style.parse(BLUE)
_TO_GET: Final = Style.parse(GREEN)
_TO_GIVE: Final = Style.parse(YELLOW)
_REST: Final = Style.parse("dim")

_EIGHTHS: Final = " ▏▎▍▌▋▊▉"
_LEVELS: Final = "▁▂▃▄▅▆▇█"

TOP_PRESSURE: Final = 1.25
"""A sparkline's upper edge: exactly enough stands at four fifths of its height."""

SHORT_PRESSURE: Final = 1.0
"""Above this a VM needs more than it has."""


def status(found: Status) -> Text:
    """Write a status: a word, and a colour for who sees it."""
    return Text(found.value, style=STATUS_STYLES[found])


def words(text: str) -> Text:
    """Write text as it is, cut where the cell ends."""
    return Text(text, no_wrap=True, overflow="ellipsis")


def number(text: str) -> Text:
    """Write a figure at the right edge."""
    return Text(text, no_wrap=True, justify="right")


def size(size_bytes: int | None) -> str:
    """Say a size, or that it is not known."""
    return "-" if size_bytes is None else format_size(size_bytes)


def percent(ratio: float | None) -> str:
    """Say a ratio, or that it is not known."""
    return "-" if ratio is None else f"{ratio * 100:.0f} %"


def bar(assigned_bytes: int, target_bytes: int, scale_bytes: int, *, width: int) -> Text:
    """Draw what a VM has against what it should have.

    `█` it has and keeps, `▒` it is to give, `░` it is to get, `·` is room that nobody fills.

    Args:
        assigned_bytes: what it has.
        target_bytes: what it should have.
        scale_bytes: what the whole width stands for.
        width: how many signs.
    """
    scale = max(scale_bytes, assigned_bytes, target_bytes, 1)
    kept = min(assigned_bytes, target_bytes) / scale * width
    ends = max(assigned_bytes, target_bytes) / scale * width
    between, style = ("▒", _TO_GIVE) if assigned_bytes > target_bytes else ("░", _TO_GET)
    whole, moving = int(kept), round(ends) - round(kept)
    drawn = Text(no_wrap=True)
    if moving > 0:  # at least one sign's worth: whole signs, so that the edge is sharp
        whole = round(kept)
        drawn.append("█" * whole, _HELD)
        drawn.append(between * moving, style)
        drawn.append("·" * (width - whole - moving), _REST)
        return drawn
    part = _EIGHTHS[int((kept - whole) * 8)].strip()
    drawn.append("█" * whole + part, _HELD)
    drawn.append("·" * (width - whole - len(part)), _REST)
    return drawn


def sparkline(pressures: Sequence[float | None], *, width: int) -> Text:
    """Draw the last pressures, the newest at the right edge."""
    drawn = Text(" " * (width - len(pressures)), no_wrap=True)
    for pressure in pressures[-width:]:
        if pressure is None:
            drawn.append(" ")
            continue
        level = min(int(pressure / TOP_PRESSURE * len(_LEVELS)), len(_LEVELS) - 1)
        drawn.append(_LEVELS[level], RED if pressure > SHORT_PRESSURE else CYAN)
    return drawn
