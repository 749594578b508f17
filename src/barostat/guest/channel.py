"""One guest's socket through time: connected to, read within bounds, let go of and tried again.

Whatever is at its other end, a channel costs the host no more than this: one line's buffer and
what waits to be sent, under 40 KiB in all; 50 small reads and 25 lines a second. Nothing waits for
a guest that does not read: what does not fit is dropped. Pauses between attempts double from 0.2 to
10 s, with jitter; after misbehaviour from 10 s to 10 minutes. What a guest sends is never logged.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

from barostat.guest import protocol
from barostat.guest.base import HostWord
from barostat.guest.belief import FRESH_S
from barostat.guest.conversation import Conduct, Conversation
from barostat.guest.pauses import Pauses
from barostat.guest.protocol import Done, Hello, Report
from barostat.guest.wire import Wire

__all__ = ["Channel"]

WORD_S: Final = 1.0
"""A guest is told what it may have at most this often."""

HOOK_S: Final = protocol.HOOK_MS / 1000
HOOK_EVERY_S: Final = 5.0
"""Nor are its programs asked to give more often than this: shrinking must not wait for them."""

_log = logging.getLogger(__name__)


class Channel:
    """The host's end of the channel to one guest's agent.

    Args:
        name: the VM's.
        path: the UNIX socket; nobody else may be connected to it.
        clock: monotonic seconds, that of the stamps.
        on_report: told of every report that is believed; must not raise.

    Attributes:
        talk: the newest session.
        fault: why nobody listens to the agent; empty where there is no reason but its silence.
        due_s: when it is tried again.
        doubt: why its newest report does not fit what its host sees of the guest; empty if it does.
    """

    def __init__(
        self,
        name: str,
        path: Path,
        *,
        clock: Callable[[], float],
        on_report: Callable[[str], None],
    ) -> None:
        self.name = name
        self.fault = ""
        self.due_s = clock()
        self.doubt = ""
        self._path = path
        self._clock = clock
        self._on_report = on_report
        self._wire: Wire | None = None
        self._conduct = Conduct(clock())
        self.talk = self._new_talk()
        self._word: HostWord | None = None
        self._told: HostWord | None = None
        self._told_s = self._asked_s = float("-inf")
        self._number = 0
        self._done: asyncio.Event | None = None

    async def run(self) -> None:
        """Keep connected until cancelled."""
        pauses = Pauses()
        while True:
            began_s = self._clock()
            misbehaved = await self._attempt()
            now_s = self._clock()
            pause_s = pauses.after(now_s - began_s, misbehaved=misbehaved)
            self.due_s = now_s + pause_s
            if misbehaved:
                _log.warning(
                    'VM "%s": its agent is not listened to for %.0f s: %s',
                    self.name,
                    pause_s,
                    self.fault,
                )
            await asyncio.sleep(pause_s)

    async def _attempt(self) -> bool:
        """Connect, and listen for as long as that stands. Say whether the agent misbehaved."""
        try:
            connection = _connect(self._path)
        except (FileNotFoundError, ConnectionRefusedError):
            self.fault = ""  # its QEMU ended
            return False
        except OSError as error:
            self.fault = f"its channel cannot be connected to: {error.strerror}"
            return False
        wire = Wire(self._hear)
        self._wire, self._conduct = wire, Conduct(self._clock())
        self.talk = self._new_talk()  # before the first byte can be read
        try:
            loop = asyncio.get_running_loop()
            await loop.create_unix_connection(lambda: wire, sock=connection)
            self._send(protocol.welcome(self.talk.session))
            await wire.ended.wait()
        finally:
            self._wire = None
            wire.abort()
            if self._done is not None:
                self._done.set()
        self.fault = wire.fault or self.fault
        return bool(wire.fault)

    def _new_talk(self) -> Conversation:
        return Conversation(secrets.token_hex(8), self._conduct, began_s=self._clock())

    def disturbed(self, at_s: float) -> None:
        """Begin a new session if the guest was reset, resumed or migrated since this one began."""
        if self._wire is not None and self.talk.began_s < at_s:
            self.talk = self._new_talk()
            self._send(protocol.welcome(self.talk.session))

    @property
    def report(self) -> Report | None:
        """The newest report, None if there is none, it is too old, or nobody listens any more."""
        talk = self.talk
        if self._wire is None or talk.report is None:
            return None
        return talk.report if self._clock() - talk.report_at_s <= FRESH_S else None

    def _hear(self, line: bytes) -> None:
        """Take one line from the guest.

        Raises:
            ProtocolError: nobody should listen to it for a while.
        """
        talk = self.talk
        match talk.hear(line, self._clock()):
            case Hello(session=session) if session != talk.session:
                self._send(protocol.welcome(talk.session))
            case Hello():
                self.fault, self._told = "", None
                self._send(protocol.ASK)
            case Report():
                self._tell()
                self._on_report(self.name)
            case Done(id=number) if self._done is not None and number == self._number:
                self._done.set()
            case Done() | None:
                pass

    def _send(self, line: bytes) -> bool:
        return self._wire is not None and self._wire.send(line)

    def tell(self, word: HostWord) -> None:
        """Tell the guest what it may have: at once, or with one of its next reports."""
        self._word = word
        self._tell()

    def _tell(self) -> None:
        now_s = self._clock()
        if self.report is None or self._word == self._told or self._word is None:
            return
        if now_s - self._told_s >= WORD_S and self._send(protocol.word(self._word)):
            self._told, self._told_s = self._word, now_s

    async def before_shrink(self, to_bytes: int) -> None:
        """Let the guest's programs give memory by themselves, if it has any that would."""
        now_s, hello = self._clock(), self.talk.hello
        hooked = hello is not None and hello.hook
        if not hooked or self.report is None or self._done is not None:
            return
        if now_s - self._asked_s < HOOK_EVERY_S:
            return
        self._number += 1
        self._asked_s = now_s
        self._done = done = asyncio.Event()
        try:
            if self._send(protocol.shrink(self._number, to_bytes)):
                async with asyncio.timeout(HOOK_S):
                    await done.wait()
        except TimeoutError:
            return  # it is taken without them
        finally:
            self._done = None

    def after_grow(self, to_bytes: int) -> None:
        """Let the guest's programs know that they may use more."""
        if self.report is not None:
            self._send(protocol.grown(to_bytes))


def _connect(path: Path) -> socket.socket:
    """Connect to a UNIX socket, which the kernel does at once or not at all.

    Raises:
        OSError: nobody listens there, too many wait there already, or we may not.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.setblocking(False)
    try:
        connection.connect(str(path))
    except OSError:
        connection.close()
        raise
    return connection
