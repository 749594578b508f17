"""The API's server: uvicorn behind listeners of ours, inside the daemon's own event loop.

On a UNIX socket always, on TCP with TLS where that is wanted; a gate before all of it. It minds no
signals: who started it says when to stop. What was begun then gets a moment to end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvicorn
from fastapi import FastAPI

from barostat.service.audit import Audit
from barostat.service.bodies import BoundedBodies
from barostat.service.doorkeeper import Doorkeeper
from barostat.service.gate import Gate
from barostat.service.listening import Listener
from barostat.service.peers import PeerProtocol
from barostat.service.sockets import bind, bind_tcp, group_id, remove
from barostat.service.tls import TlsFiles

__all__ = ["ApiServer", "Tcp"]

LAST_ANSWERS_S: Final = 1
"""Every answer is made of what is there already; only a change of settings waits for anything."""

IDLE_S: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Tcp:
    """Where to listen on TCP, and with what. Port 0: the kernel chooses."""

    address: str
    port: int
    files: TlsFiles


class _Server(uvicorn.Server):
    """Leaves the process's signals alone."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class ApiServer:
    """Serves the API until told to stop.

    Args:
        app: what is served.
        doorkeeper: finds out who asks.
        socket: where. Its folder is made if it is not there.
        group: who may connect beside the owner; None: nobody.
        tcp: where else; None: nowhere.
        audit: is told of changes that were refused.

    Attributes:
        ready: set once it listens.
        port: where it listens on TCP, once it does.
    """

    def __init__(
        self,
        app: FastAPI,
        doorkeeper: Doorkeeper,
        *,
        socket: Path,
        group: str | None,
        tcp: Tcp | None = None,
        audit: Audit | None = None,
    ) -> None:
        self.ready = asyncio.Event()
        self.port: int | None = None
        self._app = BoundedBodies(Gate(app, doorkeeper, audit or Audit()))
        self._doorkeeper = doorkeeper
        self._socket = socket
        self._group = group
        self._tcp = tcp
        self._over_tcp: Listener | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until told to stop; then finish what was begun, within a second or two.

        Raises:
            ServiceError: a live daemon listens there, or a socket cannot be made.
            InputError: the files of TLS cannot be used.
        """
        gid = None if self._group is None else await asyncio.to_thread(group_id, self._group)
        self._doorkeeper.group_id = gid
        bound = await asyncio.to_thread(bind, self._socket, gid=gid)
        inode = self._socket.lstat().st_ino
        config = self._config()
        server = _Server(config)
        listeners = [Listener(bound, _speaking(config, server))]
        try:
            if self._tcp is not None:
                listeners.append(await self._listen_on_tcp(self._tcp, _speaking(config, server)))
            await self._serve(server, listeners, stop)
        finally:
            for connection in list(server.server_state.connections):
                connection.transport.abort()  # its client does not let go
            for listener in listeners:
                listener.close()
            remove(self._socket, bound, inode)

    async def _serve(self, server: _Server, listeners: list[Listener], stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server.serve(sockets=[]), name="answer")
            accepting = [tasks.create_task(listener.run(), name="accept") for listener in listeners]
            self.ready.set()
            await stop.wait()
            for task in accepting:
                task.cancel()
            server.should_exit = True

    async def _listen_on_tcp(self, tcp: Tcp, speaking: Speaking) -> Listener:
        context = await asyncio.to_thread(tcp.files.context)
        bound = bind_tcp(tcp.address, tcp.port)
        self.port = bound.getsockname()[1]
        self._over_tcp = Listener(bound, speaking, context=context)
        return self._over_tcp

    async def reload_certificates(self) -> None:
        """Read the files of TLS anew, for connections to come.

        Raises:
            InputError: they cannot be used; those that were read before still are.
        """
        if self._tcp is not None and self._over_tcp is not None:
            self._over_tcp.context = await asyncio.to_thread(self._tcp.files.context)

    def _config(self) -> uvicorn.Config:
        return uvicorn.Config(
            self._app,
            http=PeerProtocol,
            ws="none",
            lifespan="off",
            log_config=None,  # the daemon's own
            log_level="error",  # who sends nonsense must not fill the log
            access_log=False,
            proxy_headers=False,  # nobody says for somebody else who they are
            server_header=False,
            timeout_keep_alive=IDLE_S,
            timeout_graceful_shutdown=LAST_ANSWERS_S,
        )


Speaking = Callable[[Callable[[], None]], PeerProtocol]


def _speaking(config: uvicorn.Config, server: _Server) -> Speaking:
    return lambda on_lost: PeerProtocol(config, server.server_state, on_lost)
