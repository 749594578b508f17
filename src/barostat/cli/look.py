"""`barostat list`, `plan`, `explain` and `show`: what is and why. Nothing is moved or changed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime

import click

from barostat.cli.console import StdoutConsole
from barostat.cli.direct import Purpose
from barostat.cli.documents import print_document, tell_faults
from barostat.cli.options import output_option
from barostat.cli.output import say
from barostat.cli.reach import Way, open_desk, reach_options
from barostat.cli.tables import GUEST_COLUMNS, fitting, guest_table, settings_table, why
from barostat.cli.times import MOMENT, format_moment
from barostat.doctor.depths import LOOKS, deeper
from barostat.errors import NoDaemonError
from barostat.service.desk import LATE_S
from barostat.service.documents import Details, Explanation, Guest, Overview, Program, StartingVm
from barostat.service.explaining import host_line, status_sentence
from barostat.service.printable import printable
from barostat.units import format_size

__all__ = ["explain_command", "list_command", "plan_command", "show_command"]


@click.command()
@click.option("--all", "everyone", is_flag=True, help="Name the VMs that are off, too.")
@reach_options
@output_option
def list_command(*, everyone: bool, way: Way, output: str) -> None:
    """Show every VM: assigned, demand, status, and why."""
    overview = asyncio.run(_overview(way, Purpose.LIST, everyone=everyone))
    _tell(overview)
    if output == "json":
        print_document(overview)
        return
    console = StdoutConsole()
    columns = fitting(GUEST_COLUMNS, overview, width=console.width)
    console.print(guest_table(overview, columns), "", console.facts(why(overview)), sep="\n")
    _print_host(console, overview)


@click.command()
@reach_options
@output_option
def plan_command(*, way: Way, output: str) -> None:
    """Say what would be done now, and why. Moves nothing.

    Without a daemon it looks twice, a second apart, so that a VM that is growing is seen to grow.
    """
    overview = asyncio.run(_overview(way, Purpose.WATCH))
    _tell(overview)
    if output == "json":
        print_document(overview)
        return
    console = StdoutConsole()
    console.print(console.facts(why(overview)))
    _print_host(console, overview)


async def _overview(way: Way, purpose: Purpose, *, everyone: bool = False) -> Overview:
    async with open_desk(way, purpose) as desk:
        return await desk.overview(everyone=everyone)


def _tell(overview: Overview) -> None:
    """Say on stderr what the figures do not show."""
    tell_faults(overview.faults)
    if not overview.guests:
        say("no VM runs")
    age_s = overview.host.age_s
    if age_s > LATE_S:
        say(f"these figures are {age_s:.0f} s old: the daemon has not looked at its VMs since")


def _print_host(console: StdoutConsole, overview: Overview) -> None:
    lines = [("host", host_line(overview.host))]
    lines += [("ALARM", alarm.sentence) for alarm in overview.host.alarms]
    lines += [("starts", _starts(found)) for found in overview.host.starting]
    if overview.powered_off:
        lines.append(("powered off", ", ".join(overview.powered_off)))
    console.print("", console.facts(lines), sep="\n")


def _starts(found: StartingVm) -> str:
    size, held = format_size(found.size_bytes), format_size(found.set_aside_bytes)
    if found.set_aside_bytes >= found.size_bytes:
        return f"{found.name} may: {held} are set aside for it"
    return f"{found.name} waits for {size}, of which {held} are set aside for it"


@click.command()
@click.argument("vm")
@click.option(
    "--at", type=MOMENT, help='Why it had what it had then, as in "14:32" or "2026-11-23 14:32:10".'
)
@reach_options
@output_option
def explain_command(vm: str, *, at: datetime | None, way: Way, output: str) -> None:
    """Say in sentences why a VM has the memory it has.

    Without a daemon it looks twice, a second apart, so that a VM that is growing is seen to grow.
    Of the past only a daemon knows: it makes the decision of that moment again, from what it saw.
    """
    explanation = asyncio.run(_explanation(vm, way) if at is None else _past(vm, way, at))
    if output == "json":
        print_document(explanation)
        return
    console = StdoutConsole()
    if explanation.at_s is not None:
        console.print(f"At {format_moment(explanation.at_s, seconds=True)}:")
    for line in explanation.sentences:
        console.print(printable(line))


async def _explanation(vm: str, way: Way) -> Explanation:
    async with open_desk(way, Purpose.WATCH) as desk:
        return await desk.explanation(vm)


async def _past(vm: str, way: Way, at: datetime) -> Explanation:
    from barostat.service.client import open_daemon  # noqa: PLC0415 - slow to load, only for this

    if way.guests.named:
        raise NoDaemonError(
            "only a daemon remembers, and --qmp and --connect ask none", hint="leave them out"
        )
    async with open_daemon(way.socket) as desk:
        return await desk.explanation(vm, at_s=at.timestamp())


@click.command()
@click.argument("vm")
@reach_options
@output_option
def show_command(vm: str, *, way: Way, output: str) -> None:
    """Show one VM: what it has and needs, its devices, its settings."""
    details = asyncio.run(_details(vm, way))
    if output == "json":
        print_document(details)
        return
    console = StdoutConsole()
    console.print(console.facts(_facts(details)))
    if details.settings.written is not None:
        console.print("", settings_table(details.settings), sep="\n")


async def _details(vm: str, way: Way) -> Details:
    async with open_desk(way, Purpose.SHOW) as desk:
        return await desk.details(vm)


def _facts(details: Details) -> Iterator[tuple[str, str]]:
    guest, settings = details.guest, details.settings
    yield "VM", settings.guest
    if guest is None:
        yield "runs", "no: it is off"
    else:
        yield from _guest_facts(guest)
    yield "settings", f"stand in {settings.place}"
    for fault in settings.faults:
        yield "FAULT", fault
    if settings.written is None and not settings.faults:
        yield "note", f"it has none; `barostat enable {settings.guest}` gives it the defaults"


def _guest_facts(guest: Guest) -> Iterator[tuple[str, str]]:
    yield "status", status_sentence(guest).removeprefix("Status ").removesuffix(".")
    yield "runs", f"{guest.run_state.value}; its hypervisor answered {guest.seen_age_s:.0f} s ago"
    if guest.fault is not None:
        yield "FAULT", guest.fault
    yield "assigned", format_size(guest.assigned_bytes)
    if guest.demand_bytes is not None:
        available = format_size(guest.available_bytes or 0)
        yield "demand", f"{format_size(guest.demand_bytes)}; {available} are available in it"
    yield "seen", _seen(guest)
    if guest.program is not None:
        yield from _program_facts(guest.program)
    next_depth = deeper(guest.depth, has_balloon=guest.has_balloon)
    if next_depth:
        yield "deeper", next_depth
    yield "devices", _devices(guest)
    yield "now", guest.why


def _program_facts(program: Program) -> Iterator[tuple[str, str]]:
    """Say what is known of the program in a guest, and what it says beyond the statistics."""
    if program.fault is not None:
        yield "FAULT", f"a program in it is not heard, or not believed: {program.fault}"
    hook = "its hook is called before a shrink" if program.hook else ""
    version = "" if program.version is None else f"version {program.version}"
    kernel = "" if program.kernel is None else f"kernel {program.kernel}"
    if found := ", ".join(filter(None, (version, kernel, hook))):
        yield "program", found
    if program.onlining is not None:
        blocks = "" if program.block_bytes is None else format_size(program.block_bytes)
        yield "plugged is", program.onlining + (f", in blocks of {blocks}" if blocks else "")
    if program.committed_bytes is not None:
        yield "committed", f"{format_size(program.committed_bytes)} to its programs"
    if program.swap_bytes is not None:
        free = format_size(program.swap_free_bytes or 0)
        yield "swap", f"{format_size(program.swap_bytes)}, {free} of it free"


def _seen(guest: Guest) -> str:
    ages = guest.statistics_age_s, guest.program_age_s
    known = [age_s for age_s in ages if age_s is not None]
    spoke = f"it spoke {min(known):.0f} s ago" if known else "it has not spoken yet"
    return f"{LOOKS[guest.depth]}; {spoke}"


def _devices(guest: Guest) -> str:
    region = format_size(guest.ceiling_bytes - guest.boot_bytes)
    return (
        f"{format_size(guest.boot_bytes)} of boot RAM, {format_size(guest.balloon_bytes)} of it in "
        f"the balloon; {format_size(guest.plugged_bytes)} of {region} plugged by virtio-mem"
    )
