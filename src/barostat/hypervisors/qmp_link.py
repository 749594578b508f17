"""One connection to one QMP socket: opened once, asked with deadlines, lost once, never reopened.

QEMU's own client has no deadlines and keeps every event for ever. Here every wait has a deadline,
and events go straight to one listener, nothing is queued. A question that stays unanswered makes
the link *silent*: until some answer arrives, questions fail at once instead of waiting, so that a
hung QEMU costs its neighbours one deadline and no more. The late answer ends the silence.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from qemu.qmp import (
    ConnectError,
    ExecInterruptedError,
    ExecuteError,
    Message,
    QMPClient,
    QMPError,
    Runstate,
    StateError,
)

from barostat.errors import DeadlineError, GuestGoneError, RefusedError, UnreachableError

__all__ = ["BUSY_HINT", "COMMAND_DEADLINE_S", "Hear", "QmpLink"]

CONNECT_DEADLINE_S: Final = 2.0
BUSY_HINT: Final = (
    "a QMP socket serves one client: if another program holds it, give Barostat one of its own "
    "with a second -qmp option; if not, the VM hangs"
)
COMMAND_DEADLINE_S: Final = 1.0
DISCONNECT_DEADLINE_S: Final = 0.5
"""A hung QEMU reads nothing: what is still to be written to it is dropped after this."""

LARGEST_LINE_BYTES: Final = 2**20
"""Real answers have a few KiB. A peer that sends longer lines is no QEMU that we asked."""

EVENTS: Final = frozenset(
    {
        "BALLOON_CHANGE",
        "GUEST_PANICKED",
        "MEMORY_DEVICE_SIZE_CHANGE",
        "MIGRATION",
        "RESET",
        "RESUME",
        "SHUTDOWN",
        "STOP",
    }
)

Hear = Callable[[str, object], None]
"""Takes an event's name and its data, which may be missing (None) or anything at all."""

T = TypeVar("T")

_UNHEARD = logging.getLogger(f"{__name__}.client")
_UNHEARD.disabled = True  # all that the client logs comes to us as exceptions


class _Client(QMPClient):
    """QEMU's client without its log, which prints every message whether or not anyone reads it."""

    def __init__(self, hear: Hear) -> None:
        super().__init__(readbuflen=LARGEST_LINE_BYTES)
        self.logger = _UNHEARD
        self.silent_since_s: float | None = None
        self._unanswered = 0
        self._hear = hear
        self.events.names.update(EVENTS)
        self.events.event_filter = self._consume

    def _consume(self, event: Message) -> bool:
        self._hear(str(event["event"]), event.get("data"))
        return False  # consumed: neither the listener's queue nor its history grows

    def given_up(self, asked_s: float) -> None:
        """Note that nobody waits any more for the answer to what was asked then.

        It may have come in the very moment in which patience ended: then nothing is owed, no later
        answer would say so, and the guest is not silent.
        """
        if self._unanswered:
            self.silent_since_s = asked_s

    def _cb_inbound(self, msg: Message) -> Message:
        if "return" in msg or "error" in msg:
            self._unanswered -= 1
            self.silent_since_s = None
        return msg

    def _cb_outbound(self, msg: Message) -> Message:
        self._unanswered += 1
        return msg


class QmpLink:
    """A connection that was opened by `QmpLink.open`, to the socket at `path`."""

    def __init__(
        self,
        guest: str,
        path: Path,
        connection: socket.socket,
        client: _Client,
        lost: Callable[[], None],
    ) -> None:
        self._guest = guest
        self.path = path
        self._connection = connection
        self._client = client
        self._closing = False
        self._lost = lost
        self._watcher = asyncio.create_task(self._watch(), name=f"qmp {guest}")

    @classmethod
    async def open(cls, guest: str, path: Path, *, hear: Hear, lost: Callable[[], None]) -> QmpLink:
        """Connect, and wait for the greeting.

        Args:
            guest: the VM's name, for errors.
            path: the UNIX socket.
            hear: is told of events, one at a time; must not raise.
            lost: is told once when the connection ends by itself.

        Raises:
            GuestGoneError: nobody listens there.
            UnreachableError: what listens is busy, hangs, or is not QMP; or we may not connect.
        """
        client = _Client(hear)
        connection = _connect(guest, path)
        try:
            async with asyncio.timeout(CONNECT_DEADLINE_S):
                await client.connect(connection)
        except TimeoutError as error:
            raise _busy(guest, path) from error
        except ConnectError as error:
            raise _not_qmp(guest, path, error.exc) from error
        finally:
            if client.runstate is not Runstate.RUNNING:
                connection.close()
        return cls(guest, path, connection, client, lost)

    @property
    def alive(self) -> bool:
        """Whether the connection stands; what is at its other end may hang nevertheless."""
        return self._client.runstate is Runstate.RUNNING

    @property
    def silent_s(self) -> float:
        """Say for how long a question has been unanswered; 0.0 if none is."""
        since_s = self._client.silent_since_s
        return 0.0 if since_s is None else asyncio.get_running_loop().time() - since_s

    async def ask(self, command: str, shape: type[T], **arguments: Any) -> T:
        """Execute a command and check that its answer has the right shape.

        Raises:
            DeadlineError: no answer in time; whether it was done is not known.
            UnreachableError: an earlier question is still unanswered; nothing was sent.
            RefusedError: the answer is no.
            GuestGoneError: the connection ended.
        """
        answer = await self._execute(command, arguments)
        try:
            return msgspec.convert(answer, shape)
        except (msgspec.ValidationError, UnicodeError) as error:  # JSON allows half a letter
            raise self._strange(command, error) from error

    def _strange(self, command: str, error: Exception) -> UnreachableError:
        return UnreachableError(
            f'VM "{self._guest}": {self.path} answers `{command}` as no QEMU does: {error}',
            hint="is this the socket of a QEMU 6.2 or later?",
        )

    async def _execute(self, command: str, arguments: dict[str, Any]) -> object:
        client = self._client
        if client.silent_since_s is not None and self.alive:
            raise UnreachableError(
                f'VM "{self._guest}" has not answered for {self.silent_s:.0f} s',
                hint="its QEMU hangs or is stopped; it is spoken to again when it answers",
            )
        asked_s = asyncio.get_running_loop().time()
        answered = False
        try:
            async with asyncio.timeout(COMMAND_DEADLINE_S):
                answer = await client.execute(command, arguments or None)
            answered = True
        except TimeoutError as error:
            raise DeadlineError(
                f'VM "{self._guest}" did not answer `{command}` within {COMMAND_DEADLINE_S:g} s',
                hint="its QEMU hangs, is stopped, or the host is overloaded",
            ) from error
        except ExecuteError as error:
            answered = True
            raise RefusedError(f'VM "{self._guest}" refused `{command}`: {error}') from error
        except (ExecInterruptedError, StateError) as error:
            raise GuestGoneError(f'VM "{self._guest}" ended while it was spoken to') from error
        except QMPError as error:
            answered = True
            raise self._strange(command, error) from error
        finally:
            if not answered:
                client.given_up(asked_s)
        return answer

    async def close(self) -> None:
        """Let go of the socket. The VM keeps what it has; `lost` is not told."""
        self._closing = True
        with contextlib.suppress(OSError):  # it may be closed already
            self._connection.shutdown(socket.SHUT_RDWR)
        done, _ = await asyncio.wait({self._watcher}, timeout=DISCONNECT_DEADLINE_S)
        if not done:
            self._watcher.cancel()

    async def _watch(self) -> None:
        """Wait for the end of the session and collect what ended it: nobody else would."""
        while self._client.runstate is Runstate.RUNNING:
            await self._client.runstate_changed()
        with contextlib.suppress(Exception):  # any fault of the peer's; `ask` says what it means
            await self._client.disconnect()
        if not self._closing:
            self._lost()


def _connect(guest: str, path: Path) -> socket.socket:
    """Connect to a UNIX socket, which the kernel does at once or not at all."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.setblocking(False)
    try:
        connection.connect(str(path))
    except OSError as error:
        connection.close()
        match error:
            case FileNotFoundError() | ConnectionRefusedError():
                raise GuestGoneError(
                    f'VM "{guest}": nobody listens at {path}',
                    hint="start the VM, or correct the path",
                ) from error
            case BlockingIOError():
                raise _busy(guest, path) from error
            case PermissionError():
                hint = "run as root, or as the user that its QEMU runs as"
            case _:
                hint = "give the path of the VM's QMP socket"
        message = f'VM "{guest}": {path} cannot be connected to: {error}'
        raise UnreachableError(message, hint=hint) from error
    return connection


def _busy(guest: str, path: Path) -> UnreachableError:
    return UnreachableError(
        f'VM "{guest}": {path} sends no QMP greeting within {CONNECT_DEADLINE_S:g} s',
        hint=BUSY_HINT,
    )


def _not_qmp(guest: str, path: Path, cause: Exception) -> UnreachableError:
    hung_up = isinstance(cause, EOFError | ConnectionError)
    why = "it hangs up" if hung_up else "it sends something else than a greeting"
    return UnreachableError(
        f'VM "{guest}": what answers at {path} is not QMP: {why}',
        hint="give the socket of QEMU's -qmp unix:PATH,server=on,wait=off",
    )
