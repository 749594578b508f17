"""Whom to ask for memory, and for how much. Small steps, bounded by what the guest can spare.

Memory that others wait for is taken from those with the most to spare; below what a guest needs
only while another guest, or a VM that starts, waits for it. The pool is filled from what nobody
needs. Memory that nobody waits for is taken back slowly.
"""

from __future__ import annotations

from collections.abc import Sequence

from barostat.core.moves import Line, Move, MoveKind
from barostat.core.policy import Policy
from barostat.core.reasons import Reason, ReasonCode, because, percent

__all__ = ["take"]


def take(
    lines: Sequence[Line],
    *,
    waited_for_bytes: int,
    pool_bytes: int,
    reason: Reason,
    now_s: float,
    policy: Policy,
    sparing: bool = True,
) -> None:
    """Ask guests for what is missing, and all for a trickle.

    Args:
        lines: guests that may be asked and have nothing outstanding.
        waited_for_bytes: what guests and starting VMs miss, beyond what is in hand or on its way;
            below zero where some of that is left for the pool.
        pool_bytes: what should stay in hand besides.
        reason: who waits.
        now_s: the snapshot's clock.
        policy: pace.
        sparing: those that needed back what was taken from them are left alone for a while.
    """
    missing = waited_for_bytes + pool_bytes
    above = []
    for line in lines:
        if line.excess_bytes >= line.granularity_bytes:
            above.append(line)
        else:
            line.holds.append(_enough(line))
    for line in sorted(above, key=lambda line: _order(line, policy)):
        rest = _rest(line, now_s) if sparing else None
        step, why = _step(
            line, missing, rest, pool_bytes=pool_bytes, reason=reason, now_s=now_s, policy=policy
        )
        if step < line.granularity_bytes:
            line.holds.append(why)
            continue
        by_balloon = missing > 0 and line.stuck_plug
        line.move = Move(
            guest=line.guest,
            kind=MoveKind.SHRINK,
            from_bytes=line.actual_bytes,
            to_bytes=line.actual_bytes - step,
            reasons=_reasons(line, step, why, by_balloon=by_balloon),
            by_balloon=by_balloon,
        )
        missing -= step


def _order(line: Line, policy: Policy) -> tuple[bool, float, str]:
    """Those that can spare something first, the largest share of it; then those furthest above."""
    painless = min(line.surplus_bytes, spare_bytes(line, policy))
    needed = painless < line.granularity_bytes
    above = line.excess_bytes if needed else painless
    return (needed, -above / max(1, line.actual_bytes), line.guest)


def _rest(line: Line, now_s: float) -> Reason | None:
    """Say why a guest is not made to page for other guests now, if it is not."""
    last = line.squeeze
    if last is None or not last.spares(line.excess_bytes, now_s):
        return None
    wait_s = last.rest_until_s - now_s
    return because(ReasonCode.REGAINED, regained_bytes=last.regained_bytes, wait_s=wait_s)


def _step(
    line: Line,
    missing: int,
    rest: Reason | None,
    *,
    pool_bytes: int,
    reason: Reason,
    now_s: float,
    policy: Policy,
) -> tuple[int, Reason]:
    """Say how much to ask of a guest now, and why, or why nothing."""
    idle = missing <= 0
    worthwhile = line.excess_bytes >= line.dead_band_bytes or _too_large(line)
    trim = line.trim_bytes
    if idle and not worthwhile and trim is None:
        return 0, _enough(line)
    if line.stay is not None and (idle or not line.stuck_plug):
        return 0, line.stay
    if idle and trim is not None and not worthwhile:
        return _trim(line, trim, policy)
    if idle:
        return _trickle(line, now_s, policy)
    return _wanted(line, missing, pool_bytes, rest=rest, reason=reason, policy=policy)


def _too_large(line: Line) -> bool:
    return line.actual_bytes > line.maximum_bytes


def _enough(line: Line) -> Reason:
    if line.refuse is not None and line.want_bytes > line.actual_bytes:
        return line.refuse
    if line.stay is not None and line.actual_bytes - line.want_bytes >= line.dead_band_bytes:
        return line.stay
    if line.trim_bytes is not None:
        return _calm(line)
    if line.demand_bytes - line.actual_bytes >= line.granularity_bytes:
        return because(
            ReasonCode.SHORT, demand_bytes=line.demand_bytes, target_bytes=line.target_bytes
        )
    return because(
        ReasonCode.ENOUGH, assigned_bytes=line.actual_bytes, target_bytes=line.target_bytes
    )


def _wanted(
    line: Line,
    missing: int,
    pool_bytes: int,
    *,
    rest: Reason | None,
    reason: Reason,
    policy: Policy,
) -> tuple[int, Reason]:
    """Say how much to ask of a guest while others wait: first what it can spare."""
    granularity = line.granularity_bytes
    spare = spare_bytes(line, policy)
    painless = min(line.surplus_bytes, spare)
    if painless >= granularity:
        worthwhile = max(missing, line.dead_band_bytes)
        return min(worthwhile, painless, policy.step_high_bytes), reason
    if line.target_bytes >= line.demand_bytes:
        return 0, _nothing_to_spare(line)
    trim = line.trim_bytes
    if trim is not None and line.target_bytes >= trim:  # it is not short: it is found to be calm
        return _trim(line, trim, policy)
    needed = _needed_by_others_bytes(line, missing - pool_bytes)
    if needed < granularity:
        return 0, _in_use(line)
    return (0, rest) if rest else _of_its_need(line, needed, reason, policy)


def _of_its_need(line: Line, needed: int, reason: Reason, policy: Policy) -> tuple[int, Reason]:
    """Say how much to ask of what a guest needs itself: first what its kernel has at hand."""
    granularity, spare = line.granularity_bytes, spare_bytes(line, policy)
    if spare >= granularity:
        return min(needed, spare, policy.step_high_bytes), reason
    if line.pageable_bytes < granularity:
        return 0, because(ReasonCode.NO_SAFE_PAGING, demand_bytes=line.demand_bytes)
    pace = max(policy.paging_low_bytes, int(line.actual_bytes * policy.paging_ratio))
    return min(needed, pace, line.pageable_bytes), reason


def _needed_by_others_bytes(line: Line, waited_for_bytes: int) -> int:
    """Say how much of what a guest needs itself may be taken from it."""
    # SAFETY: what a guest needs is taken only for others who need it more, never for the pool.
    return min(line.excess_bytes, waited_for_bytes)


def spare_bytes(line: Line, policy: Policy) -> int:
    """Say what one step may take of what the guest has available."""
    # SAFETY: a shrink is greedy, the guest gives until nothing is left: the bound is ours to keep.
    share = int(line.available_bytes * policy.spare_ratio)
    return max(0, min(line.available_bytes - line.floor_bytes, share))


def _in_use(line: Line) -> Reason:
    return because(
        ReasonCode.IN_USE, demand_bytes=line.demand_bytes, assigned_bytes=line.actual_bytes
    )


def _nothing_to_spare(line: Line) -> Reason:
    return because(ReasonCode.NOTHING_TO_SPARE, available_bytes=line.available_bytes)


def _trickle(line: Line, now_s: float, policy: Policy) -> tuple[int, Reason]:
    """Say how much to take back of what nobody waits for: a little, now and then."""
    too_large = _too_large(line)
    excess = line.excess_bytes if too_large else line.surplus_bytes
    if excess < line.granularity_bytes:
        return 0, _in_use(line)
    due_s = max(
        line.grown_at_s + policy.grow_hold_s,
        line.shrunk_at_s + policy.trickle_s,
        _held_until_s(line, policy),
    )
    if now_s < due_s and not too_large:
        wait_s = due_s - now_s
        return 0, because(ReasonCode.SPARE, excess_bytes=excess, wait_s=wait_s)
    pace = max(int(line.actual_bytes * policy.trickle_ratio), line.granularity_bytes)
    step = min(excess, pace, spare_bytes(line, policy))
    if step < line.granularity_bytes:
        return 0, _nothing_to_spare(line)
    return step, because(ReasonCode.TRICKLE, excess_bytes=excess)


def _held_until_s(line: Line, policy: Policy) -> float:
    # SAFETY: what lies idle for a moment in a guest that just waited for memory is not idle.
    return line.harmed_at_s + policy.demand.stall_hold_s


def _trim(line: Line, to_bytes: int, policy: Policy) -> tuple[int, Reason]:
    """Say how much a guest that does not notice is trimmed by."""
    can_give = max(spare_bytes(line, policy), line.pageable_bytes)
    step = min(line.excess_bytes, line.actual_bytes - to_bytes, can_give)
    if step < line.granularity_bytes:
        return 0, _calm(line)
    return step, because(ReasonCode.TRIMMED, stall_percent=percent(line.stall_ratio))


def _calm(line: Line) -> Reason:
    return because(
        ReasonCode.CALM,
        assigned_bytes=line.actual_bytes,
        stall_percent=percent(line.stall_ratio),
    )


def _reasons(line: Line, step: int, why: Reason, *, by_balloon: bool) -> tuple[Reason, ...]:
    reasons = [why]
    if _too_large(line):
        reasons.append(because(ReasonCode.ABOVE_MAXIMUM, maximum_bytes=line.maximum_bytes))
    if line.actual_bytes - step < line.demand_bytes and why.code is not ReasonCode.TRIMMED:
        paged = because(
            ReasonCode.PAGED, demand_bytes=line.demand_bytes, target_bytes=line.target_bytes
        )
        reasons.append(paged)
    if by_balloon:
        reasons.append(because(ReasonCode.BY_BALLOON, plugged_bytes=line.plugged_bytes))
    return tuple(reasons)
