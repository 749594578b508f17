"""Listeners: each lets in so many at a time, and no more: who comes then waits outside.

Outside is the kernel's queue, which costs us nothing. A place is taken from the moment somebody is
let in, TLS or not, until the connection is no more; so whoever comes over the network takes no
place from the UNIX socket's, and nobody the descriptors that the balancing needs.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Final

__all__ = ["MOST_CONNECTIONS", "Listener"]

MOST_CONNECTIONS: Final = 256
"""The stream's listeners, and some more who ask."""

BACKLOG: Final = 128

HANDSHAKE_DEADLINE_S: Final = 5.0
"""A slow client on a slow line needs one."""

GOODBYE_DEADLINE_S: Final = 1.0
"""For TLS's own end of a connection, which says nothing that anybody needs."""

SHORTAGE_PAUSE_S: Final = 1.0

Made = Callable[[Callable[[], None]], asyncio.Protocol]


class Listener:
    """Lets people in at a socket.

    Args:
        bound: the socket, bound and without blocking.
        protocol: makes what speaks with one of them; it is given what to call when they are gone.
        context: TLS for the next connection; None: there is none.
    """

    def __init__(
        self, bound: socket.socket, protocol: Made, *, context: ssl.SSLContext | None = None
    ) -> None:
        self.context = context
        self._socket = bound
        self._protocol = protocol
        self._places = asyncio.Semaphore(MOST_CONNECTIONS)

    async def run(self) -> None:
        """Let people in until cancelled; connections that were made go on."""
        self._socket.listen(BACKLOG)
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._places.acquire()
                tasks.create_task(self._let_in(await self._next()), name="let in")

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()

    async def _next(self) -> socket.socket:
        loop = asyncio.get_running_loop()
        while True:
            try:
                return (await loop.sock_accept(self._socket))[0]
            except ConnectionError:  # gone before we came
                continue
            except OSError as error:
                logging.getLogger("barostat.service").warning("nobody can be let in: %s", error)
                await asyncio.sleep(SHORTAGE_PAUSE_S)

    async def _let_in(self, connection: socket.socket) -> None:
        over_tls = self.context is not None
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._protocol(self._places.release),
                connection,
                ssl=self.context,
                ssl_handshake_timeout=HANDSHAKE_DEADLINE_S if over_tls else None,
                ssl_shutdown_timeout=GOODBYE_DEADLINE_S if over_tls else None,
            )
        except OSError:  # no TLS, not ours, or too slow; the connection is closed by now
            self._places.release()
