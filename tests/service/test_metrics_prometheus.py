"""With a real Prometheus: it reads what is served, and its alerts come and go with a guest's need.

Its programs come from Debian's package. Nothing listens but on the loopback.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI
from tests.service.prometheus import RULES, Prometheus, promtool, running
from tests.service.scraped import box

from barostat.core.settings import MemorySettings
from barostat.engine.loop import Balancer
from barostat.engine.observe import FixedCapacity, FixedSettings
from barostat.hypervisors.simulated import SimulatedGuest, SimulatedHypervisor, SimulatedSpec
from barostat.service.metrics import Metrics, add_metrics_route
from barostat.units import GIB, MIB

pytestmark = pytest.mark.lab

WITHIN_S = 20.0


async def until(says: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(WITHIN_S):
        while not await says():  # noqa: ASYNC110 - Prometheus has to be asked again
            await asyncio.sleep(0.2)


@asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[int]:
    """Serve an application on the loopback; give its port."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False)
        server = uvicorn.Server(config)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server.serve(sockets=[bound]))
            try:
                yield bound.getsockname()[1]
            finally:
                server.should_exit = True


@asynccontextmanager
async def balanced(metrics: Metrics) -> AsyncIterator[dict[str, SimulatedGuest]]:
    """Balance two simulated guests for as long as the body runs."""
    hypervisor, settings, stop = SimulatedHypervisor(time.monotonic), {}, asyncio.Event()
    for name in ("web", "db"):
        hypervisor.add(
            SimulatedSpec(name=name, boot_bytes=512 * MIB, maximum_bytes=GIB, boot_s=0.5)
        )
        settings[name] = MemorySettings(
            startup_bytes=512 * MIB, minimum_bytes=256 * MIB, maximum_bytes=640 * MIB
        )
    balancer = Balancer(
        hypervisor,
        FixedSettings(settings),
        FixedCapacity(2 * GIB),
        on_tick=metrics.tick,
        on_outcome=metrics.outcome,
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(balancer.run(stop))
        try:
            yield dict(hypervisor.guests)
        finally:
            stop.set()


async def test_promtool_finds_nothing_wrong_with_the_metrics() -> None:
    metrics = Metrics()
    async with balanced(metrics):
        await until(lambda: _ticked(metrics))

    code, said = await promtool("check", "metrics", says=metrics.render())

    assert (code, said) == (0, "")


async def _ticked(metrics: Metrics) -> bool:
    return b"barostat_ticks_total 2" in metrics.render()


async def test_the_rules_are_rules_and_do_as_their_tests_say() -> None:
    assert (await promtool("check", "rules", "barostat.rules.yml"))[0] == 0
    code, said = await promtool("test", "rules", "barostat.rules.test.yml")

    assert code == 0, said


async def test_the_tests_of_the_rules_miss_every_alert_that_never_fires(tmp_path: Path) -> None:
    rules = (RULES / "barostat.rules.yml").read_text()
    names = re.findall(r"- alert: (\w+)", rules)
    (tmp_path / "barostat.rules.yml").write_text(rules.replace("- alert: ", "- alert: Other"))
    (tmp_path / "tests.yml").write_text((RULES / "barostat.rules.test.yml").read_text())

    code, said = await promtool("test", "rules", "tests.yml", cwd=tmp_path)

    assert code != 0
    assert set(re.findall(r"alertname: ?(\w+)", said)) == set(names)


QUERIES = sorted(
    {
        target["expr"]
        for path in (RULES.parent / "grafana").iterdir()
        for panel in json.loads(path.read_text())["panels"]
        for target in panel.get("targets", ())
    }
)


def asked(query: str, port: int) -> str:
    """Fill in what Grafana would."""
    chosen = query.replace("$instance", f"127.0.0.1:{port}").replace("$vm", "web")
    return chosen.replace("$__rate_interval", "5s")


async def test_every_query_of_the_dashboards_has_an_answer(tmp_path: Path) -> None:
    metrics, app = Metrics(host=box), FastAPI()
    add_metrics_route(app, metrics)
    rules = (RULES / "barostat.rules.yml").read_text()

    async with (
        balanced(metrics),
        served(app) as port,
        running(tmp_path, rules=rules, scrapes=port) as prometheus,
    ):
        await until(prometheus.ready)
        moved = asked("instance:barostat_dynamic_memory_vm_moved_bytes:rate5m", port)
        await until(lambda: prometheus.says(moved))
        found = {query: await prometheus.value(asked(query, port)) for query in QUERIES}

    # What is only shown where something is wrong has no answer here.
    empty = {query for query, value in found.items() if value is None}
    assert {query for query in empty if not query.endswith("> 0")} == set()


async def test_an_alert_fires_for_a_guest_in_warning_and_is_over_when_the_guest_is_well(
    tmp_path: Path,
) -> None:
    metrics, app = Metrics(), FastAPI()
    add_metrics_route(app, metrics)
    rules = re.sub(r"for: \w+", "for: 2s", (RULES / "barostat.rules.yml").read_text())
    warned = ("BarostatVMWarning", "web")

    async def fires(prometheus: Prometheus) -> bool:
        return warned in await prometheus.alerts()

    async def is_over(prometheus: Prometheus) -> bool:
        return warned not in await prometheus.alerts()

    async with (
        balanced(metrics) as guests,
        served(app) as port,
        running(tmp_path, rules=rules, scrapes=port) as prometheus,
    ):
        await until(prometheus.ready)
        guests["web"].use(900 * MIB)
        await until(lambda: fires(prometheus))
        assert ("BarostatVMWarning", "db") not in await prometheus.alerts()
        pressure = 'barostat_dynamic_memory_vm_pressure_current_ratio{vm="web"}'
        assert (await prometheus.value(pressure) or 0) > 1

        guests["web"].use(100 * MIB)
        await until(lambda: is_over(prometheus))
        assert await prometheus.value("up") == 1
