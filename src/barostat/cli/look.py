"""`barostat list`, `plan` and `explain`: look at the guests, say what is and why, move nothing."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Iterator
from pathlib import Path

import click

from barostat.cli.console import StdoutConsole
from barostat.cli.documents import decision_json, explanation_json
from barostat.cli.options import output_option
from barostat.cli.output import print_json
from barostat.cli.reach import find, look_at, reach_options
from barostat.cli.tables import GUEST_COLUMNS, fitting, guest_table, host_line, why
from barostat.core.decide import Decision, GuestDecision
from barostat.core.demand import DemandState
from barostat.core.explain import sentence, summary
from barostat.core.pressure import Status
from barostat.core.settings import MemorySettings
from barostat.engine.loop import Tick
from barostat.errors import UnknownGuestError
from barostat.units import format_size

__all__ = ["explain_command", "list_command", "plan_command"]


@click.command()
@reach_options
@output_option
def list_command(qmp: Path | None, capacity: int | None, output: str) -> None:
    """Show every VM: assigned, demand, status, and why."""
    decision = asyncio.run(look_at(find(qmp, capacity), looks=1)).decision
    if output == "json":
        print_json(decision_json(decision))
        return
    console = StdoutConsole()
    columns = fitting(GUEST_COLUMNS, decision, width=console.width)
    console.print(guest_table(decision, columns), "", console.facts(why(decision)), sep="\n")
    _say_host(console, decision)


@click.command()
@reach_options
@output_option
def plan_command(qmp: Path | None, capacity: int | None, output: str) -> None:
    """Say what would be done now, and why. Moves nothing.

    Looks twice, a second apart, so that a VM that is growing is seen to grow.
    """
    decision = asyncio.run(look_at(find(qmp, capacity), looks=2)).decision
    if output == "json":
        print_json(decision_json(decision))
        return
    console = StdoutConsole()
    console.print(console.facts(why(decision)))
    _say_host(console, decision)


def _say_host(console: StdoutConsole, decision: Decision) -> None:
    lines = [("host", host_line(decision))]
    lines += [("ALARM", sentence(alarm)) for alarm in decision.alarms]
    console.print("", console.facts(lines), sep="\n")


@click.command()
@click.argument("vm")
@reach_options
@output_option
def explain_command(vm: str, qmp: Path | None, capacity: int | None, output: str) -> None:
    """Say in sentences why a VM has the memory it has.

    Looks twice, a second apart, so that a VM that is growing is seen to grow.
    """
    tick = asyncio.run(look_at(find(qmp, capacity), looks=2))
    guest = _named(vm, tick.decision)
    if output == "json":
        print_json(explanation_json(guest, tick))
        return
    console = StdoutConsole()
    for line in _explanation(guest, tick):
        console.print(line)


def _named(vm: str, decision: Decision) -> GuestDecision:
    known = {guest.guest: guest for guest in decision.guests}
    if vm in known:
        return known[vm]
    near = difflib.get_close_matches(vm, known, n=1)
    hint = f'did you mean "{near[0]}"?' if near else "there are: " + ", ".join(known)
    raise UnknownGuestError(f'there is no VM "{vm}"', hint=hint)


def _explanation(guest: GuestDecision, tick: Tick) -> Iterator[str]:
    seen = next(item for item in tick.snapshot.guests if item.name == guest.guest)
    boot = format_size(seen.devices.boot_bytes)
    yield (
        f"{guest.guest} has {format_size(guest.assigned_bytes)}: {boot} of boot RAM, "
        f"less {format_size(guest.balloon_bytes)} in its balloon, "
        f"plus {format_size(guest.plugged_bytes)} plugged."
    )
    demand = tick.decision.state.guests[guest.guest].demand
    if demand is not None:
        yield _demand_sentence(demand)
    yield _status_sentence(guest)
    settings = tick.snapshot.settings.get(guest.guest)
    if settings is not None:
        yield _settings_sentence(settings)
    if guest.target_bytes != guest.assigned_bytes:
        yield (
            f"With plenty it would get {format_size(guest.want_bytes)}; of what there is now its "
            f"share is {format_size(guest.target_bytes)}."
        )
    if guest.move is not None:
        yield f"What would be done now: {summary(guest.move)}."
    else:
        yield f"Left as it is: {'; '.join(sentence(reason) for reason in guest.reasons)}."
    yield f"The host: {host_line(tick.decision)}."


def _status_sentence(guest: GuestDecision) -> str:
    """Say what a guest's status means."""
    silent = guest.demand_bytes is None
    meaning = {
        Status.OK: "it has what it needs and at least 80 % of its buffer",
        Status.LOW: "it has what it needs, but less than 80 % of its buffer",
        Status.WARNING: "it has less than it needs, so its own kernel pages",
        Status.UNKNOWN: "it says nothing about its memory that can be believed"
        if silent
        else "Dynamic Memory is not at work in it",
    }[guest.status]
    pressure = "" if guest.pressure is None else f", pressure {guest.pressure * 100:.0f} %"
    return f"Status {guest.status.value}{pressure}: {meaning}."


def _demand_sentence(demand: DemandState) -> str:
    used = demand.demand_bytes - demand.kernel_bytes
    return (
        f"It needs {format_size(demand.demand_bytes)}: {format_size(used)} in use that is not "
        f"just cache, and {format_size(demand.kernel_bytes)} that its kernel keeps; "
        f"{format_size(demand.statistics.available_bytes)} are available in it."
    )


def _settings_sentence(settings: MemorySettings) -> str:
    return (
        f"It may have {format_size(settings.minimum_bytes)} to "
        f"{format_size(settings.maximum_bytes)} (startup {format_size(settings.startup_bytes)}), "
        f"with {settings.buffer_percent} % buffer and weight {settings.weight}."
    )
