"""A daemon played by the test, in a thread of its own: the real control and API, simulated VMs."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from barostat.config.settings_file import SettingsFolder
from barostat.engine.control import Control
from barostat.engine.loop import Balancer, Tick
from barostat.engine.observe import FixedCapacity
from barostat.history.history import History
from barostat.hypervisors.simulated import SimulatedHypervisor, SimulatedSpec
from barostat.service.account_routes import add_account_routes
from barostat.service.app import create_app
from barostat.service.desk import LocalDesk
from barostat.service.doorkeeper import Doorkeeper
from barostat.service.server import ApiServer
from barostat.service.tokens import TokenStore
from barostat.units import GIB, MIB

DEADLINE_S = 20.0


async def powered_off() -> tuple[str, ...]:
    return ("mail",)


class PlayedDaemon:
    """Two VMs of 512 MiB that may have 2 GiB: `web` with settings, `db` without; `mail` is off."""

    def __init__(self, folder: Path, socket: Path) -> None:
        self._folder = folder
        self._socket = socket
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._up.wait(DEADLINE_S)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        hypervisor = SimulatedHypervisor(time.monotonic)
        for name in ("web", "db"):
            spec = SimulatedSpec(name=name, boot_bytes=512 * MIB, maximum_bytes=2 * GIB, boot_s=0)
            hypervisor.add(spec)
            (self._folder / f"{name}.qmp").touch()
        (self._folder / "web.toml").write_text('minimum = "256MiB"\nweight = 7000\n')
        settings = SettingsFolder(self._folder)
        self._history = History(self._folder / "history.db")
        balancer = Balancer(hypervisor, settings, FixedCapacity(4 * GIB), on_tick=self._tick)
        marker = self._folder / "paused"
        self.control = Control(
            balancer, hypervisor, settings, pause_marker=marker, powered_off=powered_off
        )
        doorkeeper = Doorkeeper(TokenStore(self._folder / "tokens.json"))
        app = create_app(LocalDesk(self.control, self._history))
        add_account_routes(app, doorkeeper)
        server = ApiServer(app, doorkeeper, socket=self._socket, group=None)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(balancer.run(self._stop))
            tasks.create_task(server.run(self._stop))
            tasks.create_task(self._history.run(self._stop))
            await server.ready.wait()
            await self.control.tick()
            await self._history.settled(timeout_s=DEADLINE_S)
            self._up.set()

    def _tick(self, tick: Tick) -> None:
        self.control.on_tick(tick)
        self._history.record(tick)
