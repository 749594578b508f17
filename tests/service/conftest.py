"""A daemon's API over a real UNIX socket: two simulated VMs, a balancer, a server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest_asyncio
from fastapi import FastAPI

from barostat.config.settings_file import SettingsFolder
from barostat.engine.control import Control
from barostat.engine.loop import Balancer
from barostat.engine.observe import FixedCapacity
from barostat.history.history import History
from barostat.history.values import AuditEntry
from barostat.hypervisors.simulated import SimulatedHypervisor, SimulatedSpec
from barostat.service.account_routes import add_account_routes
from barostat.service.app import create_app
from barostat.service.audit import Audit
from barostat.service.desk import LocalDesk
from barostat.service.doorkeeper import Doorkeeper
from barostat.service.metrics import Metrics, add_metrics_route
from barostat.service.server import ApiServer, Tcp
from barostat.service.stream import TickStream, add_stream_route
from barostat.service.tokens import TokenStore
from barostat.service.web import add_web_routes
from barostat.units import GIB, MIB


class Trail:
    """Keeps what it is told of changes."""

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []

    def audit(self, entry: AuditEntry) -> None:
        """Keep an entry."""
        self.entries.append(entry)


@dataclass
class Daemon:
    """What a daemon is made of, as far as the API sees it. `look` is one tick."""

    folder: Path
    socket: Path
    hypervisor: SimulatedHypervisor
    balancer: Balancer
    control: Control
    doorkeeper: Doorkeeper
    trail: Trail
    stream: TickStream
    metrics: Metrics
    history: History
    recording: bool = False

    async def look(self) -> None:
        """Do one pass."""
        tick = await self.balancer.look()
        self.control.on_tick(tick)
        self.stream.on_tick(tick)
        self.metrics.tick(tick)
        self.history.record(tick)

    def app(self) -> FastAPI:
        """Make the application with all its routes."""
        desk = LocalDesk(self.control, self.history)
        app = create_app(desk, Audit(self.trail, self.history))
        add_account_routes(app, self.doorkeeper)
        add_stream_route(app, self.stream)
        add_metrics_route(app, self.metrics)
        add_web_routes(app)
        return app

    def server(self, *, group: str | None = None, tcp: Tcp | None = None) -> ApiServer:
        """Put together what serves the API."""
        app, audit = self.app(), Audit(self.trail, self.history)
        return ApiServer(
            app, self.doorkeeper, socket=self.socket, group=group, tcp=tcp, audit=audit
        )

    @asynccontextmanager
    async def serving(
        self, *, group: str | None = None, tcp: Tcp | None = None, deadline_s: float = 20.0
    ) -> AsyncIterator[ApiServer]:
        """Serve the API until the body ends."""
        server, stop = self.server(group=group, tcp=tcp), asyncio.Event()
        async with asyncio.TaskGroup() as tasks, asyncio.timeout(deadline_s):
            serving = tasks.create_task(server.run(stop))
            if not self.recording:
                self.recording = True
                tasks.create_task(self.history.run(stop))
            ready = tasks.create_task(server.ready.wait())
            await asyncio.wait({serving, ready}, return_when=asyncio.FIRST_COMPLETED)
            ready.cancel()
            try:
                yield server
            finally:
                self.stream.close()
                stop.set()

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx2.AsyncClient]:
        """Speak to it as any program may."""
        transport = httpx2.AsyncHTTPTransport(uds=str(self.socket))
        async with httpx2.AsyncClient(transport=transport, base_url="http://barostat") as client:
            yield client


def make_daemon(folder: Path) -> Daemon:
    """Put together a daemon whose settings files and socket are in a folder."""
    hypervisor = SimulatedHypervisor(time.monotonic)
    for name in ("web", "db"):
        spec = SimulatedSpec(name=name, boot_bytes=512 * MIB, maximum_bytes=2 * GIB, boot_s=0)
        hypervisor.add(spec)
        (folder / f"{name}.qmp").touch()
    (folder / "web.toml").write_text('minimum = "256MiB"\n')
    settings = SettingsFolder(folder)
    balancer = Balancer(hypervisor, settings, FixedCapacity(4 * GIB))
    control = Control(balancer, hypervisor, settings, pause_marker=folder / "paused")
    return Daemon(
        folder=folder,
        socket=folder / "run" / "api.sock",
        hypervisor=hypervisor,
        balancer=balancer,
        control=control,
        doorkeeper=Doorkeeper(TokenStore(folder / "lib" / "tokens.json")),
        trail=Trail(),
        stream=TickStream(control),
        metrics=Metrics(),
        history=History(folder / "lib" / "history.db"),
    )


@pytest_asyncio.fixture
async def daemon(tmp_path: Path) -> Daemon:
    """A daemon that has looked once."""
    made = make_daemon(tmp_path)
    await made.look()
    return made


@pytest_asyncio.fixture
async def api(daemon: Daemon) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of a daemon that serves."""
    async with daemon.serving(), daemon.client() as client:
        yield client
