"""`barostat doctor`: what a host and its guests lack for Dynamic Memory, with a remedy for each."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final

import click
from rich.table import Table
from rich.text import Text

from barostat.cli.console import StdoutConsole
from barostat.cli.direct import Purpose, open_directly
from barostat.cli.ending import EXIT_BAD
from barostat.cli.options import output_option
from barostat.cli.output import print_json
from barostat.cli.reach import Way, reach_options
from barostat.core.observation import RunState
from barostat.core.reasons import ReasonCode
from barostat.doctor.examine import blocks, examine
from barostat.doctor.facts import Daemon, GuestFacts
from barostat.doctor.findings import Finding, Level
from barostat.doctor.gather import Machine, look_at_machine
from barostat.errors import BarostatError, NoDaemonError
from barostat.service.documents import Guest, Overview

__all__ = ["doctor_command"]

_MARKS: Final = {
    Level.OK: Text("ok", style="green"),
    Level.ADVICE: Text("advice", style="yellow"),
    Level.BLOCKS: Text("BLOCKS", style="bold red"),
}


@click.command()
@reach_options
@output_option
def doctor_command(*, way: Way, output: str) -> int:
    """Say what a host and its VMs lack, and what to do about it.

    Looks for what keeps memory from being moved; changes nothing. Exit code 1: something blocks;
    advice alone is 0.
    """
    findings = asyncio.run(_examine(way))
    if output == "json":
        print_json(_document(findings))
    else:
        console = StdoutConsole()
        shown = _table(findings) if console.is_terminal else "\n".join(map(_line, findings))
        console.print(shown, "", _sum(findings), sep="\n")
    return EXIT_BAD if blocks(findings) else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Guests:
    """What could be learned of the guests, by which way, or why nothing could."""

    overview: Overview | None = None
    daemon: Daemon | None = None
    way: str = ""
    fault: BarostatError | None = None


async def _examine(way: Way) -> tuple[Finding, ...]:
    found = await _ask(way)
    overview = found.overview
    guests = () if overview is None else overview.guests
    uris = [way.guests.uri] if way.guests.uri is not None else []
    boots = {guest.name: guest.boot_bytes for guest in guests}
    machine = await look_at_machine(boots, asked=uris)
    fault = found.fault
    facts = replace(
        machine.facts,
        daemon=found.daemon,
        way=found.way,
        way_fault=None if fault is None else (fault.message, fault.hint),
    )
    if overview is not None:
        host = overview.host
        facts = replace(
            facts, capacity_bytes=host.capacity_bytes, promised_bytes=host.promised_bytes
        )
    seen = {guest.name for guest in guests}
    faults = () if overview is None else overview.faults
    silent = {item.name: (item.message, item.hint) for item in faults if item.name not in seen}
    return examine(facts, [_facts(guest, machine) for guest in guests], silent=silent)


async def _ask(way: Way) -> _Guests:
    """Ask the daemon; where none runs, or guests were named, look at the guests themselves."""
    from barostat.service.client import open_daemon  # noqa: PLC0415 - slow to load

    daemon, overview = None, None
    try:
        async with open_daemon(way.socket) as remote:
            overview = await remote.overview()
            daemon = Daemon(moving=overview.host.moving, paused=overview.host.paused)
    except NoDaemonError:
        pass
    except BarostatError as error:
        if not way.guests.named:
            return _Guests(fault=error)
    if overview is not None and not way.guests.named:
        return _Guests(overview=overview, daemon=daemon, way=f"a daemon answers at {way.socket}")
    try:
        async with open_directly(way.guests, Purpose.WATCH) as desk:
            overview = await desk.overview()
    except BarostatError as error:
        return _Guests(daemon=daemon, fault=error)
    return _Guests(overview=overview, daemon=daemon, way="guests were looked at directly")


def _facts(guest: Guest, machine: Machine) -> GuestFacts:
    balloon, settings = machine.balloon_of(guest.name), guest.settings
    return GuestFacts(
        name=guest.name,
        fault=_silence(guest),
        booting=guest.run_state is RunState.BOOTING,
        has_balloon=guest.depth != "static",
        statistics_age_s=guest.statistics_age_s,
        deflate_on_oom=guest.deflate_on_oom,
        free_page_reporting=None if balloon is None else balloon.free_page_reporting,
        boot_bytes=guest.boot_bytes,
        ceiling_bytes=guest.ceiling_bytes,
        assigned_bytes=guest.assigned_bytes,
        plugged_bytes=guest.plugged_bytes,
        total_bytes=guest.total_bytes,
        swapped_out_bytes=guest.swapped_out_bytes,
        unfit=machine.unfit.get(guest.name),
        minimum_bytes=None if settings is None else settings.minimum_bytes,
        maximum_bytes=None if settings is None else settings.maximum_bytes,
        enabled=settings is not None and settings.enabled,
        settings_fault=_settings_fault(guest),
    )


def _silence(guest: Guest) -> str | None:
    if guest.fault is not None or guest.run_state is not RunState.UNREACHABLE:
        return guest.fault
    return "its hypervisor does not answer"


def _settings_fault(guest: Guest) -> str | None:
    found = (why for why in guest.reasons if why.code == ReasonCode.BAD_SETTINGS.value)
    return next((str(why.numbers["fault"]) for why in found), None)


def _document(findings: Sequence[Finding]) -> dict[str, object]:
    return {
        "blocks": blocks(findings),
        "findings": [{**asdict(item), "level": item.level.value} for item in findings],
    }


def _table(findings: Sequence[Finding]) -> Table:
    """Show every finding; what to do about it stands below what it says."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("About", "Check", ""):
        table.add_column(title, no_wrap=True)
    table.add_column("Found")
    about = ""
    for item in findings:
        says = f"{item.says}\n-> {item.remedy}" if item.remedy else item.says
        shown = item.subject if item.subject != about else ""
        table.add_row(shown, item.check, _MARKS[item.level], says)
        about = item.subject
    return table


def _line(item: Finding) -> str:
    """Say a finding in one line, for a file or a pipe."""
    says = f"{item.says}; {item.remedy}" if item.remedy else item.says
    return f"{item.subject}: {item.check}: {item.level.value}: {says}"


def _sum(findings: Sequence[Finding]) -> str:
    counts = {level: sum(item.level is level for item in findings) for level in Level}
    return (
        f"{counts[Level.BLOCKS]} block, {counts[Level.ADVICE]} advise, {counts[Level.OK]} are well."
    )
