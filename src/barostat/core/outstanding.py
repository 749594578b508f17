"""What to do about the wish that is still outstanding with a guest. One a guest, at any time.

A guest is waited for while it comes nearer, told again when it stops, and let go when it is stuck
or has moved by itself. Only a pressing need overtakes a wish: then the shrink under way is
cancelled, because an abandoned shrink goes on biting for minutes.
"""

from __future__ import annotations

from barostat.core.cooperation import Verdict
from barostat.core.moves import Line, Move, MoveKind
from barostat.core.reasons import Reason, ReasonCode, because

__all__ = ["on_its_way_bytes", "settle_last_wish"]


def settle_last_wish(line: Line, *, recall: ReasonCode | None) -> bool:
    """Write into the line what becomes of its last wish.

    Args:
        line: the guest's.
        recall: why what was granted and is not taken yet is not granted any more, if so.

    Returns:
        Whether the guest may be asked for something new: where it has no wish outstanding, and to
        grow where it presses.
    """
    if line.verdict is Verdict.IDLE and not line.foreign:
        return True
    missing_bytes = abs(line.actual_bytes - line.goal_bytes)
    why = _why_to_end(line, missing_bytes, recall)
    if why is None:
        return not _wait(line, missing_bytes)
    line.move = Move(
        guest=line.guest,
        kind=MoveKind.CANCEL,
        from_bytes=line.actual_bytes,
        to_bytes=line.actual_bytes,
        reasons=(why,),
    )
    return line.urgent and line.target_bytes > line.actual_bytes


def _why_to_end(line: Line, missing_bytes: int, recall: ReasonCode | None) -> Reason | None:
    """Say why a guest should stay at what it has, if it should."""
    why = None
    if line.foreign:
        why = because(ReasonCode.ADOPTED, assigned_bytes=line.actual_bytes)
    elif line.verdict is Verdict.STUCK:
        why = because(ReasonCode.STUCK, missing_bytes=missing_bytes)
    elif line.verdict is Verdict.STRAYED:
        why = because(ReasonCode.STRAYED, goal_bytes=line.goal_bytes)
    elif recall is not None and _recalled(line):
        why = because(recall, missing_bytes=missing_bytes)
    elif _needed_back(line):
        why = because(ReasonCode.NEEDED_BACK, demand_bytes=line.demand_bytes)
    return why


def on_its_way_bytes(line: Line) -> int:
    """Say what a guest that was not told otherwise is giving back, and has not given yet."""
    told_otherwise = line.move is not None and line.move.kind is not MoveKind.NUDGE
    return 0 if told_otherwise else max(0, line.actual_bytes - line.goal_bytes)


def _presses(line: Line) -> bool:
    further_bytes = line.target_bytes - line.goal_bytes
    return line.urgent and further_bytes >= line.granularity_bytes


def _recalled(line: Line) -> bool:
    # SAFETY: what was granted and is not taken yet may not be there any more.
    return line.goal_bytes > line.actual_bytes


def _needed_back(line: Line) -> bool:
    # SAFETY: a guest that runs short while it gives must not be made to go on giving.
    return line.goal_bytes < line.actual_bytes and _presses(line)


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
