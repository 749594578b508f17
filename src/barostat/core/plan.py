"""From targets to moves: take first, then give; small steps; a reason for each, and for each hold.

Grows are served at once, from memory in hand only. What is missing in hand is taken from those
who have more than their target, no more than is missing, and reaches the growers in a later
decision, when it has been seen to leave. Memory that nobody waits for is taken back slowly. One
wish at a time is outstanding with a guest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from barostat.core.cooperation import Verdict
from barostat.core.ledger import Ledger
from barostat.core.moves import Line, Move, MoveKind
from barostat.core.policy import Policy
from barostat.core.reasons import Reason, ReasonCode, because

__all__ = ["plan", "spare_bytes"]


def plan(
    lines: Sequence[Line],
    ledger: Ledger,
    *,
    now_s: float,
    pool_bytes: int,
    awaited_bytes: int,
    policy: Policy,
) -> None:
    """Write a move, or the reasons for none, into every line.

    Args:
        lines: guests that may be moved, with their targets.
        ledger: opened for every guest of the host; grants are entered.
        now_s: the snapshot's clock.
        pool_bytes: what should stay in hand; only guests below their demand may draw on it.
        awaited_bytes: what VMs that wait to start need; set aside before anyone grows.
        policy: pace and patience.
    """
    open_lines = [line for line in lines if not _settle_last_wish(line)]
    growers, others = _split(open_lines, ledger, policy)
    unmet = _give(growers, ledger, pool_bytes, awaited_bytes, policy)
    on_the_way = sum(max(0, line.actual_bytes - line.goal_bytes) for line in lines if not line.move)
    missing = unmet + pool_bytes + awaited_bytes - ledger.in_hand_bytes - on_the_way
    reason = _taken_for(growers, awaited_bytes, ledger)
    _take(others, max(0, missing), reason, now_s, policy)


def _settle_last_wish(line: Line) -> bool:
    """Deal with a wish that is still outstanding. True where the line is done with."""
    if line.foreign:
        line.move = _cancel(line, because(ReasonCode.ADOPTED, assigned_bytes=line.actual_bytes))
        return True
    match line.verdict:
        case Verdict.IDLE:
            return False
        case Verdict.STUCK:
            line.move = _cancel(line, because(ReasonCode.STUCK, missing_bytes=_distance(line)))
            return True
        case Verdict.MOVING | Verdict.NUDGE:
            return _overtake(line) if _needs_more(line) else _wait(line)
        case _:
            assert_never(line.verdict)


def _needs_more(line: Line) -> bool:
    return line.urgent and line.target_bytes > line.goal_bytes


def _overtake(line: Line) -> bool:
    """Let a pressing need overtake the last wish. True where cancelling it is enough."""
    if line.goal_bytes >= line.actual_bytes:
        return False
    # An abandoned shrink keeps biting, minutes later, if it is not cancelled.
    needed = because(ReasonCode.NEEDED_BACK, demand_bytes=line.demand_bytes)
    line.move = _cancel(line, needed)
    return line.target_bytes <= line.actual_bytes


def _wait(line: Line) -> bool:
    if line.verdict is Verdict.NUDGE:
        line.move = Move(
            guest=line.guest,
            kind=MoveKind.NUDGE,
            from_bytes=line.actual_bytes,
            to_bytes=line.goal_bytes,
            reasons=(because(ReasonCode.NUDGED, missing_bytes=_distance(line)),),
        )
    line.holds.append(because(ReasonCode.MOVING, goal_bytes=line.goal_bytes))
    return True


def _distance(line: Line) -> int:
    return abs(line.actual_bytes - line.goal_bytes)


def _cancel(line: Line, reason: Reason) -> Move:
    return Move(
        guest=line.guest,
        kind=MoveKind.CANCEL,
        from_bytes=line.actual_bytes,
        to_bytes=line.actual_bytes,
        reasons=(reason,),
    )


def _split(lines: Sequence[Line], ledger: Ledger, policy: Policy) -> tuple[list[Line], list[Line]]:
    """Tell those to be served, in the order of service, from the rest."""
    growers: list[Line] = []
    others: list[Line] = []
    for line in lines:
        gap = line.target_bytes - ledger.promised_to(line.guest)
        eager = line.urgent or line.actual_bytes < line.minimum_bytes
        band = 0 if eager else policy.dead_band_bytes(line.actual_bytes)
        (growers if gap >= max(band, line.granularity_bytes) else others).append(line)
    growers.sort(key=_service_order)
    return growers, others


def _service_order(line: Line) -> tuple[bool, int, float, str]:
    pressure = line.demand_bytes / max(1, line.actual_bytes)
    return (not line.urgent, -line.weight, -pressure, line.guest)


def _give(
    growers: Sequence[Line], ledger: Ledger, pool_bytes: int, awaited_bytes: int, policy: Policy
) -> int:
    """Serve the growers from what is in hand.

    Returns:
        What they still miss, in bytes.
    """
    unmet = 0
    for line in growers:
        promised = ledger.promised_to(line.guest)
        needed = min(line.target_bytes, max(line.demand_bytes, line.minimum_bytes))
        # SAFETY: buffers never draw on the pool, nor on what a starting VM waits for.
        granted = ledger.grant(line.guest, needed, leave_bytes=awaited_bytes)
        leave = max(pool_bytes, awaited_bytes)
        granted = ledger.grant(line.guest, line.target_bytes, leave_bytes=leave)
        unmet += line.target_bytes - granted
        if granted - promised < line.granularity_bytes:
            waiting = because(
                ReasonCode.WAITING,
                target_bytes=line.target_bytes,
                missing_bytes=line.target_bytes - promised,
            )
            line.holds.append(waiting)
            continue
        line.move = Move(
            guest=line.guest,
            kind=MoveKind.GROW,
            from_bytes=line.actual_bytes,
            to_bytes=granted,
            reasons=_grow_reasons(line, granted, policy),
        )
    return unmet


def _grow_reasons(line: Line, granted: int, policy: Policy) -> tuple[Reason, ...]:
    reasons = []
    if line.actual_bytes < line.minimum_bytes:
        reasons.append(because(ReasonCode.BELOW_MINIMUM, minimum_bytes=line.minimum_bytes))
    if line.distressed:
        reasons.append(because(ReasonCode.DISTRESS, available_bytes=line.available_bytes))
    ahead = int(line.growth_bytes_per_s * (policy.tick_s + policy.latency_s))
    if ahead * 100 > line.demand_bytes * line.buffer_percent:
        rate = int(line.growth_bytes_per_s)
        reasons.append(because(ReasonCode.GROWTH, rate_bytes_per_s=rate))
    demand = because(
        ReasonCode.DEMAND,
        demand_bytes=line.demand_bytes,
        buffer_percent=line.buffer_percent,
        want_bytes=line.want_bytes,
    )
    reasons.append(demand)
    if granted < line.target_bytes:
        reasons.append(because(ReasonCode.PARTIAL, missing_bytes=line.target_bytes - granted))
    return tuple(reasons)


def _taken_for(growers: Sequence[Line], awaited_bytes: int, ledger: Ledger) -> Reason:
    """Say who waits for what is about to be taken."""
    waiting = [line.guest for line in growers if ledger.promised_to(line.guest) < line.target_bytes]
    names = [*waiting, *(["a VM that starts"] if awaited_bytes else [])]
    return because(ReasonCode.TAKEN, who=", ".join(names[:3]) or "the pool")


def _take(
    lines: Sequence[Line], missing: int, reason: Reason, now_s: float, policy: Policy
) -> None:
    """Ask those with most beyond their target for what is missing, and all for a trickle."""
    by_excess = sorted(
        lines, key=lambda line: (-line.excess_bytes / max(1, line.actual_bytes), line.guest)
    )
    for line in by_excess:
        excess = line.excess_bytes
        if excess < line.granularity_bytes or (
            excess < policy.dead_band_bytes(line.actual_bytes) and not missing
        ):
            line.holds.append(_enough(line))
            continue
        if line.stay is not None:
            line.holds.append(line.stay)
            continue
        step, why = (
            _wanted_step(line, missing, reason, policy)
            if missing
            else _trickle_step(line, now_s, policy)
        )
        if step < line.granularity_bytes:
            line.holds.append(why)
            continue
        line.move = Move(
            guest=line.guest,
            kind=MoveKind.SHRINK,
            from_bytes=line.actual_bytes,
            to_bytes=line.actual_bytes - step,
            reasons=_shrink_reasons(line, step, why),
            by_balloon=bool(missing) and line.stuck_plug,
        )
        missing = max(0, missing - step)


def _enough(line: Line) -> Reason:
    return because(
        ReasonCode.ENOUGH, assigned_bytes=line.actual_bytes, target_bytes=line.target_bytes
    )


def _wanted_step(line: Line, missing: int, reason: Reason, policy: Policy) -> tuple[int, Reason]:
    """Say how much to ask of a guest while others wait, and why, or why nothing."""
    wanted = max(missing, min(line.excess_bytes, policy.dead_band_bytes(line.actual_bytes)))
    wanted = min(wanted, line.excess_bytes, policy.step_high_bytes)
    spare = spare_bytes(line, policy)
    if line.target_bytes >= line.demand_bytes or spare >= line.granularity_bytes:
        if spare < line.granularity_bytes:
            kept = because(ReasonCode.NOTHING_TO_SPARE, available_bytes=line.available_bytes)
            return 0, kept
        return min(wanted, spare), reason
    # SAFETY: below its demand a guest pages; only where its kernel cannot be driven to kill.
    if line.pageable_bytes < line.granularity_bytes:
        return 0, because(ReasonCode.NO_SAFE_PAGING, demand_bytes=line.demand_bytes)
    step = max(policy.paging_low_bytes, int(line.actual_bytes * policy.paging_ratio))
    return min(wanted, step, line.pageable_bytes), reason


def spare_bytes(line: Line, policy: Policy) -> int:
    """Say what one step may take of what the guest has available.

    A shrink is greedy: the guest gives until nothing is left. So the bound is ours to keep.
    """
    share = int(line.available_bytes * policy.spare_ratio)
    return max(0, min(line.available_bytes - line.floor_bytes, share))


def _trickle_step(line: Line, now_s: float, policy: Policy) -> tuple[int, Reason]:
    """Say how much to take back of what nobody waits for: a little, now and then."""
    pace = max(int(line.actual_bytes * policy.trickle_ratio), line.granularity_bytes)
    due_s = max(line.grown_at_s + policy.grow_hold_s, line.shrunk_at_s + policy.trickle_s)
    if now_s < due_s and line.actual_bytes <= line.maximum_bytes:
        wait_s = due_s - now_s
        return 0, because(ReasonCode.SPARE, excess_bytes=line.excess_bytes, wait_s=wait_s)
    step = min(line.excess_bytes, pace, spare_bytes(line, policy))
    if step < line.granularity_bytes:
        return 0, because(ReasonCode.NOTHING_TO_SPARE, available_bytes=line.available_bytes)
    return step, because(ReasonCode.TRICKLE, excess_bytes=line.excess_bytes)


def _shrink_reasons(line: Line, step: int, why: Reason) -> tuple[Reason, ...]:
    reasons = [why]
    if line.actual_bytes > line.maximum_bytes:
        reasons.append(because(ReasonCode.ABOVE_MAXIMUM, maximum_bytes=line.maximum_bytes))
    if line.actual_bytes - step < line.demand_bytes:
        paged = because(
            ReasonCode.PAGED, demand_bytes=line.demand_bytes, target_bytes=line.target_bytes
        )
        reasons.append(paged)
    if why.code is ReasonCode.TAKEN and line.stuck_plug:
        reasons.append(because(ReasonCode.BY_BALLOON, plugged_bytes=line.actual_bytes))
    return tuple(reasons)
