"""How fast a demand rises, however often it is looked at.

Growth is measured from a mark, not from the look before: ten looks a second see the same growth as
one, whole, and noise of a tenth of a second is not multiplied by ten. A mark is renewed when it is
half a tick old; until the new one is as old, the one before it still counts. Of looks that are half
a tick apart or more, each is the mark of the next.
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["Marks", "risen"]

MARK_TICKS: Final = 0.5
"""Looks come once a tick, sooner or later by some tenths of it: each must find the mark renewed."""


class Marks(NamedTuple):
    """The demand at two moments, half a tick apart or more: growth is measured from there."""

    at_s: float
    size_bytes: int
    older_at_s: float
    older_bytes: int

    @classmethod
    def at(cls, at_s: float, size_bytes: int) -> Marks:
        """Begin to measure."""
        return cls(at_s, size_bytes, at_s, size_bytes)


def risen(marks: Marks, at_s: float, size_bytes: int, tick_s: float) -> tuple[float, Marks]:
    """Say how fast a demand rises, in bytes a second, and from where to measure next time.

    Args:
        marks: from where to measure now.
        at_s: when the demand was this.
        size_bytes: the demand.
        tick_s: time between two decisions.
    """
    least_s, since_s = tick_s * MARK_TICKS, at_s - marks.at_s
    rate = max(0, size_bytes - marks.size_bytes) / max(since_s, least_s)
    if since_s >= least_s:
        return rate, Marks(at_s, size_bytes, marks.at_s, marks.size_bytes)
    longer_s = max(at_s - marks.older_at_s, least_s)
    return max(rate, max(0, size_bytes - marks.older_bytes) / longer_s), marks
