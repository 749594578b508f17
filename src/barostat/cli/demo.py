"""`barostat demo`: three guests whose workloads rise and fall, with Barostat and without."""

from __future__ import annotations

import asyncio
from importlib import resources
from pathlib import Path
from typing import Self

import click
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from barostat.cli.main import EXIT_BAD
from barostat.cli.output import output_option, print_json, say
from barostat.cli.tables import guest_table, host_line, why_lines
from barostat.core.explain import summary
from barostat.core.moves import MoveKind
from barostat.engine.loop import Tick
from barostat.lab.report import Recorder, Report
from barostat.lab.run import play
from barostat.lab.scenario import Scenario, read_scenario
from barostat.lab.stages import open_stage
from barostat.units import format_size

__all__ = ["Screen", "compare", "demo_command", "play_once"]

PLAIN_EVERY = 5
"""Without a terminal the whole table would drown the moves: it is said every so many seconds."""

DEMO_SECONDS = 66
"""Long enough for every act of the scenario; twice of it and the set-up stay under 4 minutes."""


class Screen:
    """Shows a run while it goes on: a live table on a terminal, plain lines elsewhere."""

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._quiet = quiet

    def __enter__(self) -> Self:
        if self._live is not None and not self._quiet:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def tick(self, tick: Tick, recorder: Recorder) -> None:
        """Show one second."""
        if self._quiet:
            return
        seconds = recorder.seconds
        if self._live is not None:
            table = guest_table(tick.decision, extra=recorder_columns(recorder))
            lines = [f"{seconds:.0f} s: {host_line(tick.decision)}", *why_lines(tick.decision)]
            self._live.update(Group(table, "", *lines), refresh=True)
            return
        for move in tick.decision.moves:
            if recorder.moving and move.kind is not MoveKind.NUDGE:
                self._console.print(f"{seconds:5.0f} s  {summary(move)}", soft_wrap=True)
        if round(seconds) % PLAIN_EVERY == 0:
            for guest in tick.decision.guests:
                demand = "-" if guest.demand_bytes is None else format_size(guest.demand_bytes)
                self._console.print(
                    f"{seconds:5.0f} s  {guest.guest}: {guest.status.value}, "
                    f"assigned {format_size(guest.assigned_bytes)}, demand {demand}",
                    soft_wrap=True,
                )


def recorder_columns(recorder: Recorder) -> list[tuple[str, dict[str, str]]]:
    """Show beside Barostat's figures what the guest's own workload holds and felt."""
    holds, stalls = {}, {}
    for name, witness in recorder.witnesses.items():
        holds[name] = format_size(int(witness.get("held_bytes", 0)))
        stalls[name] = f"{witness.get('stalled_us', 0) / 1e6:.1f} s"
    return [("Holds", holds), ("Stalled", stalls)]


async def play_once(
    scenario: Scenario,
    *,
    seconds: float,
    simulated: bool,
    moving: bool,
    console: Console,
    quiet: bool = False,
) -> Report:
    """Boot, play and tear down once."""
    async with open_stage(simulated=simulated, say=say) as stage:
        with Screen(console, quiet=quiet) as screen:
            return await play(stage, scenario, seconds=seconds, moving=moving, on_tick=screen.tick)


@click.command()
@click.option(
    "--seconds",
    type=click.FloatRange(min=5, max=3600),
    default=DEMO_SECONDS,
    show_default=True,
    help="How long each of the two runs lasts once its guests are ready.",
)
@click.option("--simulated", is_flag=True, help="Simulated guests: for a machine without QEMU.")
@output_option
def demo_command(seconds: float, simulated: bool, output: str) -> int:
    """Boot three guests and watch memory move between them.

    Plays one scenario twice: with Barostat, then with the same memory in static sizes. The exit
    code is 1 if a rule was broken or a guest's kernel had to kill.
    """
    console, quiet = Console(highlight=False), output == "json"
    with resources.as_file(resources.files("barostat.lab") / "demo.toml") as path:
        scenario = read_scenario(Path(path))
    reports = []
    for moving in (True, False):
        say("With Barostat:" if moving else "The same again with static sizes:")
        reports.append(
            asyncio.run(
                play_once(
                    scenario,
                    seconds=seconds,
                    simulated=simulated,
                    moving=moving,
                    console=console,
                    quiet=quiet,
                )
            )
        )
    if quiet:
        print_json({report.policy: report.as_json() for report in reports})
    else:
        console.print(compare(reports))
        for line in highlights(reports[0]):
            console.print(f"- {line}", soft_wrap=True)
    return EXIT_BAD if is_bad(reports[0]) else 0


def is_bad(report: Report) -> bool:
    """Say whether a rule was broken or a guest's kernel had to kill."""
    return bool(report.summary.invariant_breaches or report.summary.oom_kills)


def compare(reports: list[Report]) -> Table:
    """Put runs side by side."""
    table = Table(title="The same workloads on the same memory", title_justify="left", box=None)
    table.add_column("")
    for report in reports:
        table.add_column(report.policy, justify="right")
    sums = [report.summary for report in reports]
    rows = {
        "stalled, all guests": [f"{item.stall_seconds:.1f} s" for item in sums],
        "swapped in": [format_size(item.swap_in_bytes) for item in sums],
        "kills by a guest's kernel": [str(item.oom_kills) for item in sums],
        "rules broken": [str(item.invariant_breaches) for item in sums],
        "memory moved": [format_size(item.bytes_moved) for item in sums],
    }
    for title, cells in rows.items():
        table.add_row(title, *cells)
    for name in sums[0].guests:
        cells = [
            f"{format_size(item.guests[name].minimum_assigned_bytes)} to "
            f"{format_size(item.guests[name].maximum_assigned_bytes)}, "
            f"stalled {item.guests[name].stall_seconds:.1f} s"
            for item in sums
        ]
        table.add_row(name, *cells)
    return table


def highlights(report: Report) -> list[str]:
    """Say what the run showed, from what was measured in it."""
    lines = []
    for name, guest in report.summary.guests.items():
        if guest.peak_plugged_bytes:
            size = format_size(guest.maximum_assigned_bytes)
            lines.append(f"{name} grew past its boot size by hot-add, to {size}")
        if guest.ballooned_bytes:
            lines.append(f"{name} gave {format_size(guest.ballooned_bytes)} through its balloon")
        if guest.unplugged_bytes:
            lines.append(f"{name} gave {format_size(guest.unplugged_bytes)} by unplugging")
        if guest.swap_out_bytes:
            out = format_size(guest.swap_out_bytes)
            lines.append(f"{name}'s own kernel paged out {out}, what it used least")
    return lines + [f"RULE BROKEN: {breach}" for breach in report.breaches]
