"""What a guest should have for what it needs, and what of its own it can give.

To the demand, now and lately, comes the larger of the buffer and what the guest grows until the
next decision has taken effect. What a guest needs that pages with nothing left, or waits for
memory, cannot be seen: it is offered more than it has, as a buffer.
"""

from __future__ import annotations

from barostat.core.demand_state import DemandState
from barostat.core.policy import Policy

__all__ = ["available_bytes", "buffered_bytes", "lately_bytes", "wanted_bytes"]


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
    decision has taken effect; twice what it had when it was found in distress, and what it should
    have for having waited for memory.
    """
    rising = state.rising_bytes_per_s
    want = _ahead(state, state.demand_bytes, rising, buffer_percent, policy)
    if state.distressed:
        want = max(want, 2 * min(state.assigned_before_bytes, state.sizes.actual_bytes))
    return want if state.stalls is None else max(want, state.stalls.want_bytes)


def lately_bytes(state: DemandState, *, buffer_percent: int, policy: Policy) -> int:
    """Say what the guest should have for what it needed, and how it grew, lately."""
    growth = state.growth_bytes_per_s
    return _ahead(state, state.recent_bytes, growth, buffer_percent, policy)


def wanted_bytes(state: DemandState, *, buffer_percent: int, policy: Policy) -> int:
    """Say what the guest should have where there is plenty."""
    return max(
        buffered_bytes(state, buffer_percent=buffer_percent, policy=policy),
        lately_bytes(state, buffer_percent=buffer_percent, policy=policy),
    )


def _ahead(
    state: DemandState,
    need_bytes: int,
    growth_bytes_per_s: float,
    buffer_percent: int,
    policy: Policy,
) -> int:
    buffer = need_bytes * buffer_percent // 100
    if state.tuning is not None:
        if state.tuning.extra_ratio >= policy.demand.adaptive_cap:
            return max(need_bytes, state.sizes.ceiling_bytes)
        buffer += int(need_bytes * state.tuning.extra_ratio)
    if growth_bytes_per_s <= 0:
        return need_bytes + buffer
    growth = growth_bytes_per_s * (policy.tick_s + policy.latency_s)
    return need_bytes + max(buffer, int(min(growth, need_bytes * policy.growth_cap_ratio)))
