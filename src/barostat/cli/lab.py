"""`barostat lab`: real guests to play, test and measure with."""

from __future__ import annotations

import asyncio
import difflib
from pathlib import Path

import click

from barostat.cli.console import StdoutConsole
from barostat.cli.ending import EXIT_BAD
from barostat.cli.options import SIZE, NumberRange, output_option
from barostat.cli.output import print_json, say
from barostat.cli.playing import play_once, stage_options
from barostat.cli.results import compare, highlights, is_bad
from barostat.cli.tables import plain_table
from barostat.errors import InputError
from barostat.lab import keep
from barostat.lab.fleet import ensure_kit
from barostat.lab.scenario import read_scenario
from barostat.units import format_size

__all__ = ["lab_command"]

SCENARIO = click.argument("scenario", type=click.Path(path_type=Path))


@click.group()
def lab_command() -> None:
    """Boot real guests to play, test and measure with.

    They are small Linux guests in QEMU, described by a scenario: a TOML file with the host's
    capacity, the guests' settings, and what their workloads do when.
    """


@lab_command.command("run")
@SCENARIO
@click.option(
    "--seconds",
    type=NumberRange(min=1, max=86400),
    default=120,
    show_default=True,
    help="How long the run lasts once its first guests are ready.",
)
@click.option(
    "--policy",
    type=click.Choice(["barostat", "static"]),
    default="barostat",
    show_default=True,
    help="Who sizes the guests: Barostat, or nobody.",
)
@stage_options
@output_option
def run_command(scenario: Path, seconds: float, policy: str, hypervisor: str, output: str) -> int:
    """Boot a scenario's guests, play it, take everything down, and report.

    The exit code is 1 if a rule was broken or a guest's kernel had to kill.
    """
    console = None if output == "json" else StdoutConsole()
    report = asyncio.run(
        play_once(
            read_scenario(scenario),
            seconds=seconds,
            hypervisor=hypervisor,
            moving=policy == "barostat",
            console=console,
        )
    )
    if console is None:
        print_json(report.as_json())
    else:
        console.print("\nWhat it came to:", style="bold")
        console.print(compare([report]))
        for line in highlights(report):
            console.print(f"- {line}")
    return EXIT_BAD if is_bad(report) else 0


@lab_command.command("up")
@SCENARIO
def up_command(scenario: Path) -> None:
    """Boot a scenario's guests and keep them, for playing.

    Their steps are not played: `barostat lab hold` tells a workload what to do.
    """
    read = read_scenario(scenario)
    kit = ensure_kit(progress=say)
    lab = asyncio.run(keep.up(read, kit=kit))
    say(f'lab "{lab.name}" is up: {", ".join(guest.name for guest in lab.guests)}')
    say("try `barostat list`, `barostat plan`, `barostat explain VM`; end it with `lab down`")
    click.echo(lab.folder)


@lab_command.command("list")
@output_option
def list_labs_command(output: str) -> None:
    """Show the labs that are up."""
    labs = keep.running_labs()
    if output == "json":
        print_json([_lab_json(lab) for lab in labs])
        return
    if not labs:
        say("no lab is up; `barostat lab up SCENARIO.toml` starts one")
        return
    table = plain_table()
    for title in ("Lab", "Capacity", "Guests", "Folder"):
        table.add_column(title, overflow="fold")
    for lab in labs:
        guests = ", ".join(
            guest.name if guest.process.runs() else f"{guest.name} (ended)" for guest in lab.guests
        )
        table.add_row(lab.name, format_size(lab.capacity_bytes), guests, str(lab.folder))
    StdoutConsole().print(table)


def _lab_json(lab: keep.KeptLab) -> dict[str, object]:
    return {
        "name": lab.name,
        "folder": str(lab.folder),
        "capacity_bytes": lab.capacity_bytes,
        "guests": [
            {"name": guest.name, "pid": guest.process.pid, "runs": guest.process.runs()}
            for guest in lab.guests
        ],
    }


@lab_command.command("hold")
@click.argument("vm")
@click.argument("size", type=SIZE)
@click.option("--hot", type=NumberRange(0, 1), default=1.0, help="The share it touches.")
@click.option("--lab", "name", help="Which lab, where several are up.")
def hold_command(vm: str, size: int, hot: float, name: str | None) -> None:
    """Tell a lab guest's workload how much memory to hold."""
    asyncio.run(keep.hold(_lab(name), vm, size, hot=hot))
    say(f"{vm} now goes for {format_size(size)}")


@lab_command.command("down")
@click.option("--lab", "name", help="Which lab, where several are up.")
@click.option("--all", "everything", is_flag=True, help="End every lab that is up.")
def down_command(name: str | None, everything: bool) -> None:
    """End a lab's guests and remove its files."""
    labs = keep.running_labs() if everything else (_lab(name),)
    for lab in labs:
        asyncio.run(keep.down(lab))
        say(f'lab "{lab.name}" is down')


def _lab(name: str | None) -> keep.KeptLab:
    """Find the lab that is meant."""
    labs = {lab.name: lab for lab in keep.running_labs()}
    if name is None and len(labs) == 1:
        return next(iter(labs.values()))
    if name in labs:
        return labs[name]
    if not labs:
        hint = "`barostat lab up SCENARIO.toml` starts one"
        raise InputError("no lab is up; nothing was changed", hint=hint)
    if name is None:
        hint = "name one with --lab: " + ", ".join(labs)
        raise InputError(f"{len(labs)} labs are up; nothing was changed", hint=hint)
    near = difflib.get_close_matches(name, labs, n=1)
    hint = f'did you mean "{near[0]}"?' if near else "there are: " + ", ".join(labs)
    raise InputError(f'there is no lab "{name}"; nothing was changed', hint=hint)
