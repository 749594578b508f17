"""Connections that cannot be held open by somebody who does not read what he asked for.

What an answer has left to be read waits in memory, at most some 100 KiB a connection, and the
answer waits with it. Without an end to that, clients that stop reading would use up all places.
"""

from __future__ import annotations

import asyncio
from typing import Final

from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["ImpatientProtocol"]

UNREAD_DEADLINE_S: Final = 30.0
"""In this time 48 KiB must be read: 2 KiB a second, less than any line that a page is usable on."""


class ImpatientProtocol(H11Protocol):
    """uvicorn's protocol; it cuts off a client that reads nothing of what waits for it."""

    _cutting: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        """Note that enough waits to be read."""
        super().pause_writing()
        loop = asyncio.get_running_loop()
        self._cutting = loop.call_later(UNREAD_DEADLINE_S, self.transport.abort)

    def resume_writing(self) -> None:
        """Note that most of it was read."""
        super().resume_writing()
        self._forgive()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end."""
        self._forgive()
        super().connection_lost(exc)

    def _forgive(self) -> None:
        if self._cutting is not None:
            self._cutting.cancel()
            self._cutting = None
