"""Plugged memory that a guest has and does not count: not online yet, or never to be.

A device says what is plugged as soon as its driver has taken it; the guest can use it only when its
kernel has put it online, which some never do by themselves. What a guest hides for good (its
kernel, memory set aside for a crash) is known from when nothing was plugged; what is missing beyond
that is unshown. Nothing more is plugged on top of it.
"""

from __future__ import annotations

from barostat.core.demand_state import DemandState
from barostat.core.policy import Policy
from barostat.core.reach import SECTION_BYTES
from barostat.core.sizes import Sizes
from barostat.core.statistics import Statistics

__all__ = ["uncounted_bytes", "unshown_bytes"]


def uncounted_bytes(
    previous: DemandState | None,
    sizes: Sizes,
    now: Statistics,
    *,
    elapsed_s: float,
    policy: Policy,
) -> int:
    """Say what the guest hides for good, as far as is known.

    It is measured while nothing moves. With memory plugged it is only found to be less, and rises
    by a section in the longest time for which a guest is left alone: so that no guest is held for
    ever, whatever it is that it hides.

    Args:
        previous: what was known of it, None at first sight.
        sizes: its devices, measured.
        now: what it says.
        elapsed_s: since it spoke before.
        policy: patience.
    """
    hidden = _hidden_bytes(sizes, now)
    if previous is None:
        return hidden
    if previous.sizes != sizes:
        return previous.uncounted_bytes
    if not sizes.plugged_bytes:
        return hidden
    forgotten = int(SECTION_BYTES * elapsed_s / policy.rest_high_s)
    return min(hidden, previous.uncounted_bytes + forgotten)


def unshown_bytes(demand: DemandState) -> int:
    """Say what of a guest's plugged memory it does not count; less than a section is none."""
    missing = _hidden_bytes(demand.sizes, demand.statistics) - demand.uncounted_bytes
    unshown = min(missing, demand.sizes.plugged_bytes)
    return unshown if unshown >= SECTION_BYTES else 0


def _hidden_bytes(sizes: Sizes, now: Statistics) -> int:
    return sizes.actual_bytes + sizes.inside_bytes - now.total_bytes
