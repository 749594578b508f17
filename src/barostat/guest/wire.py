"""The bytes of one connection to an agent: cut into lines as they come, with a bound on everything.

A guest may send its bytes one by one, or as fast as QEMU passes them on: after each read there is a
short pause, so that no guest takes more of the event loop than its share.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from barostat.guest.protocol import Lines, ProtocolError

__all__ = ["Wire"]

READ_PAUSE_S: Final = 0.02
"""At most 50 reads a second: below what an agent may send, and 1 ms of work a second at most."""

UNSENT_BYTES: Final = 16 * 1024
"""What waits for a guest that does not read, beside what its socket holds. The rest is dropped."""


class Wire(asyncio.BufferedProtocol):
    """One connection.

    Args:
        hear: takes a line; may raise ProtocolError, which ends the connection.

    Attributes:
        ended: set when the connection ended, whoever ended it.
        fault: what its other end did that ended it; empty if it did nothing wrong.
    """

    def __init__(self, hear: Callable[[bytes], None]) -> None:
        self.ended = asyncio.Event()
        self.fault = ""
        self._hear = hear
        self._lines = Lines()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what it is sent through."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - never more than a line
        """Say where the next bytes go."""
        return self._lines.room()

    def buffer_updated(self, nbytes: int) -> None:
        """Hear the lines that are whole now."""
        transport = self._transport
        if transport is None:
            return
        try:
            for line in self._lines.took(nbytes):
                self._hear(line)
        except ProtocolError as fault:
            self.fault = fault.message
            transport.abort()
            return
        transport.pause_reading()
        asyncio.get_running_loop().call_later(READ_PAUSE_S, transport.resume_reading)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - whyever
        """Say that it ended."""
        self.ended.set()

    def send(self, line: bytes) -> bool:
        """Send a line, or drop it where too much waits already; say which."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        if transport.get_write_buffer_size() + len(line) > UNSENT_BYTES:
            return False
        transport.write(line)
        return True

    def abort(self) -> None:
        """End the connection now."""
        if self._transport is not None:
            self._transport.abort()
