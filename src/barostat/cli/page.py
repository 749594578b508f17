"""The web page beside a demonstration: what a daemon serves, on a port of loopback, while it lasts.

Its certificate is made for it and vouched for by nobody, and its token is good for this once. Where
the page cannot be shown, that is said, and the demonstration goes on without.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from barostat.cli.output import fail, say
from barostat.engine.control import Control
from barostat.engine.loop import Balancer, Tick
from barostat.errors import ServiceError
from barostat.history.history import History
from barostat.lab.stage import Stage
from barostat.service.audit import Audit
from barostat.service.doorkeeper import Doorkeeper
from barostat.service.metrics import Metrics
from barostat.service.self_signed import fingerprint, make_self_signed
from barostat.service.server import ApiServer, Tcp
from barostat.service.stream import TickStream
from barostat.service.tokens import TokenStore
from barostat.service.web import check_whole
from barostat.service.whole import whole_app

__all__ = ["open_page"]

ADDRESS: Final = "127.0.0.1"
READY_S: Final = 10.0


@asynccontextmanager
async def open_page(balancer: Balancer, stage: Stage) -> AsyncIterator[Callable[[Tick], None]]:
    """Serve the page for as long as the demonstration lasts, and say where it is.

    Gives what is to be told of every pass.
    """
    with tempfile.TemporaryDirectory(prefix="barostat-page-") as name:
        try:
            page = await asyncio.to_thread(_Page, Path(name), balancer, stage)
        except ServiceError as error:
            say("There is no web page to look at:")
            fail(error)
            yield lambda _: None
            return
        async with asyncio.TaskGroup() as tasks:
            served = tasks.create_task(page.serve())
            try:
                await page.announce()
                yield page.tell
            finally:
                page.close()
                await served


class _Page:
    """What a daemon serves, in a folder of its own."""

    def __init__(self, folder: Path, balancer: Balancer, stage: Stage) -> None:
        check_whole()
        self._files = make_self_signed(folder)
        tokens = TokenStore(folder / "tokens.json")
        self._token, _ = tokens.create(role="operator", name="demo", lasts_s=None)
        self._socket = folder / "barostat.sock"
        self._control = Control(balancer, stage.hypervisor, stage.settings)
        self._history = History(folder / "history.sqlite3")
        self._stream = TickStream(self._control)
        self._metrics = Metrics(
            faults=lambda: self._control.faults, looks=lambda: balancer.lane.looks
        )
        doorkeeper, audit = Doorkeeper(tokens), Audit(self._history)
        app = whole_app(
            self._control,
            history=self._history,
            stream=self._stream,
            metrics=self._metrics,
            doorkeeper=doorkeeper,
            audit=audit,
        )
        tcp = Tcp(address=ADDRESS, port=0, files=self._files)
        self._api = ApiServer(
            app, doorkeeper, socket=self._socket, group=None, tcp=tcp, audit=audit
        )
        self._stop = asyncio.Event()

    async def serve(self) -> None:
        """Serve and record until closed."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._api.run(self._stop))
            tasks.create_task(self._history.run(self._stop))

    async def announce(self) -> None:
        """Say where the page is, once it is there."""
        async with asyncio.timeout(READY_S):
            await self._api.ready.wait()
        say(f"Look at it: https://{ADDRESS}:{self._api.port}/ with the token {self._token}")
        say(f"  its certificate is its own: {fingerprint(self._files.certificate)}")
        say(f"  or in a terminal: barostat top --socket {self._socket}")

    def tell(self, tick: Tick) -> None:
        """Show a pass."""
        self._control.on_tick(tick)
        self._metrics.tick(tick)
        self._stream.on_tick(tick)
        self._history.record(tick)

    def close(self) -> None:
        """End serving."""
        self._stop.set()
        self._stream.close()
