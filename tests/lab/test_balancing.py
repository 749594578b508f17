"""The whole of it on real guests: memory moves, safely, and demand is what the guest needs."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path

import pytest

from barostat.config.settings_file import SettingsFolder
from barostat.core.settings import MemorySettings
from barostat.engine.loop import Balancer, Tick
from barostat.engine.observe import FixedCapacity, FixedSettings
from barostat.errors import GuestDiedError
from barostat.hypervisors.base import PlugWish
from barostat.hypervisors.qmp import QmpHypervisor
from barostat.lab.fleet import Kit, Lab
from barostat.lab.guests import GuestSpec
from barostat.lab.report import Report
from barostat.lab.run import play
from barostat.lab.scenario import Scenario, ScenarioGuest, Step, read_scenario
from barostat.lab.stages import RealStage
from barostat.units import MIB

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]


@asynccontextmanager
async def real_stage(kit: Kit) -> AsyncIterator[RealStage]:
    async with Lab((), kit=kit) as lab:
        hypervisor = QmpHypervisor(directory=lab.folder)
        try:
            yield RealStage(lab, hypervisor, SettingsFolder(lab.folder))
        finally:
            await hypervisor.close()


def guest(name: str, *, startup: int = 256, swap: int = 512, at: float = 0) -> ScenarioGuest:
    settings = MemorySettings(
        startup_bytes=startup * MIB, minimum_bytes=128 * MIB, maximum_bytes=768 * MIB
    )
    return ScenarioGuest(name=name, settings=settings, swap_bytes=swap * MIB, boot_at_s=at)


def use(at: float, name: str, mib: int, *, hot: float = 1.0) -> Step:
    return Step(at_s=at, guest=name, use_bytes=mib * MIB, hot=hot, cache_bytes=None)


def scenario(capacity: int, *guests: ScenarioGuest, steps: tuple[Step, ...] = ()) -> Scenario:
    return Scenario(name="test", capacity_bytes=capacity * MIB, guests=guests, steps=steps)


def check_promises(report: Report) -> None:
    assert report.breaches == []
    assert report.summary.oom_kills == 0
    assert report.summary.failed_moves == 0, report.outcomes


@pytest.mark.trust("unharmed")
@pytest.mark.trust("capacity")
async def test_the_demo_shows_what_it_promises(kit: Kit) -> None:
    with resources.as_file(resources.files("barostat.lab") / "demo.toml") as path:
        played = read_scenario(Path(path))

    async with real_stage(kit) as stage:
        report = await play(stage, played, seconds=66)

    check_promises(report)
    guests = report.summary.guests
    assert guests["web"].maximum_assigned_bytes > 450 * MIB  # hot-added: it booted with 320
    assert guests["web"].peak_plugged_bytes > 100 * MIB
    assert guests["db"].ballooned_bytes > 100 * MIB
    assert guests["web"].unplugged_bytes > 100 * MIB
    assert guests["batch"].swap_out_bytes > 50 * MIB
    paged = {
        move["guest"]
        for move in report.moves
        if any(reason["code"] == "paged" for reason in move["reasons"])
    }
    assert "batch" in paged
    last = {name: series[-1]["pressure"] for name, series in report.series.items()}
    assert last["web"] < last["db"] < last["batch"]


async def settled(ticks: asyncio.Queue[Tick], *, looks: int = 4) -> int:
    """Wait for some more looks and say the demand that was seen last."""
    while not ticks.empty():
        ticks.get_nowait()
    for _ in range(looks - 1):
        await ticks.get()
    demand = (await ticks.get()).decision.guests[0].demand_bytes
    assert demand is not None
    return demand


async def test_demand_is_what_the_guest_holds_and_nothing_else(kit: Kit) -> None:
    spec = GuestSpec(name="web", boot_bytes=512 * MIB, maximum_bytes=1024 * MIB)
    ticks: asyncio.Queue[Tick] = asyncio.Queue()
    stop = asyncio.Event()
    async with Lab([spec], kit=kit) as lab:
        web = lab.guests["web"]
        hypervisor = QmpHypervisor(directory=lab.folder)
        balancer = Balancer(
            hypervisor,
            FixedSettings({}),
            FixedCapacity(1024 * MIB),
            on_tick=ticks.put_nowait,
            moving=False,
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(balancer.run(stop))
            idle = await settled(ticks)
            for held in (100 * MIB, 350 * MIB, 40 * MIB):
                await web.hold(held)
                await web.wait_held()
                demand = await settled(ticks)
                assert demand - idle == pytest.approx(held, abs=held * 0.05 + 32 * MIB)

            before = await settled(ticks)
            await web.cache(200 * MIB)
            assert web.witness is not None
            assert await settled(ticks) - before < 32 * MIB
            assert web.witness.cached_bytes > 150 * MIB

            await hypervisor.request("web", PlugWish(device="vmem0", requested_bytes=512 * MIB))
            assert await settled(ticks) - before < 32 * MIB
            assert (await hypervisor.devices("web")).plugged_bytes == 512 * MIB
            stop.set()
        await hypervisor.close()


@pytest.mark.trust("start", "a VM starts on a full host")
async def test_a_later_guest_starts_when_its_memory_has_been_taken_from_others(kit: Kit) -> None:
    played = scenario(
        640, guest("old", startup=320), guest("idle", startup=320), guest("late", at=12)
    )

    async with real_stage(kit) as stage:
        report = await play(stage, played, seconds=35)

    check_promises(report)
    assert report.summary.refused_guests == ()
    late = report.series["late"]
    assert late[0]["assigned_bytes"] == 256 * MIB
    assert report.summary.guests["old"].ballooned_bytes > 0
    first = round(late[0]["t"])
    assert 12 <= first < 30


async def test_without_barostat_a_guest_that_does_not_fit_does_not_start(kit: Kit) -> None:
    played = scenario(400, guest("old"), guest("late", at=1))

    async with real_stage(kit) as stage:
        report = await play(stage, played, seconds=4, moving=False)

    assert report.policy == "static"
    assert report.summary.refused_guests == ("late",)
    assert report.summary.bytes_moved == 0
    assert report.moves == []


@pytest.mark.trust("unharmed", "a guest without swap needs all that it has")
async def test_a_guest_without_swap_that_needs_all_it_has_is_not_killed(kit: Kit) -> None:
    steps = (use(2, "busy", 300), use(14, "hungry", 500, hot=0.3))
    played = scenario(760, guest("busy", startup=400, swap=0), guest("hungry"), steps=steps)

    async with real_stage(kit) as stage:
        report = await play(stage, played, seconds=40)

    check_promises(report)
    assert report.series["busy"][-1]["witness"]["held_bytes"] == 300 * MIB
    assert report.summary.guests["hungry"].maximum_assigned_bytes > 320 * MIB


async def test_a_guest_that_is_killed_in_a_run_ends_it_with_its_console_and_leaves_nothing(
    kit: Kit,
) -> None:
    played = scenario(600, guest("web"), guest("victim"), steps=(use(1, "web", 300),))
    pids: dict[str, int] = {}

    with pytest.raises(GuestDiedError, match="victim") as caught:
        async with real_stage(kit) as stage:
            await play(stage, played, seconds=30, on_tick=killing(stage, pids, after_s=4))

    assert Path(caught.value.console).read_text()
    assert not [pid for pid in pids.values() if Path(f"/proc/{pid}").exists()]


def killing(
    stage: RealStage, pids: dict[str, int], *, after_s: float
) -> Callable[[Tick, object], None]:
    """Kill the guest "victim" once the run is so old."""
    began = time.monotonic()

    def tick(_tick: Tick, _recorder: object) -> None:
        for name, booted in stage.lab.guests.items():
            if booted.pid is not None:
                pids[name] = booted.pid
        if time.monotonic() - began > after_s and Path(f"/proc/{pids['victim']}").exists():
            os.kill(pids["victim"], signal.SIGKILL)

    return tick
