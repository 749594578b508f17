"""`barostat doctor`: what a host and its guests lack for Dynamic Memory, with a remedy for each."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import click
from rich.table import Table
from rich.text import Text

from barostat.cli.console import StdoutConsole
from barostat.cli.direct import Purpose, open_directly
from barostat.cli.documents import print_document
from barostat.cli.ending import EXIT_BAD
from barostat.cli.options import output_option
from barostat.cli.reach import Way, reach_options
from barostat.doctor.examine import blocks
from barostat.doctor.facts import Daemon
from barostat.doctor.findings import Finding, Level
from barostat.errors import BarostatError, NoDaemonError
from barostat.service.examining import Asked, examination_of, examine_all

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
        print_document(examination_of(findings))
    else:
        console = StdoutConsole()
        shown = _table(findings) if console.is_terminal else "\n".join(map(_line, findings))
        console.print(shown, "", _sum(findings), sep="\n")
    return EXIT_BAD if blocks(findings) else 0


async def _examine(way: Way) -> tuple[Finding, ...]:
    uris = [way.guests.uri] if way.guests.uri is not None else []
    return await examine_all(await _ask(way), uris=uris)


async def _ask(way: Way) -> Asked:
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
            return Asked(fault=error)
    if overview is not None and not way.guests.named:
        return Asked(overview=overview, daemon=daemon, way=f"a daemon answers at {way.socket}")
    try:
        async with open_directly(way.guests, Purpose.WATCH) as desk:
            overview = await desk.overview()
    except BarostatError as error:
        return Asked(daemon=daemon, fault=error)
    return Asked(overview=overview, daemon=daemon, way="guests were looked at directly")


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
