"""Guests that were made to page for others, and had to be given it back: not again at once.

What a guest needs that pages cannot be seen well: it pages, looks needier than those it gave to, is
given again, no longer pages, looks less needy, and gives. To break that circle it is left alone for
a while, longer after each turn, unless far more is at stake than went back and forth.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from barostat.core.policy import Policy

__all__ = ["Squeeze", "squeezed"]

FAR_MORE: Final = 2
"""A shortage that is so many times what came back to the guest is another one."""

MOST_DOUBLINGS: Final = 2
"""Half a minute, then one, then two: other guests may need it more by then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Squeeze:
    """The last time that a guest was taken what it needed.

    Attributes:
        at_s: when that was.
        to_bytes: what it was left.
        regained_bytes: what it was granted again soon after that, 0 while nothing was.
        failures: how often in a row that happened.
        rest_until_s: it is left alone before.
    """

    at_s: float
    to_bytes: int
    regained_bytes: int = 0
    failures: int = 0
    rest_until_s: float = float("-inf")

    def spares(self, excess_bytes: int, now_s: float) -> bool:
        """Say whether the guest is left alone for now, though it should have so much less."""
        return now_s < self.rest_until_s and excess_bytes < FAR_MORE * self.regained_bytes


def squeezed(
    last: Squeeze | None,
    *,
    from_bytes: int,
    to_bytes: int,
    demand_bytes: int | None,
    now_s: float,
    policy: Policy,
) -> Squeeze | None:
    """Note what a move means for a guest that is, or was, made to page for others.

    Args:
        last: what is known so far, None if it never was.
        from_bytes: what it has.
        to_bytes: what it is asked to have.
        demand_bytes: what it needs, None if nobody knows.
        now_s: the snapshot's clock.
        policy: how long is soon, and the first rest.
    """
    if to_bytes < from_bytes:
        if demand_bytes is None or to_bytes >= demand_bytes:
            return last
        if last is None or now_s - max(last.at_s, last.rest_until_s) > policy.minute_s:
            return Squeeze(at_s=now_s, to_bytes=to_bytes)
        return replace(last, at_s=now_s, to_bytes=to_bytes, regained_bytes=0)
    if to_bytes == from_bytes or last is None or now_s - last.at_s > policy.minute_s:
        return last
    regained = max(last.regained_bytes, to_bytes - last.to_bytes)
    if last.regained_bytes or regained <= 0:
        return replace(last, regained_bytes=regained)
    rest_s = policy.rest_low_s * 2.0 ** min(last.failures, MOST_DOUBLINGS)
    return replace(
        last,
        regained_bytes=regained,
        failures=last.failures + 1,
        rest_until_s=now_s + rest_s,
    )
