"""One guest whose QMP socket answers: looked at, asked, listened to.

Statistics and sizes of one look are of the same moment, as near as can be: the guest is asked for
its statistics and its sizes are read right after. Stamps are converted to the caller's clock once,
so that an unchanged thing keeps its stamp. What was asked of the balloon is remembered here,
because QEMU does not tell it.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from pathlib import Path
from typing import Final, assert_never

import msgspec

from barostat.core.observation import Devices, GuestObservation, RunState
from barostat.errors import DeadlineError, RefusedError
from barostat.hypervisors.base import BalloonWish, PlugWish, Wish
from barostat.hypervisors.qmp_anatomy import Anatomy, dissect, read_sizes
from barostat.hypervisors.qmp_life import Life
from barostat.hypervisors.qmp_link import COMMAND_DEADLINE_S, QmpLink
from barostat.hypervisors.qmp_statistics import StatisticsReader
from barostat.hypervisors.refusals import check_wish

__all__ = ["QmpGuest"]

UNDISTURBED: Final = frozenset({RunState.RUNNING, RunState.BOOTING})
RESYNC_S: Final = 10.0
"""Events tell what a guest is doing, but not all: one that was restored and stays paused tells
nothing. So it is asked as well, this often while it runs and at every look otherwise."""


RESIZING: Final = frozenset({"BALLOON_CHANGE", "MEMORY_DEVICE_SIZE_CHANGE", "RESET", "SHUTDOWN"})

TELL_MIGRATION: Final = {"capability": "events", "state": True}
"""Without it QEMU keeps migrations to itself."""


class _Status(msgspec.Struct):
    status: str


class _Migration(msgspec.Struct):
    status: str = ""


class QmpGuest:
    """A guest that was attached to by `QmpGuest.attach`."""

    def __init__(
        self, name: str, link: QmpLink, anatomy: Anatomy, life: Life, woken: asyncio.Event
    ) -> None:
        self.name = name
        self.link = link
        self._anatomy = anatomy
        self._life = life
        self._woken = woken
        self._looking = asyncio.Lock()  # two looks at once would take each other's answer
        self._told_s = -math.inf
        self._target_bytes: int | None = None
        path = anatomy.balloon_path
        self._statistics = None if path is None else StatisticsReader(link, path)

    @classmethod
    async def attach(cls, name: str, path: Path) -> QmpGuest:
        """Connect to a guest's socket and find out what its memory is made of.

        Raises:
            GuestGoneError: nobody listens, or the guest ended meanwhile.
            UnreachableError: what listens is busy, hangs, or is no VM; or we may not connect.
            DeadlineError: it stopped answering.
        """
        loop = asyncio.get_running_loop()
        life, woken = Life(now_s=loop.time()), asyncio.Event()

        def hear(event: str, data: object) -> None:
            life.hear(event, data, loop.time())
            if event in RESIZING:
                woken.set()

        link = await QmpLink.open(name, path, hear=hear, lost=woken.set)
        try:
            anatomy = await dissect(name, link)
            life.has_balloon = anatomy.balloon_path is not None
            with contextlib.suppress(RefusedError):  # one that migrates right now refuses
                await link.ask("migrate-set-capabilities", object, capabilities=[TELL_MIGRATION])
        except BaseException:
            await link.close()
            raise
        return cls(name, link, anatomy, life, woken)

    async def look(self, *, ahead_s: float) -> GuestObservation:
        """See what the guest does, has and says, within one command's deadline.

        Args:
            ahead_s: how far the caller's clock is ahead of the event loop's.

        Raises:
            DeadlineError, UnreachableError, RefusedError, GuestGoneError.
        """
        try:
            async with asyncio.timeout(COMMAND_DEADLINE_S), self._looking:
                return await self._look(ahead_s)
        except TimeoutError as error:
            raise DeadlineError(
                f'VM "{self.name}" could not be looked at within {COMMAND_DEADLINE_S:g} s',
                hint="its QEMU hangs, is stopped, or the host is overloaded",
            ) from error

    async def _look(self, ahead_s: float) -> GuestObservation:
        life, reader = self._life, self._statistics
        loop = asyncio.get_running_loop()
        if life.run_state not in UNDISTURBED or loop.time() - self._told_s >= RESYNC_S:
            await self._resync()
        if reader is not None and life.ticking and await reader.ask():
            life.loaded = True
        devices = await self.devices()
        if reader is not None:
            reader.read(devices)
        return GuestObservation(
            name=self.name,
            run_state=life.run_state,
            devices=devices,
            statistics=reader.statistics if reader is not None and life.loaded else None,
            seen_at_s=loop.time() + ahead_s,
            statistics_at_s=0.0 if reader is None else reader.at_s + ahead_s,
            disturbed_at_s=life.disturbed_s + ahead_s,
        )

    async def _resync(self) -> None:
        status = await self.link.ask("query-status", _Status)
        migration = await self.link.ask("query-migrate", _Migration)
        self._told_s = asyncio.get_running_loop().time()
        self._life.told(status=status.status, migration=migration.status, now_s=self._told_s)

    async def devices(self) -> Devices:
        """Ask for the sizes now.

        Raises:
            DeadlineError, UnreachableError, GuestGoneError.
        """
        self._woken.clear()  # before the question: what changes from here on wakes `changed`
        return await self._devices()

    async def _devices(self) -> Devices:
        sizes = await read_sizes(self.link, self._anatomy)
        return sizes.devices(
            self._anatomy, target_bytes=self._target_bytes, loaded=self._life.loaded
        )

    async def request(self, wish: Wish) -> None:
        """Send a wish to the guest's device.

        Raises:
            RefusedError: the devices cannot take it.
            DeadlineError: whether it was noted is not known.
            UnreachableError, GuestGoneError.
        """
        check_wish(self.name, await self._devices(), wish)
        match wish:
            case BalloonWish(target_bytes=target_bytes):
                await self._ask_balloon(target_bytes)
            case PlugWish(device=device, requested_bytes=requested_bytes):
                await self.link.ask(
                    "qom-set",
                    object,
                    path=self._anatomy.plug_path(device),
                    property="requested-size",
                    value=requested_bytes,
                )
            case _:
                assert_never(wish)

    async def _ask_balloon(self, target_bytes: int) -> None:
        before_bytes, self._target_bytes = self._target_bytes, None
        try:
            await self.link.ask("balloon", object, value=target_bytes)
        except RefusedError:
            self._target_bytes = before_bytes
            raise
        self._target_bytes = target_bytes  # without an answer it stays unknown

    async def changed(self, *, timeout_s: float) -> bool:
        """Wait until QEMU tells of a new size since the sizes were last asked for, or the end.

        QEMU tells at once, but at most once a second of each kind of change.
        """
        if not self.link.alive:
            return True
        try:
            async with asyncio.timeout(timeout_s):
                await self._woken.wait()
        except TimeoutError:
            return False
        return True
