"""The API's server: uvicorn on a UNIX socket of ours, inside the daemon's own event loop.

It minds no signals: who started it says when to stop. What was begun then gets a moment to end.
"""

from __future__ import annotations

import asyncio
import socket as sockets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import uvicorn

from barostat.engine.control import Control
from barostat.service.app import create_app
from barostat.service.desk import LocalDesk
from barostat.service.sockets import bind, remove

__all__ = ["ApiServer"]

LAST_ANSWERS_S: Final = 1
"""Every answer is made of what is there already; only a change of settings waits for anything."""

MOST_CONNECTIONS: Final = 256
"""More are answered with 503: each costs memory and time that the balancing needs."""

IDLE_S: Final = 30


class _Server(uvicorn.Server):
    """Leaves the process's signals alone, and tells when it listens."""

    def __init__(self, config: uvicorn.Config, ready: asyncio.Event) -> None:
        super().__init__(config)
        self._ready = ready

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[sockets.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready.set()


class ApiServer:
    """Serves the API until told to stop.

    Args:
        control: what is served.
        socket: where. Its folder is made if it is not there.
        group: who may connect beside the owner; None: nobody.

    Attributes:
        ready: set once it listens.
    """

    def __init__(self, control: Control, *, socket: Path, group: str | None) -> None:
        self.ready = asyncio.Event()
        self._control = control
        self._socket = socket
        self._group = group

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until told to stop; then finish what was begun, within a second or two.

        Raises:
            ServiceError: a live daemon listens there, or the socket cannot be made.
        """
        bound = await asyncio.to_thread(bind, self._socket, group=self._group)
        inode = self._socket.lstat().st_ino
        server = _Server(self._config(), self.ready)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._stop(server, stop))
                await server.serve(sockets=[bound])
        finally:
            for listener in getattr(server, "servers", ()):
                listener.close()
            remove(self._socket, bound, inode)

    async def _stop(self, server: _Server, stop: asyncio.Event) -> None:
        await stop.wait()
        server.should_exit = True

    def _config(self) -> uvicorn.Config:
        return uvicorn.Config(
            create_app(LocalDesk(self._control)),
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,  # the daemon's own
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=MOST_CONNECTIONS,
            timeout_keep_alive=IDLE_S,
            timeout_graceful_shutdown=LAST_ANSWERS_S,
        )
