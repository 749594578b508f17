"""A guest that may be moved: what it may ask for, and how much may be asked of it.

Everything that bounds a move for the guest's own sake is worked out here, before anything is
compared with other guests.
"""

from __future__ import annotations

from barostat.core.allocation import Claim
from barostat.core.claims import credible_bytes, doubted
from barostat.core.cooperation import Trust, Verdict, WishState
from barostat.core.demand_state import DemandState
from barostat.core.guest_state import GuestState
from barostat.core.moves import Line
from barostat.core.observation import GuestObservation
from barostat.core.policy import Policy
from barostat.core.reach import reach_bytes
from barostat.core.reasons import Reason, ReasonCode, because
from barostat.core.settings import MemorySettings
from barostat.core.sizes import Sizes
from barostat.core.trimming import Trim, step_bytes, under_way
from barostat.core.unshown import unshown_bytes
from barostat.core.wants import available_bytes, buffered_bytes, lately_bytes

__all__ = ["bounds_of", "claim_of", "least_bytes", "line_of", "need_bytes"]


def line_of(
    guest: GuestObservation,
    settings: MemorySettings,
    *,
    state: GuestState,
    sizes: Sizes,
    demand: DemandState,
    verdict: Verdict,
    in_use_bytes: int | None,
    now_s: float,
    policy: Policy,
) -> Line:
    """Open the line of a guest that was seen and judged: its wish in `state` is as judged now."""
    actual, plugged, wish = sizes.actual_bytes, sizes.plugged_bytes, state.wish
    safe, stalls = guest.devices.deflate_on_oom, demand.stalls
    settling = _settling(state, now_s, policy)
    available = available_bytes(demand, assigned_bytes=actual, fresh=_fresh(guest, policy))
    buffered, want, trim, pressing = _wanted(
        demand, state, settings, available, now_s=now_s, policy=policy
    )
    return Line(
        guest=guest.name,
        actual_bytes=actual,
        plugged_bytes=plugged,
        goal_bytes=wish.goal_bytes,
        demand_bytes=demand.demand_bytes,
        buffered_bytes=buffered,
        want_bytes=want,
        available_bytes=available,
        floor_bytes=_floor_bytes(demand, sizes, policy, safe=safe),
        pageable_bytes=_pageable_bytes(sizes, safe=safe),
        minimum_bytes=settings.minimum_bytes,
        maximum_bytes=min(settings.maximum_bytes, sizes.ceiling_bytes),
        granularity_bytes=sizes.granularity_bytes,
        dead_band_bytes=policy.dead_band_bytes(actual),
        buffer_percent=settings.buffer_percent,
        weight=settings.weight,
        growth_bytes_per_s=demand.growth_bytes_per_s,
        distressed=demand.distressed,
        harmed=stalls is not None and stalls.harmed,
        stall_ratio=0.0 if stalls is None else stalls.lately_ratio,
        squeeze=wish.squeeze,
        trim_bytes=trim,
        source=demand.source,
        pressing=pressing,
        urgent=pressing or demand.demand_bytes > actual * policy.urgent_ratio,
        verdict=verdict,
        by_balloon=wish.by_balloon,
        stay=settling or _resting(wish.giving, now_s, "give"),
        refuse=_resting(wish.taking, now_s, "take") or _offline(demand, state, now_s, policy),
        foreign=_foreign(wish, sizes, now_s, policy),
        stuck_plug=safe and plugged > 0 and not settling and wish.giving.second_chance,
        grown_at_s=state.grown_at_s,
        shrunk_at_s=state.shrunk_at_s,
        harmed_at_s=demand.harmed_at_s,
        credible_bytes=_credible_bytes(in_use_bytes, demand, actual),
        reach_bytes=_reach_bytes(demand, sizes),
    )


def _wanted(
    demand: DemandState,
    state: GuestState,
    settings: MemorySettings,
    available: int,
    *,
    now_s: float,
    policy: Policy,
) -> tuple[int, int, int | None, bool]:
    """Say what a guest should have.

    Returns:
        That for what it needs now, with its buffer; the most of that and of what it needed lately;
        what it is trimmed to, if it is; and whether it presses.
    """
    percent, stalls = settings.buffer_percent, demand.stalls
    buffered = buffered_bytes(demand, buffer_percent=percent, policy=policy)
    want = max(buffered, lately_bytes(demand, buffer_percent=percent, policy=policy))
    pressing = demand.distressed or (stalls is not None and stalls.harmed)
    if demand.trim is not None and not pressing:
        trim = _trim_bytes(demand.trim, demand, state, settings, now_s=now_s, policy=policy)
        if trim is not None and trim < want:  # with nothing left it outruns what it has by a page
            return min(buffered, trim), trim, trim, False
    return buffered, want, None, pressing or _outruns(demand, available, policy)


def _credible_bytes(in_use: int | None, demand: DemandState, actual: int) -> int | None:
    """Say how much of its claim the host can bear out; None where the host cannot see."""
    if in_use is None:
        return None
    return credible_bytes(in_use, hidden_bytes=demand.kernel_bytes, actual_bytes=actual)


def _foreign(wish: WishState, sizes: Sizes, now_s: float, policy: Policy) -> bool:
    """Say whether the guest's devices are after something that nobody asks of them any more.

    That was asked before us; or what we last asked never came to them, and has not for long.
    """
    if not wish.ours:
        return sizes.unfinished
    unasked = sizes.wished_bytes - max(sizes.actual_bytes, wish.granted_bytes)
    # SAFETY: what it may take though nobody granted it is kept from all others for as long.
    lost = now_s - wish.nudged_at_s >= policy.rest_low_s
    return lost and unasked >= sizes.granularity_bytes


def _fresh(guest: GuestObservation, policy: Policy) -> bool:
    """Say whether the guest spoke at the moment its sizes were seen."""
    return guest.seen_at_s - guest.statistics_at_s < policy.tick_s * policy.fresh_ratio


def _outruns(demand: DemandState, available: int, policy: Policy) -> bool:
    """Say whether a guest that grows on will have nothing left before it can be given more."""
    rising = demand.rising_bytes_per_s
    return rising > 0 and rising * (policy.tick_s + policy.latency_s) > available


def _trim_bytes(
    trim: Trim,
    demand: DemandState,
    state: GuestState,
    settings: MemorySettings,
    *,
    now_s: float,
    policy: Policy,
) -> int | None:
    """Say to what a guest is trimmed now, or what it claims between two steps; None if it is not.

    It is given no more than it has, and a step less each time that a step is due.
    """
    sizes = demand.sizes
    if not under_way(trim, demand.at_s, policy):
        return None
    grown_s, shrunk_s = now_s - state.grown_at_s, now_s - state.shrunk_at_s
    if grown_s < policy.grow_hold_s or shrunk_s < policy.demand.trim_s:
        return sizes.actual_bytes
    minimum = settings.minimum_bytes
    return sizes.actual_bytes - step_bytes(
        trim, demand.stalls, sizes, minimum_bytes=minimum, at_s=demand.at_s, policy=policy
    )


def _floor_bytes(demand: DemandState, sizes: Sizes, policy: Policy, *, safe: bool) -> int:
    """Say what a shrink leaves available in a guest: a share of what is its own."""
    own = demand.statistics.total_bytes - sizes.inside_bytes
    share = policy.floor_ratio if safe else policy.wide_floor_ratio
    return max(policy.floor_low_bytes, int(own * share))


def _pageable_bytes(sizes: Sizes, *, safe: bool) -> int:
    # SAFETY: a balloon that does not give way before an OOM kill must not make its guest page;
    # an unplug stops by itself when the guest's kernel can give no more.
    return sizes.actual_bytes if safe else sizes.plugged_bytes


def _settling(state: GuestState, now_s: float, policy: Policy) -> Reason | None:
    # SAFETY: a guest that starts, or comes back, looks idle for a moment and is not.
    wait_s = state.disturbed_at_s + policy.settle_s - now_s
    return because(ReasonCode.SETTLING, wait_s=wait_s) if wait_s > 0 else None


def _resting(trust: Trust, now_s: float, did: str) -> Reason | None:
    # SAFETY: what did not work a moment ago is not tried again at once.
    wait_s = trust.rest_until_s - now_s
    if wait_s <= 0:
        return None
    return because(ReasonCode.RESTING, wait_s=wait_s, failures=trust.failures, did=did)


def _offline(demand: DemandState, state: GuestState, now_s: float, policy: Policy) -> Reason | None:
    """Say whether it was plugged with memory that it cannot use: more would be lost as well."""
    unshown = unshown_bytes(demand)
    if not unshown or now_s - state.grown_at_s < policy.stuck_s:
        return None
    return because(ReasonCode.OFFLINE, offline_bytes=unshown)


def _reach_bytes(demand: DemandState, sizes: Sizes) -> int | None:
    """Say to what size it can be grown at once: what was plugged last has to show first."""
    if unshown_bytes(demand):
        return sizes.actual_bytes + sizes.balloon_bytes
    return reach_bytes(sizes, demand.statistics)


def claim_of(line: Line) -> Claim:
    """Turn what a guest needs now into its claim on the host's memory."""
    least, most = bounds_of(line)
    return Claim(
        guest=line.guest,
        minimum_bytes=least,
        demand_bytes=doubted(need_bytes(line), line.credible_bytes),
        want_bytes=doubted(line.buffered_bytes, line.credible_bytes),
        maximum_bytes=most,
        weight=line.weight,
    )


def bounds_of(line: Line) -> tuple[int, int]:
    """Say the least and the most that a guest may be given now."""
    least = least_bytes(line)
    # What a guest did not take when it was granted is not kept from the others.
    most = line.maximum_bytes if line.refuse is None else line.actual_bytes
    return least, max(most, least)


def need_bytes(line: Line) -> int:
    """Round a need up to what can be given: a guest must not stay short by a fraction of a step.

    One that is trimmed claims no more than it is trimmed to.
    """
    needed, trim = line.demand_bytes, line.trim_bytes
    needed = needed if trim is None else min(needed, trim)
    return -(-needed // line.granularity_bytes) * line.granularity_bytes


def least_bytes(line: Line) -> int:
    """Say what a guest will keep, whatever is asked of others."""
    guaranteed = _guaranteed_bytes(line)
    # A stuck unplug may fall back to the balloon once, before the guest is left to rest.
    if line.stay is None or line.stuck_plug:
        return guaranteed
    # SAFETY: what does not come out of it now counts as taken: others are asked. Not for what it
    # cannot be using: that is promised to it and granted to nobody, and no neighbour pays for it.
    return max(guaranteed, doubted(line.actual_bytes, line.credible_bytes))


def _guaranteed_bytes(line: Line) -> int:
    # SAFETY: whatever happens to the host or to others, a guest's minimum is its own.
    return line.minimum_bytes
