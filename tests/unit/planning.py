"""A plan for lines as a test describes them, and what it comes to."""

from __future__ import annotations

from collections.abc import Sequence

from tests.unit.builders import POLICY

from barostat.core.ledger import Ledger
from barostat.core.moves import Line, Move, MoveKind
from barostat.core.plan import plan
from barostat.core.reasons import ReasonCode, because
from barostat.units import MIB

REST = because(ReasonCode.RESTING, wait_s=3.0, failures=1, did="give")


def planned(
    *lines: Line,
    hand: int = 0,
    pool: int = 0,
    awaited: int = 0,
    now: float = 1000.0,
) -> Ledger:
    """Plan with so much in hand besides what the lines have or were asked to have."""
    promised = [max(item.actual_bytes, item.goal_bytes) for item in lines]
    ledger = Ledger(sum(promised) + hand * MIB)
    for item, size in zip(lines, promised, strict=True):
        ledger.promise(item.guest, size)
    plan(
        lines,
        ledger,
        now_s=now,
        pool_bytes=pool * MIB,
        awaited_bytes=awaited * MIB,
        policy=POLICY,
    )
    return ledger


def moved(item: Line) -> Move:
    assert item.move is not None, item.holds
    return item.move


def step(item: Line) -> int:
    """How much a guest is asked to give, in MiB."""
    move = moved(item)
    assert move.kind is MoveKind.SHRINK
    return (move.from_bytes - move.to_bytes) // MIB


def codes(item: Line) -> Sequence[ReasonCode]:
    return [why.code for why in (item.holds if item.move is None else item.move.reasons)]
