"""What a guest needs, from what it says of itself.

Demand must not depend on what the guest was given, or the loop ratchets: page cache that merely
fills the memory at hand is not demand, and memory just handed out is not demand. In the terms of
the guest's assigned size (so that demand = assigned means "exactly enough"):

    demand = used + kernel + returning + refaulted
    used      = total - available (less the balloon, where ballooned pages stay inside total)
    kernel    = assigned - total: what the guest's kernel keeps for itself and never shows
    returning = swapped-out pages that came back within a minute, or that left while the guest was
                short and have not had a minute to come back
    refaulted = file pages read back by major faults within a minute, at most the page cache

It is known at once, both ways. Slowness belongs to `recent_bytes`, which rises with demand and
falls with a half-life, and to `growth_bytes_per_s`: what a guest should have is made of these.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from barostat.core.observation import Devices, GuestObservation, Statistics
from barostat.core.policy import Policy
from barostat.units import MIB

__all__ = ["DemandState", "balloon_floor_bytes", "estimate", "want_bytes"]

PAGE_BYTES: Final = 4096
PAGING_SEEN_BYTES: Final = MIB
"""Less swap traffic than this between two looks is a page here and there, not distress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemandState:
    """A guest's demand as of its newest statistics, and what the next estimate needs.

    Attributes:
        at_s: when the statistics were new.
        statistics: those.
        devices: the sizes seen with them.
        demand_bytes: what the guest needs, in terms of its assigned size.
        recent_bytes: the highest recent demand, falling with a half-life.
        growth_bytes_per_s: the fastest recent growth, falling with a half-life.
        kernel_bytes: what the guest's kernel keeps, last measured with its devices at rest.
        returned_bytes, paged_out_bytes, refaulted_bytes: volumes of about the last minute.
        distressed: it pages and has next to nothing available: more is needed than can be seen.
    """

    at_s: float
    statistics: Statistics
    devices: Devices
    demand_bytes: int
    recent_bytes: int
    growth_bytes_per_s: float = 0.0
    kernel_bytes: int = 0
    returned_bytes: float = 0.0
    paged_out_bytes: float = 0.0
    refaulted_bytes: float = 0.0
    distressed: bool = False


def balloon_floor_bytes(size_bytes: int) -> int:
    """Say what a Linux guest of this size needs for itself (Linux drivers/hv/hv_balloon.c)."""
    size_mib = size_bytes // MIB
    for above_mib, base_mib, share in (
        (8192, 488, 32),
        (2048, 232, 16),
        (512, 104, 8),
        (128, 40, 4),
    ):
        if size_mib >= above_mib:
            return (base_mib + size_mib // share) * MIB
    return (8 + size_mib // 2) * MIB


def estimate(
    previous: DemandState | None, guest: GuestObservation, *, tight: bool, policy: Policy
) -> DemandState | None:
    """Bring a guest's demand up to its newest statistics.

    Args:
        previous: the state after the guest's last statistics, None at first sight or after a
            reset.
        guest: as seen now.
        tight: memory is short on the host, so a fallen demand is forgotten sooner.
        policy: half-lives and thresholds.

    Returns:
        The new state; `previous` itself when the guest said nothing new.
    """
    now = guest.statistics
    if now is None or (previous is not None and guest.statistics_at_s <= previous.at_s):
        return previous
    if previous is None or _restarted(previous.statistics, now):
        return _first(guest, now)
    return _next(previous, guest, now, tight=tight, policy=policy)


def _restarted(before: Statistics, now: Statistics) -> bool:
    """Counters run since boot: where one fell, it is another boot."""
    return now.swap_out_bytes < before.swap_out_bytes or now.major_faults < before.major_faults


def _first(guest: GuestObservation, now: Statistics) -> DemandState:
    kernel = _kernel_bytes(guest.devices, now)
    demand = _used(now, guest.devices.balloon_bytes, guest.devices) + kernel
    return DemandState(
        at_s=guest.statistics_at_s,
        statistics=now,
        devices=guest.devices,
        demand_bytes=demand,
        recent_bytes=demand,
        kernel_bytes=kernel,
    )


def _next(
    previous: DemandState,
    guest: GuestObservation,
    now: Statistics,
    *,
    tight: bool,
    policy: Policy,
) -> DemandState:
    before, elapsed_s = previous.statistics, guest.statistics_at_s - previous.at_s
    swapped_in = max(0, now.swap_in_bytes - before.swap_in_bytes)
    swapped_out = now.swap_out_bytes - before.swap_out_bytes
    read_back = (now.major_faults - before.major_faults) * PAGE_BYTES
    fade = math.exp(-elapsed_s / policy.minute_s)
    returned = previous.returned_bytes * fade + swapped_in
    paged_out = previous.paged_out_bytes * fade + swapped_out
    refaulted = previous.refaulted_bytes * fade + max(0, read_back - swapped_in)

    at_rest = previous.devices == guest.devices
    kernel = _kernel_bytes(guest.devices, now) if at_rest else previous.kernel_bytes
    demand = (
        _consistent_used(previous, guest.devices, now)
        + kernel
        + _returning(now, returned, paged_out)
        + min(now.disk_caches_bytes or 0, int(refaulted))
    )
    half_life_s = policy.tight_half_life_s if tight else policy.half_life_s
    kept = 2.0 ** (-elapsed_s / half_life_s)
    fallen = int(demand + (previous.recent_bytes - demand) * kept)
    growth = max(0.0, (demand - previous.demand_bytes) / max(elapsed_s, policy.tick_s / 2))
    remembered = previous.growth_bytes_per_s * 2.0 ** (-elapsed_s / policy.growth_half_life_s)
    return DemandState(
        at_s=guest.statistics_at_s,
        statistics=now,
        devices=guest.devices,
        demand_bytes=demand,
        recent_bytes=max(demand, fallen),
        growth_bytes_per_s=max(growth, remembered),
        kernel_bytes=kernel,
        returned_bytes=returned,
        paged_out_bytes=paged_out,
        refaulted_bytes=refaulted,
        distressed=_distressed(before, now, swapped_in + swapped_out, policy),
    )


def _used(now: Statistics, balloon_bytes: int, devices: Devices) -> int:
    inside = balloon_bytes if devices.deflate_on_oom else 0
    return max(0, now.total_bytes - now.available_bytes - inside)


def _consistent_used(previous: DemandState, devices: Devices, now: Statistics) -> int:
    """Say how much is used when the balloon may have moved between the looks.

    The statistics and the balloon's size are not of the same instant. While the balloon moves,
    `used` is only known to lie between two bounds; of those values the one nearest to what was
    believed before is taken, so that moving the balloon never looks like demand.
    """
    readings = (previous.devices.balloon_bytes, devices.balloon_bytes)
    low, high = _used(now, max(readings), devices), _used(now, min(readings), devices)
    if low == high:
        return low
    before = _used(previous.statistics, previous.devices.balloon_bytes, previous.devices)
    return max(low, min(before, high))


def _kernel_bytes(devices: Devices, now: Statistics) -> int:
    """Measure what the guest's kernel keeps: bounded, as plugged memory may not be online."""
    inside = devices.balloon_bytes if devices.deflate_on_oom else 0
    hidden = devices.assigned_bytes + inside - now.total_bytes
    return max(0, min(hidden, balloon_floor_bytes(devices.boot_bytes)))


def _returning(now: Statistics, returned: float, paged_out: float) -> int:
    """Count swapped-out pages that are, or may still turn out to be, in use.

    Pages that left while the guest was short are doubted for a minute; with memory available they
    would have come back by now if they were wanted.
    """
    outside = max(0, now.swap_out_bytes - now.swap_in_bytes)
    doubtful = max(0.0, paged_out - now.available_bytes)
    return min(outside, int(returned + doubtful))


def _distressed(before: Statistics, now: Statistics, swap_bytes: int, policy: Policy) -> bool:
    stalls = (now.alloc_stalls or 0) > (before.alloc_stalls or 0)
    kills = (now.oom_kills or 0) > (before.oom_kills or 0)
    short = now.available_bytes < now.total_bytes * policy.distress_ratio
    return kills or (short and (stalls or swap_bytes >= PAGING_SEEN_BYTES))


def want_bytes(state: DemandState, *, buffer_percent: int, policy: Policy) -> int:
    """Say what the guest should have if there is plenty.

    The larger of recent demand plus the buffer, and recent demand plus what it grows until the
    next decision has taken effect; twice what it has when it is in distress.
    """
    recent = state.recent_bytes
    ahead_s = policy.tick_s + policy.latency_s
    growth = min(state.growth_bytes_per_s * ahead_s, recent * policy.growth_cap_ratio)
    want = recent + max(recent * buffer_percent // 100, int(growth))
    return max(want, 2 * state.devices.assigned_bytes) if state.distressed else want
