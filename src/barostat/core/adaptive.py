"""A buffer that learns: larger after every look that finds a guest short, smaller after the others.

To the guest's own buffer an extra is added, a share of its demand, and after each look

    extra = max(0, extra + step * (short - short_share))      short = 1 if demand > want, else 0

with the demand of this look and the want of the one before. With an extra of `adaptive_cap` the
guest is given its maximum, so it cannot be found short: whatever its demand does, of N looks at
most the share `short_share + (adaptive_cap + step) / (step * N)` find it short, while there is
enough for all (sum up the updates: the floor at 0 only raises them).
"""

from __future__ import annotations

from typing import NamedTuple

from barostat.core.policy import Policy

__all__ = ["Tuning", "tuned"]


class Tuning(NamedTuple):
    """What a guest's buffer has learned.

    Attributes:
        extra_ratio: what is added to its buffer, as a share of its demand.
        at_s: when that last changed.
        short: it was found short since.
    """

    extra_ratio: float
    at_s: float
    short: bool = False


def tuned(previous: Tuning | None, at_s: float, *, short: bool, policy: Policy) -> Tuning | None:
    """Learn from a look, once a tick at most: looks within one tick count as one.

    Args:
        previous: what was learned before, None if nothing.
        at_s: when the guest said what it needs.
        short: that is more than it should have had, as far as it may have it.
        policy: how fast to learn, and the tick.

    Returns:
        None while buffers are fixed.
    """
    if not policy.demand.adaptive:
        return None
    if previous is None:
        return Tuning(0.0, at_s)
    short = short or previous.short
    if at_s // policy.tick_s == previous.at_s // policy.tick_s:
        return previous._replace(short=short)
    step = policy.demand.adaptive_step * (short - policy.demand.short_share)
    return Tuning(max(0.0, previous.extra_ratio + step), at_s)
