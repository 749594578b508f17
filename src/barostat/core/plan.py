"""From targets to moves: take first, then give; small steps; a reason for each, and for each hold.

Grows are served at once, from memory in hand only: what guests need first, their buffers after.
What is missing in hand is taken from those who have more than their target, no more than is
missing, and reaches the growers in a later decision, when it has been seen to leave.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from barostat.core.cooperation import Verdict
from barostat.core.ledger import Ledger
from barostat.core.moves import Line, Move, MoveKind
from barostat.core.outstanding import on_its_way_bytes, settle_last_wish
from barostat.core.policy import DemandSource, Policy
from barostat.core.reasons import Reason, ReasonCode, because, percent
from barostat.core.taking import take

__all__ = ["plan"]

_BY_SOURCE: Final = {
    DemandSource.USED: ReasonCode.DEMAND,
    DemandSource.COMMITTED: ReasonCode.COMMITTED,
}


def plan(
    lines: Sequence[Line],
    ledger: Ledger,
    *,
    now_s: float,
    pool_bytes: int,
    awaited_bytes: int,
    policy: Policy,
    owed_bytes: int = 0,
    granting: bool = True,
) -> None:
    """Write a move, or the reasons for none, into every line.

    Args:
        lines: guests that may be moved, with their targets.
        ledger: opened for every guest of the host; grants are entered.
        now_s: the snapshot's clock.
        pool_bytes: what should stay in hand; only guests below their demand may draw on it.
        awaited_bytes: what VMs that wait to start need; set aside before anyone grows.
        policy: pace and patience.
        owed_bytes: what the host itself wants back; set aside like that.
        granting: False while the host itself is short.
    """
    recall = _recall(ledger, granting=granting)
    free = [line for line in lines if settle_last_wish(line, recall=recall)]
    growers, others = _split(free, ledger)
    set_aside = awaited_bytes + owed_bytes
    if _may_grow(granting=granting):
        unmet = _give(growers, ledger, pool_bytes, set_aside, policy)
    else:
        unmet, growers = _refuse(growers), []
    coming = ledger.in_hand_bytes + sum(
        on_its_way_bytes(line) for line in lines if line.verdict is not Verdict.IDLE
    )
    take(
        others,
        waited_for_bytes=unmet + set_aside - coming,
        pool_bytes=pool_bytes,
        reason=_taken_for(growers, ledger, awaited_bytes=awaited_bytes, owed_bytes=owed_bytes),
        now_s=now_s,
        policy=policy,
        sparing=not set_aside and all(_has_minimum(line) for line in growers),
    )


def _has_minimum(line: Line) -> bool:
    """Say whether a guest has what is its own: for one that has not, nobody is spared."""
    return line.actual_bytes >= line.minimum_bytes


def _recall(ledger: Ledger, *, granting: bool) -> ReasonCode | None:
    """Say why what was granted and is not taken yet should not be granted any more, if so."""
    if ledger.in_hand_bytes < 0:
        return ReasonCode.RECALLED
    return None if _may_grow(granting=granting) else ReasonCode.BRAKED


def _may_grow(*, granting: bool) -> bool:
    # SAFETY: on a host that is itself short, what the ledger calls in hand may not be there.
    return granting


def _refuse(growers: Sequence[Line]) -> int:
    """Give nobody anything, and take nothing for them: they could not have it."""
    for line in growers:
        line.holds.append(because(ReasonCode.HOST_PRESSED, target_bytes=line.target_bytes))
    return 0


def _split(lines: Sequence[Line], ledger: Ledger) -> tuple[list[Line], list[Line]]:
    """Tell those to be served, in the order of service, from those that may be asked to give."""
    growers: list[Line] = []
    others: list[Line] = []
    for line in lines:
        gap = line.next_bytes - ledger.promised_to(line.guest)
        if gap >= _worth_granting_bytes(line):
            growers.append(line)
        elif line.move is None and not line.holds:  # nothing was said to it yet
            others.append(line)
    growers.sort(key=_service_order)
    return growers, others


def _worth_granting_bytes(line: Line) -> int:
    """Say below what a guest rather waits for more: what comes to hand in drops is no move each."""
    if line.urgent or line.actual_bytes < line.minimum_bytes:
        return line.granularity_bytes
    return max(line.granularity_bytes, line.dead_band_bytes)


def _service_order(line: Line) -> tuple[bool, int, float, str]:
    pressure = line.demand_bytes / max(1, line.actual_bytes)
    return (not line.urgent, -line.weight, -pressure, line.guest)


def _give(
    growers: Sequence[Line], ledger: Ledger, pool_bytes: int, awaited_bytes: int, policy: Policy
) -> int:
    """Serve the growers from what is in hand: what all of them need before anyone's buffer.

    Returns:
        What they still miss, in bytes.
    """
    promised = [ledger.promised_to(line.guest) for line in growers]
    for line in growers:
        needed = line.within_reach(_needed(line))
        ledger.grant(line.guest, needed, leave_bytes=_kept_from_need(awaited_bytes))
    unmet = 0
    for line, before in zip(growers, promised, strict=True):
        leave = _kept_from_buffers(pool_bytes, awaited_bytes)
        granted = ledger.grant(line.guest, line.next_bytes, leave_bytes=leave)
        if granted - before < _worth_granting_bytes(line):
            ledger.promise(line.guest, before)
            granted = before
            line.holds.append(_waiting(line, before))
        else:
            line.move = _grow(line, granted, policy)
        unmet += line.target_bytes - granted
    return unmet


def _needed(line: Line) -> int:
    """Say what of its target a guest needs at once; if it presses nobody knows, so all of it."""
    if line.pressing:
        return line.target_bytes
    return min(line.target_bytes, max(line.demand_bytes, line.minimum_bytes))


def _kept_from_need(awaited_bytes: int) -> int:
    # SAFETY: what a VM that is about to start waits for is set aside before anyone grows.
    return awaited_bytes


def _kept_from_buffers(pool_bytes: int, awaited_bytes: int) -> int:
    # SAFETY: the pool is what the next urgent guest lives on until others have given.
    return pool_bytes + awaited_bytes


def _waiting(line: Line, promised: int) -> Reason:
    return because(
        ReasonCode.WAITING,
        target_bytes=line.target_bytes,
        missing_bytes=line.target_bytes - promised,
    )


def _grow(line: Line, granted: int, policy: Policy) -> Move:
    return Move(
        guest=line.guest,
        kind=MoveKind.GROW,
        from_bytes=line.actual_bytes,
        to_bytes=granted,
        reasons=_grow_reasons(line, granted, policy),
    )


def _grow_reasons(line: Line, granted: int, policy: Policy) -> tuple[Reason, ...]:
    reasons = []
    if line.actual_bytes < line.minimum_bytes:
        reasons.append(because(ReasonCode.BELOW_MINIMUM, minimum_bytes=line.minimum_bytes))
    if line.distressed:
        reasons.append(because(ReasonCode.DISTRESS, available_bytes=line.available_bytes))
    if line.harmed:
        reasons.append(because(ReasonCode.STALLED, stall_percent=percent(line.stall_ratio)))
    ahead = int(line.growth_bytes_per_s * (policy.tick_s + policy.latency_s))
    if ahead * 100 > line.demand_bytes * line.buffer_percent:
        rate = int(line.growth_bytes_per_s)
        reasons.append(because(ReasonCode.GROWTH, rate_bytes_per_s=rate))
    demand = because(
        _BY_SOURCE[line.source],
        demand_bytes=line.demand_bytes,
        buffer_percent=line.buffer_percent,
        want_bytes=line.want_bytes,
    )
    reasons.append(demand)
    if granted == line.next_bytes < line.target_bytes:
        missing = line.target_bytes - granted
        reasons.append(because(ReasonCode.STEPWISE, missing_bytes=missing))
    elif granted < line.target_bytes:
        reasons.append(because(ReasonCode.PARTIAL, missing_bytes=line.target_bytes - granted))
    return tuple(reasons)


def _taken_for(
    growers: Sequence[Line], ledger: Ledger, *, awaited_bytes: int, owed_bytes: int
) -> Reason:
    """Say who waits for what is about to be taken."""
    waiting = [line.guest for line in growers if ledger.promised_to(line.guest) < line.target_bytes]
    host = ["the host itself"] if owed_bytes else []
    names = [*host, *waiting, *(["a VM that starts"] if awaited_bytes else [])]
    return because(ReasonCode.TAKEN, who=", ".join(names[:3]) or "the pool")
