"""One QMP socket file through time: who answers there, and when to try again when nobody does.

The first attempt is waited for, so that one look at a host shows its guests; an attempt after a
failure runs beside the looks and never delays them. Every attempt has a deadline, and pauses
between attempts double from 0.2 to 10 s, with jitter. A socket that nobody listens at belongs to a
guest that ended; a socket that is there anew is tried at once.
"""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from barostat.core.observation import GuestObservation, RunState
from barostat.errors import GuestGoneError, HypervisorError, LateError
from barostat.hypervisors.qga_socket import GuestAgentSocket
from barostat.hypervisors.qmp_guest import QmpGuest
from barostat.hypervisors.qmp_link import BUSY_HINT

__all__ = ["QmpSocket", "SocketFile"]

GUEST_AGENT_SUFFIX: Final = ".qga"

FIRST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 10.0
JITTER_RATIO: Final = 0.2

FIRST_ATTEMPT_S: Final = 1.0
"""A look waits for the first attempt at a socket as long as for a command."""

QUARANTINE_S: Final = 10.0
"""A guest that was silent for longer than this is let go of and connected to anew."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketFile:
    """A socket and which one it is: a new one under an old name has another identity."""

    path: Path
    identity: tuple[int, ...]


class QmpSocket:
    """What is known of one socket.

    Attributes:
        file: the socket file as it was last found.
        guest: who answers there, None if nobody does.
        fault: why nobody does.
        guest_agent: the way to the guest's qemu-guest-agent, if it has one.
    """

    def __init__(self, name: str, file: SocketFile) -> None:
        self.name = name
        self.file = file
        self.guest: QmpGuest | None = None
        self.fault: HypervisorError | None = None
        self.guest_agent = GuestAgentSocket(name, file.path.with_suffix(GUEST_AGENT_SUFFIX))
        self._last: GuestObservation | None = None
        self._attempt: asyncio.Task[None] | None = None
        self._pause_s = FIRST_PAUSE_S
        self._due_s = 0.0
        self._told = ""

    def found(self, file: SocketFile) -> None:
        """Take note of the file; another one under the same name is tried at once."""
        if file.identity != self.file.identity:
            self._pause_s, self._due_s = FIRST_PAUSE_S, 0.0
        self.file = file

    @property
    def answering(self) -> bool:
        """Whether a connection stands."""
        return self.guest is not None and self.guest.link.alive

    async def look(self, *, ahead_s: float) -> GuestObservation | None:
        """See the guest; as last seen and unreachable if it does not answer; None if there is none.

        Args:
            ahead_s: how far the caller's clock is ahead of the event loop's.
        """
        for _ in range(2):  # one that ended may have been started anew: then that one is seen
            await self._see_to_connection()
            if self.guest is None:
                break
            try:
                self._last = await self.guest.look(ahead_s=ahead_s)
            except GuestGoneError:
                continue
            except HypervisorError as error:
                self._fail(error, news="silent")
                break
            self._recover()
            return self._last
        last = self._last
        return None if last is None else replace(last, run_state=RunState.UNREACHABLE)

    def saw(self, guest: GuestObservation) -> None:
        """Remember what was seen between two looks, in case it is the last that can be."""
        self._last = guest

    async def _see_to_connection(self) -> None:
        if self._attempt is not None:
            if not self._attempt.done():
                return
            self._attempt.result()  # raises what is our own fault
            self._attempt = None
        silent = self.guest is not None and self.guest.link.silent_s > QUARANTINE_S
        now_s = asyncio.get_running_loop().time()
        if (self.answering and not silent) or now_s < self._due_s:
            return
        first = self._pause_s == FIRST_PAUSE_S and not silent
        self._attempt = asyncio.create_task(self._attach(), name=f"attach {self.name}")
        if first:
            _, late = await asyncio.wait({self._attempt}, timeout=FIRST_ATTEMPT_S)
            if late and self.fault is None:  # it is there, and must not be taken for absent
                self.fault = LateError(
                    f'VM "{self.name}": {self.file.path} has not answered '
                    f"within {FIRST_ATTEMPT_S:g} s",
                    hint=BUSY_HINT,
                )

    async def _attach(self) -> None:
        """Connect anew. A guest whose socket nobody listens at any more has ended."""
        before, self.guest = self.guest, None
        try:
            if before is not None:
                await before.link.close()
            self.guest = await QmpGuest.attach(self.name, self.file.path)
        except HypervisorError as error:
            if isinstance(error, GuestGoneError):
                self._last = None
            self._fail(error, news=error.message)
            jitter = random.uniform(1 - JITTER_RATIO, 1 + JITTER_RATIO)  # noqa: S311 - no secret
            self._due_s = asyncio.get_running_loop().time() + self._pause_s * jitter
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        else:
            self._pause_s, self._due_s = FIRST_PAUSE_S, 0.0

    def _fail(self, error: HypervisorError, *, news: str) -> None:
        """Keep the fault, and tell it once, not at every attempt."""
        self.fault = error
        if news != self._told:
            level = logging.INFO if isinstance(error, GuestGoneError) else logging.WARNING
            _log.log(level, "%s; %s", error.message, error.hint)
        self._told = news

    def _recover(self) -> None:
        if self._told:
            _log.info('VM "%s" answers', self.name)
        self.fault, self._told = None, ""

    async def close(self) -> None:
        """Let go of the socket."""
        self.guest_agent.close()
        if self._attempt is not None:
            self._attempt.cancel()
            await asyncio.wait({self._attempt})
        if self.guest is not None:
            await self.guest.link.close()
        self.guest = None
