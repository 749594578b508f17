"""`barostat set`, `enable`, `disable`, `pause` and `resume`: what was, and what is now.

What cannot be used is refused whole, with every fault at once. The daemon does as it is told from
its next tick on; without one, settings are written for whoever comes.
"""

from __future__ import annotations

import asyncio

import click

from barostat.cli.console import StdoutConsole
from barostat.cli.direct import Purpose
from barostat.cli.documents import print_document
from barostat.cli.options import output_option
from barostat.cli.output import say
from barostat.cli.reach import Way, open_desk, open_only_daemon, reach_options
from barostat.cli.tables import change_table, plain_table
from barostat.config.settings_file import SettingsPatch
from barostat.config.settings_words import read_settings_words
from barostat.errors import InputError
from barostat.service.documents import Change, HostPause

__all__ = [
    "disable_command",
    "enable_command",
    "pause_command",
    "resume_command",
    "set_command",
]


@click.command()
@click.argument("vm")
@click.option("--startup", metavar="SIZE", help="What it boots with. Fixed while it runs.")
@click.option("--minimum", metavar="SIZE", help="What it always keeps. While it runs: only lower.")
@click.option("--maximum", metavar="SIZE", help="What it may grow to. While it runs: only higher.")
@click.option("--buffer", metavar="PERCENT", help="Spare memory above its demand, 5 to 2000.")
@click.option("--weight", metavar="NUMBER", help="Its rank when memory is short, 0 to 10000.")
@reach_options
@output_option
def set_command(
    vm: str,
    *,
    startup: str | None,
    minimum: str | None,
    maximum: str | None,
    buffer: str | None,
    weight: str | None,
    way: Way,
    output: str,
) -> None:
    """Change a VM's settings: all of what is asked, or nothing.

    Sizes are written as "512MiB" or "8GiB". A VM without settings gets the defaults for what is
    left out, and Dynamic Memory with them.
    """
    words = {
        "startup_bytes": startup,
        "minimum_bytes": minimum,
        "maximum_bytes": maximum,
        "buffer_percent": buffer,
        "weight": weight,
    }
    given = {name: text for name, text in words.items() if text is not None}
    if not given:
        hint = "give at least one of --startup, --minimum, --maximum, --buffer and --weight"
        raise InputError("nothing to change was named; nothing was changed", hint=hint)
    _change(vm, read_settings_words(vm, given), way, output)


@click.command()
@click.argument("vm")
@reach_options
@output_option
def enable_command(vm: str, *, way: Way, output: str) -> None:
    """Turn Dynamic Memory on for a VM.

    A VM without settings gets the defaults: startup is what it booted with, minimum is startup,
    maximum is what its devices allow.
    """
    _change(vm, SettingsPatch(enabled=True), way, output)


@click.command()
@click.argument("vm")
@reach_options
@output_option
def disable_command(vm: str, *, way: Way, output: str) -> None:
    """Turn Dynamic Memory off for a VM; it keeps the size it has.

    Its settings stay as well, so that `barostat enable VM` finds them again.
    """
    _change(vm, SettingsPatch(enabled=False), way, output)


@click.command()
@click.argument("vm", required=False)
@reach_options
@output_option
def pause_command(vm: str | None, *, way: Way, output: str) -> None:
    """Hold a VM, or every VM of the host, at the size it has.

    A VM's pause travels with it. The host's is the daemon's, and outlives a restart of it.
    """
    _pause(vm, way, output, paused=True)


@click.command()
@click.argument("vm", required=False)
@reach_options
@output_option
def resume_command(vm: str | None, *, way: Way, output: str) -> None:
    """Let a VM, or the host, be balanced again.

    VMs that were paused by their names stay so when the host is resumed.
    """
    _pause(vm, way, output, paused=False)


def _pause(vm: str | None, way: Way, output: str, *, paused: bool) -> None:
    if vm is not None:
        _change(vm, SettingsPatch(paused=paused), way, output)
        return
    pause = asyncio.run(_pause_host(way, paused=paused))
    if output == "json":
        print_document(pause)
        return
    table = plain_table()
    for title in ("Host", "Before", "After"):
        table.add_column(title)
    style = "" if pause.before == pause.after else "bold"
    cells = ("yes" if item else "no" for item in (pause.before, pause.after))
    table.add_row("paused", *cells, style=style)
    StdoutConsole().print(table)


async def _pause_host(way: Way, *, paused: bool) -> HostPause:
    async with open_only_daemon(way) as desk:
        return await desk.pause_host(paused=paused)


def _change(vm: str, patch: SettingsPatch, way: Way, output: str) -> None:
    change = asyncio.run(_changed(vm, patch, way))
    _tell(vm, change)
    if output == "json":
        print_document(change)
    else:
        StdoutConsole().print(change_table(change))


async def _changed(vm: str, patch: SettingsPatch, way: Way) -> Change:
    async with open_desk(way, Purpose.WRITE) as desk:
        return await desk.change(vm, patch)


def _tell(vm: str, change: Change) -> None:
    """Say on stderr what the table does not show."""
    before, after = change.before, change.after
    if before.written is None and after.written is not None:
        say(f"{vm} had no settings; it now has Dynamic Memory, with defaults for what was left out")
    elif before.written == after.written:
        say(f"{vm} has these settings already; nothing was changed")
    if not after.running and after.written is not None:
        say(f"{vm} is off: they hold from its next start on")
