"""Commands in a guest with a userland: one at a time, on a port of the lab's own.

qemu-guest-agent could run them as well, but its channel belongs to Barostat while the guest is
balanced. At the other end `guest_userland/shell.sh` listens.
"""

from __future__ import annotations

import asyncio
import base64
import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from barostat.errors import LabError

__all__ = ["GRACE_S", "GuestShell", "Ran"]

GRACE_S: Final = 15.0
"""An answer may take so much longer than its command: a busy guest starts a shell in a second."""
LONGEST_COMMAND_BYTES: Final = 2**16
LONGEST_ANSWER_BYTES: Final = 2**18
"""The guest sends the last 64 KiB of what a command said, in base64."""
KILLED: Final = 128 + 9
"""A shell's exit code for what was ended by SIGKILL."""


class Ran(NamedTuple):
    """How a command ended: its exit code, and the last 64 KiB of all that it said."""

    code: int
    output: str


class GuestShell:
    """The host's end of a guest's shell."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._turn = asyncio.Lock()
        self._asked = 0

    @classmethod
    async def connect(cls, path: Path) -> GuestShell:
        """Connect to the port's socket.

        Raises:
            OSError: nobody listens there.
        """
        return cls(*await asyncio.open_unix_connection(str(path), limit=LONGEST_ANSWER_BYTES))

    async def run(self, argv: Sequence[str], *, timeout_s: float) -> Ran | None:
        """Run a command; None if its time was over, and it was killed. Others wait for their turn.

        Raises:
            LabError: it is too long, or the port was closed.
            TimeoutError: the guest does not answer.
        """
        command = base64.b64encode(f"exec {shlex.join(argv)}".encode())
        if len(command) > LONGEST_COMMAND_BYTES:
            raise LabError(
                f"the command for the guest is {len(command)} bytes long",
                hint=f"at most {LONGEST_COMMAND_BYTES} bytes in base64 can be sent",
            )
        async with self._turn, asyncio.timeout(timeout_s + GRACE_S):
            self._asked += 1
            self._writer.write(b"%d %d %b\n" % (self._asked, math.ceil(timeout_s), command))
            began_s = asyncio.get_running_loop().time()
            ran = await self._answer(self._asked)
            took_s = asyncio.get_running_loop().time() - began_s
        return None if ran.code == KILLED and took_s >= timeout_s else ran

    async def _answer(self, asked: int) -> Ran:
        """Wait for the answer to a question; those to earlier ones came too late."""
        while True:
            try:
                line = await self._reader.readuntil(b"\n")
                number, code, said = line.strip(b"\n").split(b" ")
                if int(number) == asked:
                    output = base64.b64decode(said, validate=True)
                    return Ran(int(code), output.decode(errors="replace"))
            except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
                raise LabError(
                    f"the guest's shell gave no answer: {error!r:.200}",
                    hint="did the guest end? its console log says why",
                ) from error

    def close(self) -> None:
        """Let go of the port."""
        self._writer.close()
