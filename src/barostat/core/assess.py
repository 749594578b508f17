"""One guest, before anything is compared: what it needs, whether it may be moved, and if not, why.

Doubt means hold. A guest that cannot be judged is pinned: counted at what it has or may take,
moved in neither direction. One that has just been disturbed, or did not give when asked, may
still grow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from barostat.core.allocation import Claim
from barostat.core.cooperation import Verdict, WishState, judge
from barostat.core.demand import DemandState, estimate, want_bytes
from barostat.core.moves import Line
from barostat.core.observation import Devices, GuestObservation, RunState
from barostat.core.policy import Policy
from barostat.core.reasons import Reason, ReasonCode, because
from barostat.core.settings import MemorySettings
from barostat.units import MIB

__all__ = ["Assessment", "GuestState", "assess", "claim_of", "granularity_bytes"]

LONG_AGO_S: Final = float("-inf")

_PINNED_BY_STATE: Final = {
    RunState.BOOTING: ReasonCode.BOOTING,
    RunState.PAUSED: ReasonCode.PAUSED,
    RunState.MIGRATING: ReasonCode.MIGRATING,
    RunState.UNREACHABLE: ReasonCode.UNREACHABLE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestState:
    """What is remembered of one guest between decisions.

    Attributes:
        demand: the last estimate, None before the first.
        wish: what was last asked of it.
        disturbed_at_s: the disturbance that this memory is younger than.
        grown_at_s, shrunk_at_s: when it was last asked to grow or shrink.
    """

    demand: DemandState | None
    wish: WishState
    disturbed_at_s: float
    grown_at_s: float = LONG_AGO_S
    shrunk_at_s: float = LONG_AGO_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """What is known of one guest now.

    Exactly one of `line` (it may be moved) and `pinned` (it may not, because ...) is there.
    """

    state: GuestState
    line: Line | None
    pinned: Reason | None


def granularity_bytes(devices: Devices) -> int:
    """Say the smallest move that these devices can carry out."""
    return max([MIB, *(plug.block_bytes for plug in devices.plugs)])


def assess(
    guest: GuestObservation,
    settings: MemorySettings | None,
    settings_fault: str | None,
    previous: GuestState | None,
    *,
    now_s: float,
    tight: bool,
    policy: Policy,
) -> Assessment:
    """Look at one guest.

    Args:
        guest: as seen.
        settings: what its operator wants, None if nothing was said.
        settings_fault: why what was said cannot be used.
        previous: what the last decision remembered of it.
        now_s: the snapshot's clock.
        tight: memory was short at the last decision.
        policy: the numbers to act by.
    """
    state = _remembered(guest, previous)
    demand = estimate(state.demand, guest, tight=tight, policy=policy)
    state = replace(state, demand=demand)
    pinned = _pinned(guest, settings, settings_fault, now_s, policy)
    if settings is None or demand is None or pinned is not None:
        return Assessment(
            state=state, line=None, pinned=pinned or because(ReasonCode.NO_STATISTICS)
        )
    wish, verdict = judge(
        state.wish,
        actual_bytes=guest.devices.assigned_bytes,
        granularity_bytes=granularity_bytes(guest.devices),
        now_s=now_s,
        policy=policy,
    )
    state = replace(state, wish=wish)
    line = _line(guest, settings, state, demand, verdict, now_s=now_s, policy=policy)
    return Assessment(state=state, line=line, pinned=None)


def _remembered(guest: GuestObservation, previous: GuestState | None) -> GuestState:
    """Start afresh at first sight and after every disturbance: nothing from before holds."""
    if previous is not None and previous.disturbed_at_s == guest.disturbed_at_s:
        return previous
    return GuestState(
        demand=None,
        wish=WishState(goal_bytes=guest.devices.assigned_bytes),
        disturbed_at_s=guest.disturbed_at_s,
    )


def _pinned(
    guest: GuestObservation,
    settings: MemorySettings | None,
    settings_fault: str | None,
    now_s: float,
    policy: Policy,
) -> Reason | None:
    """Say why a guest may not be moved at all, or None."""
    if settings_fault is not None:
        return because(ReasonCode.BAD_SETTINGS, fault=settings_fault)
    if settings is None:
        return because(ReasonCode.NO_SETTINGS)
    if not settings.enabled:
        return because(ReasonCode.DISABLED)
    code = _PINNED_BY_STATE.get(guest.run_state)
    if code is not None:
        return because(code, since_s=now_s - guest.seen_at_s)
    age_s = now_s - guest.statistics_at_s
    if guest.statistics is not None and age_s > policy.stale_s:
        return because(ReasonCode.STALE, age_s=age_s)
    return None


def _line(
    guest: GuestObservation,
    settings: MemorySettings,
    state: GuestState,
    demand: DemandState,
    verdict: Verdict,
    *,
    now_s: float,
    policy: Policy,
) -> Line:
    devices, now, wish = guest.devices, demand.statistics, state.wish
    actual = devices.assigned_bytes
    stuck_plug = wish.failures == 1 and devices.plugged_bytes > 0 and devices.deflate_on_oom
    safe = devices.deflate_on_oom
    share = policy.floor_ratio if safe else policy.wide_floor_ratio
    stay = _stay(state, stuck_plug=stuck_plug, now_s=now_s, policy=policy)
    return Line(
        guest=guest.name,
        actual_bytes=actual,
        goal_bytes=wish.goal_bytes,
        demand_bytes=demand.demand_bytes,
        want_bytes=want_bytes(demand, buffer_percent=settings.buffer_percent, policy=policy),
        available_bytes=now.available_bytes,
        floor_bytes=max(policy.floor_low_bytes, int(now.total_bytes * share)),
        pageable_bytes=actual if safe else devices.plugged_bytes,
        minimum_bytes=settings.minimum_bytes,
        maximum_bytes=min(settings.maximum_bytes, devices.ceiling_bytes),
        granularity_bytes=granularity_bytes(devices),
        buffer_percent=settings.buffer_percent,
        weight=settings.weight,
        growth_bytes_per_s=demand.growth_bytes_per_s,
        distressed=demand.distressed,
        urgent=demand.distressed or demand.demand_bytes > actual * policy.urgent_ratio,
        verdict=verdict,
        stuck_plug=stuck_plug,
        grown_at_s=state.grown_at_s,
        shrunk_at_s=state.shrunk_at_s,
        stay=stay,
        foreign=not wish.ours and _unfinished(devices),
    )


def _unfinished(devices: Devices) -> bool:
    """Say whether somebody before us left a wish half done, or one that cannot be known."""
    unknown = devices.balloon_target_bytes is None and devices.balloon_bytes > 0
    return unknown or devices.requested_bytes != devices.plugged_bytes


def _stay(state: GuestState, *, stuck_plug: bool, now_s: float, policy: Policy) -> Reason | None:
    """Say why a guest may not be shrunk just now, or None."""
    quiet_s = now_s - state.disturbed_at_s
    if quiet_s < policy.settle_s:
        return because(ReasonCode.SETTLING, wait_s=policy.settle_s - quiet_s)
    rest_s = state.wish.rest_until_s - now_s
    # A stuck unplug may fall back to the balloon once, before the guest is left to rest.
    if rest_s > 0 and not stuck_plug:
        return because(ReasonCode.RESTING, wait_s=rest_s, failures=state.wish.failures)
    return None


def claim_of(line: Line) -> Claim:
    """Turn a guest's line into its claim on the host's memory."""
    least = line.minimum_bytes if line.stay is None else max(line.minimum_bytes, line.actual_bytes)
    return Claim(
        guest=line.guest,
        minimum_bytes=least,
        demand_bytes=line.demand_bytes,
        want_bytes=line.want_bytes,
        maximum_bytes=max(line.maximum_bytes, least),
        weight=line.weight,
    )
