"""Playing a scenario: a mishap on the way ends the run with its own error; breaches are counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from barostat.core.decide import Decision
from barostat.core.settings import MemorySettings
from barostat.engine.loop import Tick
from barostat.errors import GuestDiedError, LabError
from barostat.lab.report import Recorder
from barostat.lab.run import play
from barostat.lab.scenario import Scenario, ScenarioGuest, Step
from barostat.lab.stages import SimulatedStage, guest_spec
from barostat.units import MIB

pytestmark = pytest.mark.looptime


def guest(name: str, *, boot_at_s: float = 0.0) -> ScenarioGuest:
    settings = MemorySettings(
        startup_bytes=256 * MIB, minimum_bytes=128 * MIB, maximum_bytes=512 * MIB
    )
    return ScenarioGuest(name=name, settings=settings, swap_bytes=0, boot_at_s=boot_at_s)


def scenario(*guests: ScenarioGuest, steps: tuple[Step, ...] = ()) -> Scenario:
    return Scenario(name="test", capacity_bytes=1024 * MIB, guests=guests, steps=steps)


class Mishap(SimulatedStage):
    """A stage on which something goes wrong."""

    def __init__(self, folder: Path, *, at: str, error: Exception) -> None:
        super().__init__(folder)
        self._at = at
        self._error = error
        self.booted: list[str] = []
        self.checks = 0

    async def boot(self, guest: ScenarioGuest) -> None:
        if self._at == guest.name:
            raise self._error
        await super().boot(guest)
        self.booted.append(guest.name)

    async def play(self, step: Step) -> None:
        if self._at == "step":
            raise self._error
        await super().play(step)

    def check(self) -> None:
        self.checks += 1
        if self._at == "check" and self.checks > 5:
            raise self._error


async def test_a_first_guest_that_cannot_boot_ends_the_boots_beside_it(tmp_path: Path) -> None:
    stage = Mishap(tmp_path, at="web", error=LabError("no room on the disk"))

    with pytest.raises(LabError, match="no room on the disk"):
        await play(stage, scenario(guest("web"), guest("db")), seconds=10)

    assert stage.booted == []


async def test_a_later_guest_that_cannot_boot_ends_the_run_with_its_error(tmp_path: Path) -> None:
    stage = Mishap(tmp_path, at="late", error=LabError("it did not start"))

    with pytest.raises(LabError, match="it did not start"):
        await play(stage, scenario(guest("web"), guest("late", boot_at_s=3)), seconds=30)


async def test_a_workload_that_does_not_answer_ends_the_run_with_its_error(tmp_path: Path) -> None:
    stage = Mishap(tmp_path, at="step", error=LabError("it does not answer"))
    step = Step(at_s=2, guest="web", use_bytes=MIB, hot=1.0, cache_bytes=None)

    with pytest.raises(LabError, match="it does not answer"):
        await play(stage, scenario(guest("web"), steps=(step,)), seconds=30)


async def test_a_guest_that_dies_ends_the_run_within_a_second(tmp_path: Path) -> None:
    stage = Mishap(tmp_path, at="check", error=GuestDiedError("it ended by itself", console="/x"))
    seconds = []

    with pytest.raises(GuestDiedError, match="it ended by itself"):
        await play(
            stage,
            scenario(guest("web")),
            seconds=30,
            on_tick=lambda _, recorder: seconds.append(recorder.seconds),
        )

    assert seconds[-1] == 5


async def one_tick(stage: SimulatedStage, what: Scenario) -> Tick:
    ticks: list[Tick] = []
    await play(stage, what, seconds=1, on_tick=lambda tick, _: ticks.append(tick))
    return ticks[0]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            lambda tick: replace(tick.decision, capacity_bytes=200 * MIB),
            f"1.0 s: {56 * MIB} bytes above the capacity",
        ),
        (
            lambda tick: replace(
                tick.decision,
                guests=(replace(tick.decision.guests[0], assigned_bytes=100 * MIB),),
            ),
            f"1.0 s: web has {100 * MIB} bytes, outside its bounds",
        ),
    ],
)
async def test_a_broken_rule_is_counted(
    wrong: Callable[[Tick], Decision], said: str, tmp_path: Path
) -> None:
    stage, what = SimulatedStage(tmp_path), scenario(guest("web"))
    tick = await one_tick(stage, what)
    recorder = Recorder(what, stage, moving=True)
    recorder.start(tick.decision.now_s - 1)

    recorder.tick(replace(tick, decision=wrong(tick)))

    assert recorder.report().breaches == [said]
    assert recorder.summary().invariant_breaches == 1


async def test_a_guest_that_is_not_of_the_scenario_is_not_recorded(tmp_path: Path) -> None:
    stage, what = SimulatedStage(tmp_path), scenario(guest("web"))
    tick = await one_tick(stage, what)
    recorder = Recorder(scenario(guest("db")), stage, moving=True)

    recorder.tick(tick)

    assert recorder.report().series == {"db": []}
    assert stage.witness("db") == {}


def test_a_scenarios_guest_is_booted_with_what_it_says() -> None:
    spec = guest_spec(guest("web"))

    assert (spec.boot_bytes, spec.maximum_bytes, spec.swap_bytes) == (256 * MIB, 512 * MIB, 0)
