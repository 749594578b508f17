"""Documents out of what was seen and decided. Decides nothing, asks nobody."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType
from typing import assert_never

from barostat.config.settings_file import SettingsFile
from barostat.core.decision import GuestDecision
from barostat.core.explain import sentence, summary
from barostat.core.moves import Move
from barostat.core.observation import GuestObservation, RunState
from barostat.core.reasons import Reason
from barostat.engine.control import HostPause
from barostat.engine.loop import Tick
from barostat.engine.settings_change import GuestSettings, SettingsChange
from barostat.engine.starting import Answer, Outcome
from barostat.errors import BarostatError
from barostat.guest.base import Card
from barostat.service import documents
from barostat.units import format_size

__all__ = [
    "change_of",
    "host_of",
    "one_guest_of",
    "overview_of",
    "pause_of",
    "settings_view_of",
    "start_of",
]

Faults = Mapping[str, BarostatError]
Cards = Callable[[str], Card | None]


def _no_card(_: str) -> Card | None:
    return None


def overview_of(
    tick: Tick,
    *,
    faults: Faults = MappingProxyType({}),
    cards: Cards = _no_card,
    age_s: float = 0.0,
    moving: bool = True,
    powered_off: Sequence[str] | None = None,
    limit_faults: Mapping[str, str] = MappingProxyType({}),
) -> documents.Overview:
    """Say how the host and all its guests stand.

    Args:
        tick: what was seen and decided.
        faults: why something is not seen, by name.
        cards: says what is known of the program in a guest.
        age_s: how long ago that was.
        moving: whether what is decided is done.
        powered_off: who does not run, if that was asked.
        limit_faults: why a limit around a guest does not stand, by name; "" is the host.
    """
    both = zip(tick.snapshot.guests, tick.decision.guests, strict=True)
    return documents.Overview(
        host=host_of(tick, age_s=age_s, moving=moving),
        guests=tuple(_guest(tick, seen, decided, faults, cards) for seen, decided in both),
        faults=tuple(
            documents.Fault(name=name, message=fault.message, hint=fault.hint)
            for name, fault in sorted(faults.items())
        ),
        limit_faults=tuple(
            documents.LimitFault(name=name, message=message)
            for name, message in sorted(limit_faults.items())
        ),
        powered_off=None if powered_off is None else tuple(powered_off),
    )


def host_of(tick: Tick, *, age_s: float, moving: bool) -> documents.Host:
    """Say how the host's memory stands."""
    decision = tick.decision
    return documents.Host(
        capacity_bytes=decision.capacity_bytes,
        promised_bytes=decision.promised_bytes,
        in_hand_bytes=decision.in_hand_bytes,
        pool_bytes=decision.pool_bytes,
        tier=decision.tier,
        paused=tick.snapshot.paused,
        moving=moving,
        age_s=age_s,
        alarms=_reasons(decision.alarms),
        starting=_starting(tick),
    )


def _starting(tick: Tick) -> tuple[documents.StartingVm, ...]:
    """Name the VMs that are about to start; one that was seen to run in this pass is not."""
    there = {
        guest.name for guest in tick.snapshot.guests if guest.run_state is not RunState.UNREACHABLE
    }
    held = tick.decision.state.set_aside_bytes
    return tuple(
        documents.StartingVm(
            name=asked.guest,
            size_bytes=asked.size_bytes,
            set_aside_bytes=held.get(asked.guest, 0),
        )
        for asked in tick.snapshot.reservations
        if asked.guest not in there
    )


def start_of(answer: Answer) -> documents.Start:
    """Say whether a VM may start."""
    return documents.Start(
        guest=answer.guest,
        outcome=answer.outcome,
        may_start=answer.outcome in {Outcome.ADMITTED, Outcome.RUNS},
        size_bytes=answer.size_bytes,
        available_bytes=answer.available_bytes,
        kept_s=answer.kept_s,
        says=_start_sentence(answer),
    )


def _start_sentence(answer: Answer) -> str:
    guest, size = answer.guest, format_size(answer.size_bytes)
    available = format_size(answer.available_bytes)
    match answer.outcome:
        case Outcome.ADMITTED:
            return f"{guest} may start: {size} are set aside for it for {answer.kept_s:g} s"
        case Outcome.RUNS:
            return f"{guest} runs already: nothing need be set aside for it"
        case Outcome.NO_ROOM:
            return (
                f"not enough memory to start {guest}: it needs {size}, and {available} can be "
                "made free for it; stop or move a VM, or give it a larger weight"
            )
        case Outcome.LATE:
            return (
                f"not enough memory to start {guest} in time: it needs {size}, and {available} "
                "were free when the time was up; try again, or wait longer"
            )
        case _:
            assert_never(answer.outcome)


def one_guest_of(
    tick: Tick, name: str, *, faults: Faults, cards: Cards = _no_card
) -> documents.Guest | None:
    """Say how one guest stands, None if it was not seen."""
    both = zip(tick.snapshot.guests, tick.decision.guests, strict=True)
    found = ((seen, decided) for seen, decided in both if seen.name == name)
    return next((_guest(tick, seen, decided, faults, cards) for seen, decided in found), None)


def _guest(
    tick: Tick, seen: GuestObservation, decided: GuestDecision, faults: Faults, cards: Cards
) -> documents.Guest:
    name, now_s, devices = seen.name, tick.snapshot.now_s, seen.devices
    demand = tick.decision.state.guests[name].demand
    settings, fault = tick.snapshot.settings.get(name), faults.get(name)
    said, card = seen.statistics, cards(name)
    return documents.Guest(
        name=name,
        status=decided.status,
        assigned_bytes=decided.assigned_bytes,
        demand_bytes=decided.demand_bytes,
        pressure=decided.pressure,
        available_bytes=decided.available_bytes,
        want_bytes=decided.want_bytes,
        target_bytes=decided.target_bytes,
        promised_bytes=decided.promised_bytes,
        paged_bytes=decided.paged_bytes,
        balloon_bytes=decided.balloon_bytes,
        plugged_bytes=decided.plugged_bytes,
        move=None if decided.move is None else _move(decided.move),
        reasons=_reasons(decided.reasons),
        why=_why(decided),
        run_state=seen.run_state,
        depth=seen.depth,
        program=None if card is None else _program(card),
        has_balloon=devices.has_balloon,
        boot_bytes=devices.boot_bytes,
        ceiling_bytes=devices.ceiling_bytes,
        deflate_on_oom=devices.deflate_on_oom,
        kernel_bytes=None if demand is None else demand.kernel_bytes,
        total_bytes=None if said is None else said.total_bytes,
        swapped_out_bytes=None if said is None else said.swap_out_bytes,
        seen_age_s=max(0.0, now_s - seen.seen_at_s),
        statistics_age_s=_statistics_age_s(seen, now_s),
        program_age_s=None if seen.inside is None else max(0.0, now_s - seen.inside.at_s),
        fault=None if fault is None else fault.message,
        settings=None if settings is None else documents.Settings(**asdict(settings)),
    )


def _program(card: Card) -> documents.Program:
    return documents.Program(**asdict(card) | {"fault": card.fault or None})


def _statistics_age_s(seen: GuestObservation, now_s: float) -> float | None:
    return None if seen.statistics is None else max(0.0, now_s - seen.statistics_at_s)


def _why(decided: GuestDecision) -> str:
    """Say what is done with a guest and why."""
    if decided.move is not None:
        return summary(decided.move).removeprefix(f"{decided.guest}: ")
    reasons = "; ".join(sentence(reason) for reason in decided.reasons)
    return f"hold at {format_size(decided.assigned_bytes)}: {reasons}"


def _move(move: Move) -> documents.Move:
    return documents.Move(kind=move.kind, from_bytes=move.from_bytes, to_bytes=move.to_bytes)


def _reasons(reasons: Sequence[Reason]) -> tuple[documents.Reason, ...]:
    return tuple(
        documents.Reason(
            code=reason.code.value, numbers=dict(reason.numbers), sentence=sentence(reason)
        )
        for reason in reasons
    )


def settings_view_of(settings: GuestSettings) -> documents.SettingsView:
    """Say how a VM's settings stand."""
    written, in_force = settings.written, settings.in_force
    return documents.SettingsView(
        guest=settings.guest,
        running=settings.running,
        place=settings.place,
        written=None if written is None else _written(written),
        in_force=None if in_force is None else documents.Settings(**asdict(in_force)),
        faults=settings.faults,
    )


def _written(written: SettingsFile) -> documents.WrittenSettings:
    return documents.WrittenSettings(
        startup_bytes=written.startup,
        minimum_bytes=written.minimum,
        maximum_bytes=written.maximum,
        buffer_percent=written.buffer,
        weight=written.weight,
        enabled=written.enabled,
        paused=written.paused,
    )


def change_of(change: SettingsChange) -> documents.Change:
    """Say what a change did."""
    return documents.Change(
        before=settings_view_of(change.before), after=settings_view_of(change.after)
    )


def pause_of(pause: HostPause) -> documents.HostPause:
    """Say what a pause of the host did."""
    return documents.HostPause(before=pause.before, after=pause.after)
