"""Metrics over a balancer that runs: what is counted is what happened, and the dead leave."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import httpx2
import pytest
import pytest_asyncio
from fastapi import FastAPI
from tests.service.scraped import Scrape

from barostat.core.settings import MemorySettings
from barostat.engine.loop import Balancer
from barostat.engine.observe import FixedCapacity, FixedSettings
from barostat.hypervisors.base import BalloonWish
from barostat.hypervisors.simulated import Character, SimulatedGuest, SimulatedHypervisor
from barostat.hypervisors.simulated_spec import SimulatedSpec
from barostat.service.metrics import Metrics, add_metrics_route
from barostat.units import GIB, MIB

pytestmark = pytest.mark.looptime

VM = "barostat_dynamic_memory_vm_"


@dataclass
class Exported:
    """Simulated guests under a balancer whose passes and outcomes go to metrics."""

    hypervisor: SimulatedHypervisor
    settings: dict[str, MemorySettings] = field(default_factory=dict)
    metrics: Metrics = field(default_factory=Metrics)

    def add(self, name: str, character: Character = Character.IDEAL) -> SimulatedGuest:
        self.settings[name] = MemorySettings(
            startup_bytes=512 * MIB, minimum_bytes=128 * MIB, maximum_bytes=2 * GIB
        )
        spec = SimulatedSpec(
            name=name,
            boot_bytes=512 * MIB,
            maximum_bytes=2 * GIB,
            character=character,
            boot_s=0.5,
        )
        return self.hypervisor.add(spec)

    async def run(
        self, seconds: float, at: Mapping[float, Callable[[], object]] | None = None
    ) -> Scrape:
        """Balance for so long, doing things at given seconds; then scrape."""
        balancer = Balancer(
            self.hypervisor,
            FixedSettings(self.settings),
            FixedCapacity(2 * GIB),
            on_tick=self.metrics.tick,
            on_outcome=self.metrics.outcome,
            clock=asyncio.get_running_loop().time,
        )
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(balancer.run(stop))
            passed_s = 0.0
            for at_s, act in sorted((at or {}).items()):
                await asyncio.sleep(at_s - passed_s)
                passed_s = at_s
                act()
            await asyncio.sleep(seconds - passed_s)
            stop.set()
        return Scrape(self.metrics)


@pytest_asyncio.fixture
async def exported() -> Exported:
    return Exported(SimulatedHypervisor(asyncio.get_running_loop().time))


async def test_what_was_added_and_removed_is_what_the_guest_has_more_or_less(
    exported: Exported,
) -> None:
    web = exported.add("web")

    said = await exported.run(120, {12: lambda: web.use(900 * MIB), 60: lambda: web.use(50 * MIB)})

    added = said(f"{VM}added_bytes_total", vm="web")
    removed = said(f"{VM}removed_bytes_total", vm="web")
    assert added > 400 * MIB
    assert removed > 0
    assert 512 * MIB + added - removed == said(f"{VM}physical_bytes", vm="web")
    assert said(f"{VM}add_operations_total", vm="web") >= 1
    assert said(f"{VM}remove_operations_total", vm="web") >= 1
    assert said("barostat_ticks_total") == pytest.approx(120, abs=2)


async def test_what_a_ballooned_guest_could_see_does_not_fall(exported: Exported) -> None:
    exported.add("idle")

    said = await exported.run(300)

    assert said(f"{VM}physical_bytes", vm="idle") < 512 * MIB
    assert said(f"{VM}guest_visible_physical_memory_bytes", vm="idle") == 512 * MIB


async def test_a_guest_that_stops_answering_keeps_its_series_and_one_that_left_has_none(
    exported: Exported,
) -> None:
    web, db = exported.add("web"), exported.add("db")
    before = await exported.run(60, {12: lambda: web.use(900 * MIB)})

    web.stop_answering()
    db.die()
    after = await exported.run(30)

    assert before.guests() == {"web", "db"}
    assert after.guests() == {"web"}
    for name in ("added_bytes_total", "add_operations_total"):
        assert after(VM + name, vm="web") == before(VM + name, vm="web") > 0
    assert after("barostat_vm_seen_age_seconds", vm="web") > 20
    assert after.get("barostat_vm_statistics_age_seconds", vm="web") is None
    assert after("barostat_held_vms", reason="unreachable") == 1


async def test_a_guest_that_does_not_give_is_told_with_how_often(exported: Exported) -> None:
    web = exported.add("web")
    exported.add("idle", Character.STUCK)
    exported.add("other", Character.STUCK)

    said = await exported.run(90, {12: lambda: web.use(1600 * MIB)})

    assert said("barostat_vm_failed_wishes", vm="idle") >= 1
    assert said("barostat_vm_failed_wishes", vm="web") == 0
    assert said(f"{VM}remove_operations_total", vm="idle") == 0


async def test_another_controller_that_resizes_a_guest_is_found_out(exported: Exported) -> None:
    web = exported.add("web")

    def somebody_else_asks() -> None:
        web.request(BalloonWish(target_bytes=300 * MIB))

    said = await exported.run(120, {35.0 + 20 * turn: somebody_else_asks for turn in range(4)})

    assert said("barostat_vm_strays_total", vm="web") >= 3


async def test_scrapers_get_the_text_of_the_newest_pass(exported: Exported) -> None:
    exported.add("web")
    await exported.run(10)
    app = FastAPI()
    add_metrics_route(app, exported.metrics)
    transport = httpx2.ASGITransport(app=app)

    async with httpx2.AsyncClient(transport=transport, base_url="http://barostat") as client:
        answers = await asyncio.gather(*(client.get("/metrics") for _ in range(20)))

    assert {answer.content for answer in answers} == {exported.metrics.render()}
    assert answers[0].headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
