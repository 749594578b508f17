"""What the log tells of the balancing: every move with its reason, every change of a state once.

A line is written because something became otherwise, never because a second went by. What comes
and goes all the time in a healthy host is told at the level `debug`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

import structlog

from barostat.core.decision import Decision, GuestDecision
from barostat.core.explain import sentence, summary
from barostat.core.moves import Move
from barostat.core.pressure import Status
from barostat.core.reasons import Reason, ReasonCode
from barostat.engine.act import Outcome
from barostat.engine.loop import Tick
from barostat.units import format_size

__all__ = ["Reporter", "figures"]

ORDINARY: Final = frozenset(
    {
        ReasonCode.ENOUGH,
        ReasonCode.IN_USE,
        ReasonCode.MOVING,
        ReasonCode.NOTHING_TO_SPARE,
        ReasonCode.SETTLING,
        ReasonCode.SHORT,
        ReasonCode.SPARE,
        ReasonCode.WAITING,
    }
)
"""Why guests are left alone that are well looked after."""


@dataclass(frozen=True, slots=True)
class _Told:
    """What was last told of a guest."""

    status: Status | None = None
    holds: tuple[ReasonCode, ...] = ()
    move: tuple[object, ...] = ()


class Reporter:
    """Tells the log what changed from pass to pass.

    Args:
        moving: False where decided moves are not carried out: then each is told once, not at every
            pass that decides it again.
    """

    def __init__(self, *, moving: bool) -> None:
        self._log = structlog.stdlib.get_logger("barostat.balancer")
        self._moving = moving
        self._told: dict[str, _Told] = {}
        self._alarms: dict[ReasonCode, Reason] = {}
        self._tier = ""

    def on_tick(self, tick: Tick) -> None:
        """Tell what is otherwise than at the last pass; out of turn, of whom that was for."""
        decision = tick.decision
        if tick.snapshot.hurried:
            self._tell_hurried(decision, tick.snapshot.hurried)
            return
        self._tell_host(decision)
        told, self._told = self._told, {}
        for guest in decision.guests:
            self._told[guest.guest] = self._tell_guest(guest, told.pop(guest.guest, None))
        for name in told:
            self._log.info(f"{name}: gone", guest=name)

    def _tell_hurried(self, decision: Decision, hurried: Collection[str]) -> None:
        for guest in decision.guests:
            if guest.guest in hurried:
                told = self._told.get(guest.guest)
                self._told[guest.guest] = self._tell_guest(guest, told, when="at once: ")

    def _tell_host(self, decision: Decision) -> None:
        if decision.tier.value != self._tier:
            self._log.info(
                f"memory: {decision.tier.value.replace('_', ' ')}; {figures(decision)}",
                tier=decision.tier.value,
                **_host_numbers(decision),
            )
        self._tier = decision.tier.value
        alarms = {alarm.code: alarm for alarm in decision.alarms}
        for code, alarm in alarms.items():
            if code not in self._alarms:
                self._log.warning(f"ALARM: {sentence(alarm)}", alarm=code.value)
        for code in self._alarms.keys() - alarms.keys():
            self._log.info(f"over: {sentence(self._alarms[code])}", alarm=code.value)
        self._alarms = alarms

    def _tell_guest(self, guest: GuestDecision, told: _Told | None, *, when: str = "") -> _Told:
        before = told or _Told()
        if guest.status is not before.status:
            self._tell_status(guest, before.status)
        if guest.move is not None:
            key = self._move_key(guest.move)
            if key != before.move:
                self._tell_move(guest.move, when=when)
            return _Told(guest.status, (), key)
        holds = tuple(reason.code for reason in guest.reasons)
        if holds != before.holds:
            self._tell_hold(guest, ordinary=ORDINARY.issuperset(holds))
        return _Told(guest.status, holds)

    def _tell_status(self, guest: GuestDecision, before: Status | None) -> None:
        change = "seen with status" if before is None else f"status from {before.value} to"
        tell = self._log.warning if guest.status is Status.WARNING else self._log.info
        demand = "-" if guest.demand_bytes is None else format_size(guest.demand_bytes)
        tell(
            f"{guest.guest}: {change} {guest.status.value} "
            f"at {format_size(guest.assigned_bytes)}, demand {demand}",
            guest=guest.guest,
            status=guest.status.value,
            assigned_bytes=guest.assigned_bytes,
            demand_bytes=guest.demand_bytes,
        )

    def _move_key(self, move: Move) -> tuple[object, ...]:
        """Say by what a move is known to be the one that was told last."""
        if self._moving:
            return (move.kind, move.from_bytes, move.to_bytes)
        return (move.kind,)

    def _tell_move(self, move: Move, *, when: str) -> None:
        self._log.info(
            when + (summary(move) if self._moving else f"would move {summary(move)}"),
            guest=move.guest,
            move=move.kind.value,
            from_bytes=move.from_bytes,
            to_bytes=move.to_bytes,
            reasons=[reason.code.value for reason in move.reasons],
        )

    def _tell_hold(self, guest: GuestDecision, *, ordinary: bool) -> None:
        tell = self._log.debug if ordinary else self._log.info
        why = "; ".join(sentence(reason) for reason in guest.reasons)
        tell(
            f"{guest.guest}: held at {format_size(guest.assigned_bytes)}: {why}",
            guest=guest.guest,
            reasons=[reason.code.value for reason in guest.reasons],
        )

    def on_outcome(self, outcome: Outcome) -> None:
        """Tell how an operation ended; one that could not be carried out is worth a warning."""
        move = outcome.move
        if outcome.error is not None:
            self._log.warning(
                f"{move.guest}: {move.kind.value} ended: {outcome.error.message}",
                guest=move.guest,
                hint=outcome.error.hint,
            )
            return
        end = "arrived" if outcome.arrived else "not there yet"
        self._log.debug(
            f"{move.guest}: {move.kind.value} {end} after {outcome.took_s:.1f} s",
            guest=move.guest,
            assigned_bytes=outcome.assigned_bytes,
        )


def figures(decision: Decision) -> str:
    """Say in one line how a host stands."""
    count = len(decision.guests)
    return (
        f"{count} VM{'' if count == 1 else 's'}, "
        f"promised {format_size(decision.promised_bytes)} of "
        f"{format_size(decision.capacity_bytes)}, in hand {format_size(decision.in_hand_bytes)}"
    )


def _host_numbers(decision: Decision) -> dict[str, Any]:
    return {
        "capacity_bytes": decision.capacity_bytes,
        "promised_bytes": decision.promised_bytes,
        "in_hand_bytes": decision.in_hand_bytes,
    }
