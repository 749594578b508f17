"""Taking a little, now and then, from a guest that does not notice: proactive reclaim.

A guest whose agent says that it does not wait for memory is made smaller step by step, below what
it should have, below what it uses if need be: its own kernel pages out what it uses least. While
that lasts it claims no more than it has. It ends at once, and what the guest should have counts
again, when the guest waits for memory, pages for want of it, needs noticeably more, or its agent
falls silent; and begins again when none of that was seen for a while. The size at which it began to
wait is remembered, and kept clear of.
"""

from __future__ import annotations

from typing import NamedTuple

from barostat.core.observation import Depth, GuestObservation
from barostat.core.policy import Policy
from barostat.core.sizes import Sizes
from barostat.core.stalls import Stalls
from barostat.core.usage import kernel_floor_bytes

__all__ = ["Trim", "step_bytes", "trimmed", "under_way"]


class Trim(NamedTuple):
    """How far a guest may be trimmed.

    Attributes:
        calm_since_s: when it was last seen to need, or to want for, more.
        low_bytes: its lowest demand since.
        kept_bytes: the size at which it began to wait; 0 if it never did.
        kept_at_s: when that was.
    """

    calm_since_s: float
    low_bytes: int
    kept_bytes: int = 0
    kept_at_s: float = 0.0


def trimmed(
    previous: Trim,
    guest: GuestObservation,
    demand_bytes: int,
    *,
    assigned_bytes: int,
    stalls: Stalls | None,
    distressed: bool,
    policy: Policy,
) -> Trim:
    """Bring up to date how far a guest may be trimmed.

    Args:
        previous: the same as of its last words.
        guest: as seen.
        demand_bytes: what it needs now.
        assigned_bytes: what it has.
        stalls: how long it waits for memory.
        distressed: it pages for want of memory.
        policy: how carefully to trim.

    """
    at_s = guest.statistics_at_s
    harmed = stalls is not None and stalls.harmed
    kept, kept_at_s = previous.kept_bytes, previous.kept_at_s
    if harmed and under_way(previous, at_s, policy):
        kept, kept_at_s = max(_still_kept(previous, at_s, policy), assigned_bytes), at_s
    more = demand_bytes - previous.low_bytes > policy.dead_band_bytes(assigned_bytes)
    if harmed or distressed or more or not _heard(guest, stalls):
        return Trim(at_s, demand_bytes, kept, kept_at_s)
    return Trim(previous.calm_since_s, min(previous.low_bytes, demand_bytes), kept, kept_at_s)


def _heard(guest: GuestObservation, stalls: Stalls | None) -> bool:
    # SAFETY: only an agent says at once that its guest began to wait; without it, trimming would
    # go on hurting.
    return guest.heard_by is Depth.AGENT and stalls is not None


def under_way(trim: Trim, at_s: float, policy: Policy) -> bool:
    """Say whether a guest claims no more than it has now."""
    return at_s - trim.calm_since_s >= policy.demand.stall_hold_s


def _still_kept(trim: Trim, at_s: float, policy: Policy) -> int:
    if not trim.kept_bytes:
        return 0
    faded: float = 2.0 ** (-(at_s - trim.kept_at_s) / policy.demand.trim_half_life_s)
    return int(trim.kept_bytes * faded)


def step_bytes(
    trim: Trim,
    stalls: Stalls | None,
    sizes: Sizes,
    *,
    minimum_bytes: int,
    at_s: float,
    policy: Policy,
) -> int:
    """Say how much of what it has may be taken from a guest in one step.

    Args:
        trim: how far it may be trimmed.
        stalls: how long it waits for memory.
        sizes: its devices, measured.
        minimum_bytes: what its operator has it keep.
        at_s: when it spoke.
        policy: how careful.
    """
    if stalls is None or not stalls.calm(policy.demand.trim_stall_ratio):
        return 0
    share = int(sizes.actual_bytes * policy.demand.trim_ratio)
    least = max(minimum_bytes, _least_bytes(trim, sizes, at_s, policy))
    return max(0, min(share, sizes.actual_bytes - least))


def _least_bytes(trim: Trim, sizes: Sizes, at_s: float, policy: Policy) -> int:
    # SAFETY: it is not trimmed to where it began to wait, nor into what its kernel needs.
    return max(kernel_floor_bytes(sizes), _still_kept(trim, at_s, policy))
