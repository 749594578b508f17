"""`barostat demo`: three guests whose workloads rise and fall, with Barostat and without."""

from __future__ import annotations

import asyncio
from importlib import resources
from pathlib import Path
from typing import Final

import click

from barostat.cli.console import StdoutConsole
from barostat.cli.ending import EXIT_BAD
from barostat.cli.options import NumberRange, output_option
from barostat.cli.output import print_json, say
from barostat.cli.playing import play_once, stage_options
from barostat.cli.results import compare, highlights, is_bad
from barostat.lab.report import Report
from barostat.lab.scenario import Scenario, read_scenario

__all__ = ["demo_command"]

DEMO_SECONDS: Final = 66
"""Long enough for every act of the scenario; twice of it and the set-up stay under 4 minutes."""


@click.command()
@click.option(
    "--seconds",
    type=NumberRange(min=5, max=3600),
    default=DEMO_SECONDS,
    show_default=True,
    help="How long each of the two runs lasts once its guests are ready.",
)
@stage_options
@output_option
def demo_command(seconds: float, hypervisor: str, output: str) -> int:
    """Boot three guests and watch memory move between them.

    Plays one scenario twice: with Barostat, then with the same memory in static sizes. While
    Barostat is at work, its web page is served on a port of this machine. The exit
    code is 1 if a rule was broken or a guest's kernel had to kill while Barostat was at work.
    """
    console = None if output == "json" else StdoutConsole()
    with resources.as_file(resources.files("barostat.lab") / "demo.toml") as path:
        scenario = read_scenario(Path(path))
    reports = [
        _play(scenario, seconds=seconds, hypervisor=hypervisor, moving=moving, console=console)
        for moving in (True, False)
    ]
    if console is None:
        print_json({report.policy: report.as_json() for report in reports})
    else:
        _conclude(console, reports)
    return EXIT_BAD if is_bad(reports[0]) else 0


def _play(
    scenario: Scenario,
    *,
    seconds: float,
    hypervisor: str,
    moving: bool,
    console: StdoutConsole | None,
) -> Report:
    title = "With Barostat:" if moving else "\nThe same again with static sizes:"
    if console is None:
        say(title.strip())
    else:
        console.print(title, style="bold")
    run = play_once(
        scenario,
        seconds=seconds,
        hypervisor=hypervisor,
        moving=moving,
        console=console,
        page=moving,
    )
    return asyncio.run(run)


def _conclude(console: StdoutConsole, reports: list[Report]) -> None:
    console.print("\nThe same workloads on the same memory:", style="bold")
    console.print(compare(reports))
    console.print("\nWhat happened with Barostat:", style="bold")
    for line in highlights(reports[0]):
        console.print(f"- {line}")
