"""What a guest needs, from what it says of itself.

Demand must not depend on what the guest was given, or the loop ratchets: page cache that merely
fills the memory at hand is not demand, and memory just handed out is not demand. In the terms of
the guest's assigned size (so that demand = assigned means "exactly enough"):

    demand = used + kernel + returning + refaulted
    used      = total - available (less the balloon, where ballooned pages stay inside total)
    kernel    = assigned - total: what the guest's kernel keeps for itself and never shows
    returning = swapped-out pages that came back within a minute, or that left within it and have
                not had room to come back for some seconds
    refaulted = file pages read back within a minute, at most the page cache: those that a program
                in the guest counts, else those that major faults let guess

With `source = "committed"` demand is what the guest's programs were promised and its kernel's
floor, as Hyper-V has it: never less than the above, never more than the guest may have.

It is known at once, both ways. Slowness belongs to `recent_bytes`, which rises with demand and
falls with a half-life, and to `growth_bytes_per_s`: what a guest should have is made of these
(`wants`). Everything here is a guest's own word: a counter that it leaves out for once neither
looks like another boot nor, when it is back, like a burst of paging.
"""

from __future__ import annotations

import math
from dataclasses import replace

from barostat.core.adaptive import tuned
from barostat.core.demand_state import DemandState
from barostat.core.growth import first_marks, risen
from barostat.core.observation import GuestObservation
from barostat.core.policy import DemandSource, Policy
from barostat.core.settings import MemorySettings
from barostat.core.sizes import Sizes
from barostat.core.stalls import Stalls, begun, measured
from barostat.core.statistics import Inside, Statistics
from barostat.core.trimming import Trim, trimmed, under_way
from barostat.core.unshown import uncounted_bytes
from barostat.core.usage import (
    committed_demand_bytes,
    counters_fell,
    hidden_bytes,
    in_distress,
    restarted,
    returning_bytes,
    used_bytes,
    with_last_known,
)
from barostat.core.volumes import Volumes, moved
from barostat.core.wants import wanted_bytes

__all__ = ["DemandState", "estimate"]


def estimate(
    previous: DemandState | None,
    guest: GuestObservation,
    sizes: Sizes,
    *,
    settings: MemorySettings | None,
    tight: bool,
    policy: Policy,
) -> DemandState | None:
    """Bring a guest's demand up to its newest statistics.

    Args:
        previous: the state after the guest's last statistics, None at first sight or after a
            reset.
        guest: as seen now.
        sizes: its devices, measured.
        settings: what its operator wants, None if nothing was said.
        tight: memory is short on the host, so a fallen demand is forgotten sooner.
        policy: half-lives and thresholds.

    Returns:
        The new state; `previous` itself when the guest said nothing new.
    """
    now = guest.statistics
    if now is None:
        return previous
    if previous is None:
        return _first(guest, sizes, now, settings=settings, policy=policy)
    if guest.statistics_at_s <= previous.at_s:
        return previous
    if counters_fell(previous.statistics, now):
        if restarted(previous.statistics, now):
            return _first(guest, sizes, now, settings=settings, policy=policy)
        now = with_last_known(previous.statistics, now)
    half_life_s = policy.tight_half_life_s if tight else policy.half_life_s
    state = _next(
        previous, guest, sizes, now, settings=settings, half_life_s=half_life_s, policy=policy
    )
    if policy.demand.adaptive or policy.demand.trim:
        return _learned(previous, state, guest, settings=settings, policy=policy)
    return state


def _first(
    guest: GuestObservation,
    sizes: Sizes,
    now: Statistics,
    *,
    settings: MemorySettings | None,
    policy: Policy,
) -> DemandState:
    at_s, assigned, inside = guest.statistics_at_s, sizes.actual_bytes, guest.inside
    used, kernel = used_bytes(now, sizes.inside_bytes), hidden_bytes(sizes, now)
    demand, source = used + kernel, DemandSource.USED
    if inside is not None:
        demand, source = _by_source(demand, inside, sizes, settings, policy)
    return DemandState(
        at_s=at_s,
        statistics=now,
        sizes=sizes,
        assigned_before_bytes=assigned,
        demand_bytes=demand,
        recent_bytes=demand,
        used_bytes=used,
        kernel_bytes=kernel,
        uncounted_bytes=uncounted_bytes(None, sizes, now, elapsed_s=0.0, policy=policy),
        marks=first_marks(at_s, demand),
        source=source,
        inside=inside,
        stalls=None if inside is None else begun(inside, now, assigned_bytes=assigned),
        tuning=tuned(None, at_s, short=False, policy=policy),
        trim=Trim(at_s, demand) if policy.demand.trim else None,
    )


def _next(
    previous: DemandState,
    guest: GuestObservation,
    sizes: Sizes,
    now: Statistics,
    *,
    settings: MemorySettings | None,
    half_life_s: float,
    policy: Policy,
) -> DemandState:
    at_s, inside = guest.statistics_at_s, guest.inside
    elapsed_s = at_s - previous.at_s
    used, kernel = _consistent_used(previous, sizes, now), _kernel_bytes(previous, sizes, now)
    volumes = moved(
        previous, now, inside, used_bytes=used, elapsed_s=elapsed_s, minute_s=policy.minute_s
    )
    returned, paged_out, refaulted, coming_ratio, *_ = volumes
    returning = 0
    if now.swap_out_bytes > now.swap_in_bytes:
        returning = returning_bytes(now, returned, paged_out, coming_ratio=coming_ratio)
    cached = min(now.disk_caches_bytes or 0, int(refaulted))
    demand, source = used + kernel + returning + cached, DemandSource.USED
    if inside is not None:
        demand, source = _by_source(demand, inside, sizes, settings, policy)
    marks = previous.marks or first_marks(previous.at_s, previous.demand_bytes)
    if source is not previous.source:  # another measure is no growth
        marks = first_marks(at_s, demand)
    rising, marks = risen(marks, at_s, demand, policy.tick_s)
    remembered = previous.growth_bytes_per_s * math.exp2(-elapsed_s / policy.growth_half_life_s)
    fallen = max(0, previous.recent_bytes - demand) * math.exp2(-elapsed_s / half_life_s)
    stalls = None if inside is None else _stalls(previous, inside, sizes, now, policy)
    return DemandState(
        at_s=at_s,
        statistics=now,
        sizes=sizes,
        assigned_before_bytes=previous.sizes.actual_bytes,
        demand_bytes=demand,
        recent_bytes=demand + int(fallen),
        used_bytes=used,
        kernel_bytes=kernel,
        uncounted_bytes=uncounted_bytes(previous, sizes, now, elapsed_s=elapsed_s, policy=policy),
        rising_bytes_per_s=rising,
        growth_bytes_per_s=max(rising, remembered),
        returned_bytes=returned,
        paged_out_bytes=paged_out,
        refaulted_bytes=refaulted,
        coming_ratio=coming_ratio,
        distressed=_distressed(previous, now, sizes, volumes, policy),
        marks=marks,
        source=source,
        inside=inside,
        stalls=stalls,
        harmed_at_s=at_s if stalls is not None and stalls.harmed else previous.harmed_at_s,
    )


def _stalls(
    previous: DemandState, inside: Inside, sizes: Sizes, now: Statistics, policy: Policy
) -> Stalls | None:
    """Bring up to date how long the guest waits for memory."""
    if previous.stalls is None or previous.inside is None:
        return begun(inside, now, assigned_bytes=sizes.actual_bytes)
    if inside.at_s <= previous.inside.at_s:
        return previous.stalls
    return measured(previous.stalls, inside, now, assigned_bytes=sizes.actual_bytes, policy=policy)


def _distressed(
    previous: DemandState, now: Statistics, sizes: Sizes, volumes: Volumes, policy: Policy
) -> bool:
    """Say whether it pages for want of memory. What leaves one that is trimmed was to leave."""
    *_, swapped, swapped_out = volumes
    trim = previous.trim
    if trim is None or not under_way(trim, previous.at_s, policy):
        swapped += swapped_out
    return in_distress(
        previous.statistics,
        now,
        inside_bytes=sizes.inside_bytes,
        swap_bytes=swapped,
        short_ratio=policy.distress_ratio,
    )


def _by_source(
    used: int, inside: Inside, sizes: Sizes, settings: MemorySettings | None, policy: Policy
) -> tuple[int, DemandSource]:
    """Say what a guest needs by what demand is to be made of, and of what it is made.

    A guest that does not say what it committed to is judged by what it uses.
    """
    if policy.demand.source is DemandSource.USED or inside.committed_bytes is None:
        return used, DemandSource.USED
    committed = committed_demand_bytes(inside.committed_bytes, sizes)
    return max(used, min(committed, _most_bytes(settings, sizes))), DemandSource.COMMITTED


def _most_bytes(settings: MemorySettings | None, sizes: Sizes) -> int:
    ceiling = sizes.ceiling_bytes
    return ceiling if settings is None else min(settings.maximum_bytes, ceiling)


def _learned(
    previous: DemandState,
    state: DemandState,
    guest: GuestObservation,
    *,
    settings: MemorySettings | None,
    policy: Policy,
) -> DemandState:
    """Have the guest's buffer learn from what it should have had, and see whether it is calm."""
    tuning, trim = previous.tuning, None
    if settings is not None:
        wanted = wanted_bytes(previous, buffer_percent=settings.buffer_percent, policy=policy)
        short = min(state.demand_bytes, _most_bytes(settings, state.sizes)) > wanted
        tuning = tuned(previous.tuning, state.at_s, short=short, policy=policy)
    if policy.demand.trim:
        trim = trimmed(
            previous.trim or Trim(state.at_s, state.demand_bytes),
            guest,
            state.demand_bytes,
            assigned_bytes=state.sizes.actual_bytes,
            stalls=state.stalls,
            distressed=state.distressed,
            policy=policy,
        )
    return replace(state, tuning=tuning, trim=trim)


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
