"""What to do about the wish that is still outstanding with a guest. One a guest, at any time.

A guest is waited for while it comes nearer, told again when it stops, and let go when it is stuck
or has moved by itself. Only a pressing need overtakes a wish: then the shrink under way is
cancelled, because an abandoned shrink goes on biting for minutes.
"""

from __future__ import annotations

from typing import assert_never

from barostat.core.cooperation import Verdict
from barostat.core.moves import Line, Move, MoveKind
from barostat.core.reasons import Reason, ReasonCode, because

__all__ = ["on_its_way_bytes", "settle_last_wish"]


def settle_last_wish(line: Line) -> bool:
    """Write into the line what becomes of its last wish.

    Returns:
        Whether the guest may be asked for something new: where it has no wish outstanding, and to
        grow where it presses.
    """
    if line.foreign:
        return _cancel(line, because(ReasonCode.ADOPTED, assigned_bytes=line.actual_bytes))
    if line.verdict is Verdict.IDLE:
        return True
    missing_bytes = abs(line.actual_bytes - line.goal_bytes)
    match line.verdict:
        case Verdict.STUCK:
            return _cancel(line, because(ReasonCode.STUCK, missing_bytes=missing_bytes))
        case Verdict.STRAYED:
            return _cancel(line, because(ReasonCode.STRAYED, goal_bytes=line.goal_bytes))
        case Verdict.MOVING | Verdict.NUDGE if _needed_back(line):
            needed = because(ReasonCode.NEEDED_BACK, demand_bytes=line.demand_bytes)
            return _cancel(line, needed)
        case Verdict.MOVING | Verdict.NUDGE:
            return not _wait(line, missing_bytes)
        case _:
            assert_never(line.verdict)


def on_its_way_bytes(line: Line) -> int:
    """Say what a guest that was not told otherwise is giving back, and has not given yet."""
    told_otherwise = line.move is not None and line.move.kind is not MoveKind.NUDGE
    return 0 if told_otherwise else max(0, line.actual_bytes - line.goal_bytes)


def _presses(line: Line) -> bool:
    further_bytes = line.target_bytes - line.goal_bytes
    return line.urgent and further_bytes >= line.granularity_bytes


def _needed_back(line: Line) -> bool:
    # SAFETY: a guest that runs short while it gives must not be made to go on giving.
    return line.goal_bytes < line.actual_bytes and _presses(line)


def _cancel(line: Line, reason: Reason) -> bool:
    """Have the guest stay at what it has; a grow may still take this move's place."""
    line.move = Move(
        guest=line.guest,
        kind=MoveKind.CANCEL,
        from_bytes=line.actual_bytes,
        to_bytes=line.actual_bytes,
        reasons=(reason,),
    )
    return line.urgent and line.target_bytes > line.actual_bytes


def _wait(line: Line, missing_bytes: int) -> bool:
    """Leave the guest to what it is doing, or tell it again. False where it may be given more."""
    # SAFETY: a guest works on one wish at a time; it is asked for more when that is dealt with.
    line.holds.append(because(ReasonCode.MOVING, goal_bytes=line.goal_bytes))
    if line.verdict is Verdict.NUDGE:
        line.move = Move(
            guest=line.guest,
            kind=MoveKind.NUDGE,
            from_bytes=line.actual_bytes,
            to_bytes=line.goal_bytes,
            reasons=(because(ReasonCode.NUDGED, missing_bytes=missing_bytes),),
            by_balloon=line.by_balloon,
        )
    return line.goal_bytes <= line.actual_bytes or not _presses(line)
