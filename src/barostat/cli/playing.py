"""Play a scenario while a person watches: a live screen on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Self, TypeVar

import click
from rich.console import Group
from rich.live import Live

from barostat.cli.console import StdoutConsole
from barostat.cli.output import say
from barostat.cli.tables import GUEST_COLUMNS, Column, fitting, guest_table, why
from barostat.core.explain import summary
from barostat.core.moves import MoveKind
from barostat.engine.loop import Balancer, Tick
from barostat.lab.report import Recorder, Report
from barostat.lab.run import play
from barostat.lab.scenario import Scenario
from barostat.lab.stages import StageKind, open_stage
from barostat.service.documents import Guest
from barostat.service.explaining import host_line
from barostat.service.making import overview_of
from barostat.units import format_size

__all__ = ["Screen", "play_once", "stage_options"]

PLAIN_EVERY_S: Final = 5
"""Without a terminal all guests every second would drown the moves."""

_Command = TypeVar("_Command", bound=Callable[..., Any])


def stage_options(command: _Command) -> _Command:
    """Let a command's user choose what runs the guests; `hypervisor` is a `StageKind`'s value."""
    command = click.option(
        "--simulated",
        "hypervisor",
        flag_value=StageKind.SIMULATED.value,
        help="Short for --hypervisor simulated: for a machine without QEMU.",
    )(command)
    return click.option(
        "--hypervisor",
        type=click.Choice([kind.value for kind in StageKind]),
        default=StageKind.QMP.value,
        show_default=True,
        help="What runs the guests: QEMU alone, a private libvirtd (as root), or a simulation.",
    )(command)


class Screen:
    """Shows a run while it goes on.

    Args:
        console: where.
        seconds: how long the run lasts.
    """

    def __init__(self, console: StdoutConsole, *, seconds: float) -> None:
        self._console = console
        self._seconds = seconds
        movable = console.is_terminal and not console.is_dumb_terminal
        self._live = Live(console=console, auto_refresh=False) if movable else None
        self._columns: tuple[Column, ...] = ()
        self._due_s = 0

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def tick(self, tick: Tick, recorder: Recorder) -> None:
        """Show one second."""
        if self._live is None:
            self._say(tick, recorder)
        else:
            self._live.update(self._frame(tick, recorder), refresh=True)

    def _frame(self, tick: Tick, recorder: Recorder) -> Group:
        overview, moving = overview_of(tick), recorder.moving
        # What was left out stays out: columns that come and go cannot be read.
        columns = self._columns or _columns(recorder)
        self._columns = fitting(columns, overview, width=self._console.width)
        host = host_line(overview.host) if moving else "nothing is moved"
        return Group(
            f"{recorder.seconds:.0f} of {self._seconds:.0f} s: {host}",
            "",
            guest_table(overview, self._columns),
            *(("", self._console.facts(why(overview))) if moving else ()),
        )

    def _say(self, tick: Tick, recorder: Recorder) -> None:
        seconds = int(recorder.seconds)
        if seconds >= self._due_s:
            self._due_s = seconds - seconds % PLAIN_EVERY_S + PLAIN_EVERY_S
            for guest in overview_of(tick).guests:
                self._line(seconds, _seen(guest))
        for move in tick.decision.moves:
            if recorder.moving and move.kind is not MoveKind.NUDGE:
                self._line(seconds, summary(move))

    def _line(self, seconds: int, text: str) -> None:
        self._console.print(f"{seconds:5} s  {text}")


def _seen(guest: Guest) -> str:
    demand = "unknown" if guest.demand_bytes is None else format_size(guest.demand_bytes)
    assigned = format_size(guest.assigned_bytes)
    return f"{guest.name}: {guest.status.value}, assigned {assigned}, demand {demand}"


def _columns(recorder: Recorder) -> tuple[Column, ...]:
    """Show beside Barostat's figures what the guest's own workload holds and felt."""

    def witness(guest: Guest) -> Mapping[str, float]:
        return recorder.witnesses.get(guest.name, {})

    def holds(guest: Guest) -> str:
        return format_size(int(witness(guest).get("held_bytes", 0)))

    def stalled(guest: Guest) -> str:
        return f"{witness(guest).get('stalled_us', 0) / 1e6:.1f} s"

    shown = [column for column in GUEST_COLUMNS if recorder.moving or column.title != "Target"]
    return (
        *shown,
        Column(title="Holds", cell=holds, spare=2),
        Column(title="Stalled", cell=stalled, spare=5),
    )


async def play_once(
    scenario: Scenario,
    *,
    seconds: float,
    hypervisor: str,
    moving: bool,
    console: StdoutConsole | None,
    page: bool = False,
) -> Report:
    """Boot, play and tear down once; without a console, silently.

    Args:
        scenario: what.
        seconds: how long.
        hypervisor: what runs the guests.
        moving: False leaves every guest at its startup size.
        console: where it is shown.
        page: serve the web page beside it.
    """
    async with open_stage(StageKind(hypervisor), say=say) as stage:

        def company(balancer: Balancer) -> AbstractAsyncContextManager[Callable[[Tick], None]]:
            from barostat.cli.page import open_page  # noqa: PLC0415 - slow to load

            return open_page(balancer, stage)

        more: dict[str, Any] = {"company": company} if page else {}
        names = ", ".join(guest.name for guest in scenario.guests)
        say(f"booting {names} ({stage.label})")
        if console is None:
            return await play(stage, scenario, seconds=seconds, moving=moving, **more)
        with Screen(console, seconds=seconds) as screen:
            return await play(
                stage, scenario, seconds=seconds, moving=moving, on_tick=screen.tick, **more
            )
