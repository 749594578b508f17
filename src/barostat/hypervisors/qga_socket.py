"""qemu-guest-agent behind a UNIX socket of its QEMU: one command at a time, in short sessions.

The socket serves one client at a time and may be wanted by others, so a session ends when nothing
was asked for a moment. Each begins with `guest-sync-delimited` and a random number: whatever the
agent still had to say to somebody else comes before its echo, and is skipped. A session in which
anything went wrong is given up, so that a late answer can never be taken for another one.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from barostat.errors import BarostatError, GuestGoneError, HypervisorError, UnreachableError
from barostat.hypervisors.guest_agent import (
    LARGEST_ANSWER_BYTES,
    no_agent,
    read_answer,
    silent_agent,
    strange_agent,
    write_command,
)

__all__ = ["GuestAgentSocket"]

IDLE_S: Final = 0.5
"""Others wait for their turn as long as this. While nobody is connected the agent looks ten times a
second whether somebody is, so a session must not be as short as a command."""

FLUSH: Final = b"\xff"
"""No JSON has this byte: it ends whatever the agent was reading, and marks the echo."""

SYNC: Final = "guest-sync-delimited"

_Session = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class GuestAgentSocket:
    """The way to one guest's agent.

    Args:
        guest: the VM's name, for errors.
        path: the socket, which may be missing.
    """

    def __init__(self, guest: str, path: Path) -> None:
        self.path = path
        self._guest = guest
        self._asking = asyncio.Lock()
        self._session: _Session | None = None
        self._idle: asyncio.TimerHandle | None = None

    async def ask(
        self, command: str, arguments: Mapping[str, object], *, timeout_s: float
    ) -> object:
        """Have the agent run a command, after those that were asked before.

        Raises:
            RefusedError: nobody is there, or the agent said no.
            UnreachableError: what answers is no agent, or we may not connect.
            DeadlineError: no answer in time; whether it was done is not known.
            GuestGoneError: the connection ended.
        """
        try:
            async with asyncio.timeout(timeout_s), self._asking:
                line = await self._ask(command, arguments)
        except TimeoutError as error:
            raise silent_agent(self._guest, command) from error
        return read_answer(self._guest, command, line)

    async def _ask(self, command: str, arguments: Mapping[str, object]) -> bytes:
        if self._idle is not None:
            self._idle.cancel()
        answered = False
        try:
            if self._session is None:
                self._session = await self._connect()
                await self._synchronise(*self._session)
            reader, writer = self._session
            writer.write(write_command(command, arguments).encode() + b"\n")
            line = await reader.readuntil(b"\n")
            answered = True
        except asyncio.LimitOverrunError as error:
            raise strange_agent(self._guest, command) from error
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise GuestGoneError(
                f'VM "{self._guest}" hung up while its qemu-guest-agent was spoken to',
                hint="the VM ended, or its QEMU closed the port; Barostat asks again by itself",
            ) from error
        finally:
            if not answered:
                self.close()
        self._idle = asyncio.get_running_loop().call_later(IDLE_S, self.close)
        return line

    async def _connect(self) -> _Session:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.setblocking(False)
        try:
            connection.connect(str(self.path))  # which the kernel does at once or not at all
        except OSError as error:
            connection.close()
            raise self._unconnected(error) from error
        return await asyncio.open_unix_connection(sock=connection, limit=LARGEST_ANSWER_BYTES)

    def _unconnected(self, error: OSError) -> HypervisorError:
        match error:
            case FileNotFoundError() | ConnectionRefusedError():
                return no_agent(self._guest, f"nobody listens at {self.path}")
            case BlockingIOError():
                return no_agent(self._guest, f"other programs wait for {self.path}")
            case PermissionError():
                hint = "run as root, or as the user that its QEMU runs as"
            case _:
                hint = "give the VM's sockets shorter names"
        return UnreachableError(
            f'VM "{self._guest}": {self.path} cannot be connected to: {error}', hint=hint
        )

    async def _synchronise(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Skip all that was not said to us."""
        number = secrets.randbelow(2**53)  # as far as every JSON reader counts exactly
        writer.write(FLUSH + write_command(SYNC, {"id": number}).encode() + b"\n")
        skipped_bytes = 0
        while skipped_bytes <= LARGEST_ANSWER_BYTES:
            before = await reader.readuntil(FLUSH)
            line = await reader.readuntil(b"\n")
            if self._is_echo(line, number):
                return
            skipped_bytes += len(before) + len(line)
        raise strange_agent(self._guest, SYNC)

    def _is_echo(self, line: bytes, number: int) -> bool:
        try:
            return read_answer(self._guest, SYNC, line) == number
        except BarostatError:
            return False  # somebody else's

    def close(self) -> None:
        """Let go of the socket; the next command connects anew."""
        if self._idle is not None:
            self._idle.cancel()
        session, self._session = self._session, None
        if session is not None:
            session[1].transport.abort()
