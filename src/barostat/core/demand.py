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
Everything here is a guest's own word: a counter that it leaves out for once neither looks like
another boot nor, when it is back, like a burst of paging.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from barostat.core.observation import GuestObservation
from barostat.core.policy import Policy
from barostat.core.sizes import Sizes
from barostat.core.statistics import Statistics
from barostat.core.usage import (
    counters_fell,
    hidden_bytes,
    in_distress,
    restarted,
    returning_bytes,
    used_bytes,
    with_last_known,
)

__all__ = ["DemandState", "available_bytes", "buffered_bytes", "estimate", "lately_bytes"]

PAGE_BYTES: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class DemandState:
    """A guest's demand as of its newest statistics, and what the next estimate needs.

    Attributes:
        at_s: when the statistics were new.
        statistics: those; figures left out are as last known.
        sizes: its devices as seen with them.
        assigned_before_bytes: what it had at the look before: it may have spoken at any moment
            since then.
        demand_bytes: what the guest needs, in terms of its assigned size.
        recent_bytes: the highest recent demand, falling with a half-life.
        used_bytes: what it uses that cannot be dropped, as far as is known while it is resized.
        kernel_bytes: what the guest's kernel keeps, last measured with its devices at rest.
        rising_bytes_per_s: how fast demand has grown since the look before.
        growth_bytes_per_s: the fastest recent growth, falling with a half-life.
        returned_bytes, paged_out_bytes, refaulted_bytes: volumes of about the last minute.
        distressed: it pages and has next to nothing available: more is needed than can be seen.
    """

    at_s: float
    statistics: Statistics
    sizes: Sizes
    assigned_before_bytes: int
    demand_bytes: int
    recent_bytes: int
    used_bytes: int
    kernel_bytes: int
    rising_bytes_per_s: float = 0.0
    growth_bytes_per_s: float = 0.0
    returned_bytes: float = 0.0
    paged_out_bytes: float = 0.0
    refaulted_bytes: float = 0.0
    distressed: bool = False


def estimate(
    previous: DemandState | None,
    guest: GuestObservation,
    sizes: Sizes,
    *,
    tight: bool,
    policy: Policy,
) -> DemandState | None:
    """Bring a guest's demand up to its newest statistics.

    Args:
        previous: the state after the guest's last statistics, None at first sight or after a
            reset.
        guest: as seen now.
        sizes: its devices, measured.
        tight: memory is short on the host, so a fallen demand is forgotten sooner.
        policy: half-lives and thresholds.

    Returns:
        The new state; `previous` itself when the guest said nothing new.
    """
    now = guest.statistics
    if now is None:
        return previous
    if previous is None:
        return _first(guest.statistics_at_s, sizes, now)
    at_s = guest.statistics_at_s
    if at_s <= previous.at_s:
        return previous
    before = previous.statistics
    if counters_fell(before, now):
        now = with_last_known(before, now)
        if restarted(before, now):
            return _first(at_s, sizes, now)
    half_life_s = policy.tight_half_life_s if tight else policy.half_life_s
    return _next(previous, at_s, sizes, now, half_life_s=half_life_s, policy=policy)


def _first(at_s: float, sizes: Sizes, now: Statistics) -> DemandState:
    used, kernel = used_bytes(now, sizes.inside_bytes), hidden_bytes(sizes, now)
    return DemandState(
        at_s=at_s,
        statistics=now,
        sizes=sizes,
        assigned_before_bytes=sizes.actual_bytes,
        demand_bytes=used + kernel,
        recent_bytes=used + kernel,
        used_bytes=used,
        kernel_bytes=kernel,
    )


def _next(
    previous: DemandState,
    at_s: float,
    sizes: Sizes,
    now: Statistics,
    *,
    half_life_s: float,
    policy: Policy,
) -> DemandState:
    before, elapsed_s = previous.statistics, at_s - previous.at_s
    swapped_in = max(0, now.swap_in_bytes - before.swap_in_bytes)
    swapped_out = now.swap_out_bytes - before.swap_out_bytes
    read_back = (now.major_faults - before.major_faults) * PAGE_BYTES
    fade = math.exp(-elapsed_s / policy.minute_s)
    returned = previous.returned_bytes * fade + swapped_in
    paged_out = previous.paged_out_bytes * fade + swapped_out
    refaulted = previous.refaulted_bytes * fade + max(0, read_back - swapped_in)

    used, kernel = _consistent_used(previous, sizes, now), _kernel_bytes(previous, sizes, now)
    returning = returning_bytes(now, returned, paged_out, arriving_bytes=swapped_in)
    demand = used + kernel + returning + min(now.disk_caches_bytes or 0, int(refaulted))
    rising = max(0, demand - previous.demand_bytes) / max(elapsed_s, policy.tick_s / 2)
    remembered = previous.growth_bytes_per_s * math.exp2(-elapsed_s / policy.growth_half_life_s)
    fallen = max(0, previous.recent_bytes - demand) * math.exp2(-elapsed_s / half_life_s)
    return DemandState(
        at_s=at_s,
        statistics=now,
        sizes=sizes,
        assigned_before_bytes=previous.sizes.actual_bytes,
        demand_bytes=demand,
        recent_bytes=demand + int(fallen),
        used_bytes=used,
        kernel_bytes=kernel,
        rising_bytes_per_s=rising,
        growth_bytes_per_s=max(rising, remembered),
        returned_bytes=returned,
        paged_out_bytes=paged_out,
        refaulted_bytes=refaulted,
        distressed=in_distress(
            before,
            now,
            inside_bytes=sizes.inside_bytes,
            swap_bytes=swapped_in + swapped_out,
            short_ratio=policy.distress_ratio,
        ),
    )


def _consistent_used(previous: DemandState, sizes: Sizes, now: Statistics) -> int:
    """Say how much is used when the balloon may have moved between the looks.

    The statistics and the balloon's size are not of the same instant. While the balloon moves,
    `used` is only known to lie between two bounds; of those values the one nearest to what was
    believed before is taken, so that moving the balloon never looks like demand.
    """
    was, inside = previous.sizes.inside_bytes, sizes.inside_bytes
    used = used_bytes(now, inside)
    if was == inside:
        return used
    other = used_bytes(now, was)
    return max(min(used, other), min(previous.used_bytes, max(used, other)))


def _kernel_bytes(previous: DemandState, sizes: Sizes, now: Statistics) -> int:
    """Measure what the guest's kernel keeps, while nothing moves.

    It does not grow after boot. Plugged memory that is not online yet, or never will be, looks
    just like it: so while anything is plugged it is only ever found to be less.
    """
    if previous.sizes != sizes:
        return previous.kernel_bytes
    hidden = hidden_bytes(sizes, now)
    return min(previous.kernel_bytes, hidden) if sizes.plugged_bytes else hidden


def available_bytes(state: DemandState, *, assigned_bytes: int, fresh: bool) -> int:
    """Say what the guest can still give without paging, on the safe side.

    What it gave since the look before it spoke may not have been given yet when it spoke: it
    counts as gone, unless it spoke just now.

    Args:
        state: its last estimate.
        assigned_bytes: what it has now.
        fresh: it spoke at the moment at which it was seen to have that.
    """
    # SAFETY: two steps must not be taken out of the same available memory.
    given = 0 if fresh else max(0, state.assigned_before_bytes - assigned_bytes)
    return max(0, state.statistics.available_bytes - given)


def buffered_bytes(state: DemandState, *, buffer_percent: int, policy: Policy) -> int:
    """Say what the guest should have for what it needs now.

    The larger of its demand plus the buffer, and its demand plus what it is growing until the next
    decision has taken effect; twice what it had when it was found in distress.
    """
    want = _ahead(state.demand_bytes, state.rising_bytes_per_s, buffer_percent, policy)
    if not state.distressed:
        return want
    return max(want, 2 * min(state.assigned_before_bytes, state.sizes.actual_bytes))


def lately_bytes(state: DemandState, *, buffer_percent: int, policy: Policy) -> int:
    """Say what the guest should have for what it needed, and how it grew, lately."""
    return _ahead(state.recent_bytes, state.growth_bytes_per_s, buffer_percent, policy)


def _ahead(need_bytes: int, growth_bytes_per_s: float, buffer_percent: int, policy: Policy) -> int:
    buffer = need_bytes * buffer_percent // 100
    if growth_bytes_per_s <= 0:
        return need_bytes + buffer
    growth = growth_bytes_per_s * (policy.tick_s + policy.latency_s)
    return need_bytes + max(buffer, int(min(growth, need_bytes * policy.growth_cap_ratio)))
