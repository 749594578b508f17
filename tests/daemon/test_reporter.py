"""What the log tells: that something became otherwise, once."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import structlog
from tests.engine.conftest import Host

from barostat.core.moves import Move, MoveKind
from barostat.core.observation import GuestObservation, HostObservation
from barostat.core.reasons import ReasonCode, because
from barostat.daemon.reporter import Reporter, figures
from barostat.engine.act import Outcome
from barostat.engine.loop import Balancer, Tick
from barostat.engine.observe import FixedSettings
from barostat.engine.sampling import Pace
from barostat.errors import DeadlineError
from barostat.hypervisors.simulated import SimulatedHypervisor
from barostat.units import MIB

pytestmark = pytest.mark.looptime

Lines = list[MutableMapping[str, Any]]


class Box:
    """A host whose capacity a test changes."""

    capacity_bytes = 2048 * MIB

    async def observe(self, guests: Sequence[GuestObservation]) -> HostObservation:
        return HostObservation(capacity_bytes=self.capacity_bytes)


class Story:
    """A simulated host, balanced, and the log of it."""

    def __init__(self, *, moving: bool, pace: Pace = Pace()) -> None:  # noqa: B008 - frozen
        clock = asyncio.get_running_loop().time
        self.host = Host(SimulatedHypervisor(clock))
        self.box = Box()
        self.ticks: list[Tick] = []
        self._reporter = reporter = Reporter(moving=moving)
        self._balancer = Balancer(
            self.host.hypervisor,
            FixedSettings(self.host.settings),
            self.box,
            on_tick=self._on_tick,
            on_outcome=reporter.on_outcome,
            moving=moving,
            clock=clock,
            pace=pace,
        )

    def _on_tick(self, tick: Tick) -> None:
        self.ticks.append(tick)
        self._reporter.on_tick(tick)

    async def go_on(self, seconds: float) -> Lines:
        """Balance for so long, and give what was logged."""
        with structlog.testing.capture_logs() as lines:
            await self.host.run(self._balancer, seconds)
        return lines


def events(lines: Lines, *words: str, level: str | None = None) -> list[str]:
    return [
        line["event"]
        for line in lines
        if all(word in line["event"] for word in words) and level in (None, line["log_level"])
    ]


def kinds(tick: Tick) -> list[str]:
    return [move.kind.value for move in tick.decision.moves]


async def test_a_guest_that_stays_as_it_is_is_told_of_once() -> None:
    story = Story(moving=True)
    story.host.add("web")
    del story.host.settings["web"]

    lines = await story.go_on(20)

    assert len(events(lines, "web: seen")) == 1
    assert len(events(lines, "web: held", "no Dynamic Memory settings", level="info")) == 1
    assert len(events(lines, "memory: plenty")) == 1


async def test_every_move_is_told_with_its_reason_and_each_change_of_status() -> None:
    story = Story(moving=True, pace=Pace(on=False))
    web = story.host.add("web")
    await story.go_on(15)
    web.use(900 * MIB)

    lines = await story.go_on(15)

    assert events(lines, "web: grow from", "it needs", level="info")
    assert events(lines, "web: status from Low to OK", level="info")


async def test_a_guest_that_must_page_is_warned_of() -> None:
    story = Story(moving=True)
    web = story.host.add("web")
    story.box.capacity_bytes = 512 * MIB
    await story.go_on(15)
    web.use(900 * MIB)

    lines = await story.go_on(15)

    assert events(lines, "web: status from", "to Warning", level="warning")


async def test_what_a_healthy_host_does_all_the_time_is_for_debugging() -> None:
    story = Story(moving=True)
    story.host.add("web")

    lines = await story.go_on(20)

    ordinary = [line for line in lines if "held at" in line["event"]]
    assert ordinary
    booting = [line for line in ordinary if "booted" in line["event"]]
    assert {line["log_level"] for line in ordinary if line not in booting} == {"debug"}


async def test_a_watcher_tells_once_what_it_would_do() -> None:
    story = Story(moving=False)
    story.host.add("web").use(480 * MIB)

    lines = await story.go_on(20)

    assert len(events(lines, "would move web: grow")) == 1


async def test_an_alarm_is_told_when_it_comes_and_when_it_is_over() -> None:
    story = Story(moving=True)
    story.host.add("web")
    await story.go_on(3)
    story.box.capacity_bytes = 64 * MIB
    lost = await story.go_on(3)
    story.box.capacity_bytes = 2048 * MIB
    found = await story.go_on(3)

    assert len(events(lost, "ALARM:", "more is promised", level="warning")) == 1
    assert len(events(found, "over:", "more is promised")) == 1


async def test_a_guest_that_ended_is_told_of() -> None:
    story = Story(moving=True)
    web = story.host.add("web")
    await story.go_on(3)
    web.die()

    assert events(await story.go_on(3), "web: gone") == ["web: gone"]


async def test_a_move_out_of_turn_is_told_as_such_and_only_once() -> None:
    story = Story(moving=True)
    story.host.add("db")
    web = story.host.add("web")
    await story.go_on(15)
    web.use(900 * MIB)
    await story.go_on(5)
    tick = next(tick for tick in story.ticks if "grow" in kinds(tick))
    hurried = replace(tick, snapshot=replace(tick.snapshot, hurried=frozenset({"web"})))
    reporter = Reporter(moving=True)

    with structlog.testing.capture_logs() as lines:
        reporter.on_tick(hurried)
        reporter.on_tick(tick)

    assert len(events(lines, "web: grow from")) == 1
    assert events(lines, "at once: web: grow from", level="info")
    assert not events(lines, "gone")


async def test_the_figures_of_a_host_are_one_line() -> None:
    story = Story(moving=True)
    story.host.add("web")
    await story.go_on(3)

    assert figures(story.ticks[-1].decision).startswith("1 VM, promised 512 MiB of 2048 MiB, in")


@pytest.mark.parametrize(
    ("error", "arrived", "level", "words"),
    [
        (None, True, "debug", "web: grow arrived after 2.0 s"),
        (None, False, "debug", "web: grow not there yet after 2.0 s"),
        (DeadlineError("it is silent", hint="wait"), False, "warning", "it is silent"),
    ],
)
async def test_the_end_of_a_move_is_a_warning_only_where_it_failed(
    error: DeadlineError | None, *, arrived: bool, level: str, words: str
) -> None:
    reason = because(ReasonCode.BELOW_MINIMUM, minimum_bytes=2)
    move = Move(guest="web", kind=MoveKind.GROW, from_bytes=1, to_bytes=2, reasons=(reason,))
    outcome = Outcome(move=move, arrived=arrived, assigned_bytes=2, took_s=2.0, error=error)

    with structlog.testing.capture_logs() as lines:
        Reporter(moving=True).on_outcome(outcome)

    assert [line["log_level"] for line in lines] == [level]
    assert words in lines[0]["event"]
