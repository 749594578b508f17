"""How fast a demand rises, however often it is looked at.

Growth is measured from a mark, not from the look before: ten looks a second see the same growth as
one, whole, and noise of a tenth of a second is not multiplied by ten. A mark is renewed when it is
half a tick old; until the new one is as old, the one before it still counts. Of looks that are half
a tick apart or more, each is the mark of the next.
"""

from __future__ import annotations

from typing import Final

__all__ = ["Marks", "first_marks", "risen"]

Marks = tuple[float, int, float, int]
"""When the demand was how much, twice: the mark to measure from, and the one before it. A plain
tuple, because one is made for every guest at every look."""

MARK_TICKS: Final = 0.5
"""Looks come once a tick, sooner or later by some tenths of it: each must find the mark renewed."""


def first_marks(at_s: float, size_bytes: int) -> Marks:
    """Begin to measure."""
    return at_s, size_bytes, at_s, size_bytes


def risen(marks: Marks, at_s: float, size_bytes: int, tick_s: float) -> tuple[float, Marks]:
    """Say how fast a demand rises, in bytes a second, and from where to measure next time.

    Args:
        marks: from where to measure now.
        at_s: when the demand was this.
        size_bytes: the demand.
        tick_s: time between two decisions.
    """
    mark_s, mark_bytes, older_s, older_bytes = marks
    least_s, since_s = tick_s * MARK_TICKS, at_s - mark_s
    rate = max(0, size_bytes - mark_bytes) / max(since_s, least_s)
    if since_s >= least_s:
        return rate, (at_s, size_bytes, mark_s, mark_bytes)
    longer = max(0, size_bytes - older_bytes) / max(at_s - older_s, least_s)
    return max(rate, longer), marks
