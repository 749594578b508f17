"""What an operator may ask of a running balancer: what is, why, and other settings.

Nothing here moves memory: a change is written where the settings of a VM stand, and the next tick
finds it there, as it would find an edit by hand. A change is judged whole against what is in force
and what the VM is made of; with any fault nothing is written. One change at a time.
"""

from __future__ import annotations

import asyncio
import difflib
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from barostat.config.settings_file import SettingsFile, SettingsPatch
from barostat.config.settings_store import SettingsStore
from barostat.core.observation import GuestObservation, Reservation
from barostat.engine.loop import Balancer, Tick
from barostat.engine.settings_change import (
    GuestSettings,
    SettingsChange,
    check_change,
    gives_settings,
    left_alone,
    stand,
)
from barostat.engine.starting import Answer
from barostat.errors import (
    HypervisorError,
    InputError,
    ServiceError,
    SettingsError,
    UnknownGuestError,
)
from barostat.guest.base import Card
from barostat.hypervisors.base import Hypervisor, Startup

__all__ = ["Control", "HostPause", "unknown_guest"]

FIRST_TICK_DEADLINE_S: Final = 5.0
"""A first look may have to wait for slow hypervisors; who asks should not wait longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPause:
    """Whether every guest of the host was and is held at its size."""

    before: bool
    after: bool


async def _nobody() -> Sequence[str]:
    return ()


async def _no_startup(_: str) -> Startup | None:
    return None


def _no_card(_: str) -> Card | None:
    return None


class Control:
    """What an operator may ask of a balancer.

    Args:
        balancer: the one that runs; its `on_tick` must tell `on_tick` of this.
        hypervisor: whose guests it balances.
        settings: where the settings of VMs stand.
        moving: False where the balancer moves nothing; only said, not enforced, here.
        pause_marker: a file that stands while the host is paused, so that the pause outlives a
            restart; None forgets it.
        powered_off: names the VMs that are known and do not run.
        startup: says what a VM takes at its next start, None where nobody knows.
        cards: says what is known of the program in a VM (`Insight.card`).
        limit_faults: says of which VMs a limit does not stand where it belongs, and why.
        clock: the balancer's monotonic seconds.
    """

    def __init__(
        self,
        balancer: Balancer,
        hypervisor: Hypervisor,
        settings: SettingsStore,
        *,
        moving: bool = True,
        pause_marker: Path | None = None,
        powered_off: Callable[[], Awaitable[Sequence[str]]] = _nobody,
        startup: Callable[[str], Awaitable[Startup | None]] = _no_startup,
        cards: Callable[[str], Card | None] = _no_card,
        limit_faults: Callable[[], Mapping[str, str]] = dict,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.moving = moving
        self.powered_off = powered_off
        self._startup = startup
        self.cards = cards
        self.limit_faults = limit_faults
        self._balancer = balancer
        self._hypervisor = hypervisor
        self._settings = settings
        self._pause_marker = pause_marker
        self._clock = clock
        self._newest: Tick | None = None
        self._ticked = asyncio.Event()
        self._changing = asyncio.Lock()
        if pause_marker is not None:
            balancer.paused = pause_marker.exists()

    def on_tick(self, tick: Tick) -> None:
        """Take note of the newest pass."""
        self._newest = tick
        self._ticked.set()

    @property
    def newest(self) -> Tick | None:
        """The newest pass, None before the first."""
        return self._newest

    @property
    def age_s(self) -> float | None:
        """How long ago the newest pass looked, None before the first."""
        return None if self._newest is None else self._clock() - self._newest.snapshot.now_s

    @property
    def paused(self) -> bool:
        """Whether every guest of the host is held at its size."""
        return self._balancer.paused

    @property
    def faults(self) -> Mapping[str, HypervisorError]:
        """Why something that should be a guest, or a whole connection, is not seen; by name."""
        return self._hypervisor.faults

    async def tick(self) -> Tick:
        """Give the newest pass; wait for the first one.

        Raises:
            ServiceError: there was none in time.
        """
        try:
            async with asyncio.timeout(FIRST_TICK_DEADLINE_S):
                await self._ticked.wait()
        except TimeoutError:
            pass
        if self._newest is None:
            raise ServiceError(
                f"the guests were not looked at yet, within {FIRST_TICK_DEADLINE_S:g} s",
                hint="ask again; the daemon's log says what it waits for",
            )
        return self._newest

    async def settings(self, guest: str) -> GuestSettings:
        """Say what a VM's settings are, running or not, and what is wrong with them.

        Raises:
            UnknownGuestError, HypervisorError, ServiceError.
        """
        seen = await self._seen(guest)
        try:
            return self._stand(guest, seen, await self._written(guest))
        except SettingsError as error:
            faults = error.faults or (error.message,)
            return replace(self._stand(guest, seen, None), faults=faults)

    async def change(self, guest: str, patch: SettingsPatch) -> SettingsChange:
        """Change a VM's settings; what the patch leaves out stays.

        A VM without settings gets Hyper-V's defaults for what the patch leaves out, and with them
        Dynamic Memory; `enabled` alone gives it just these.

        Raises:
            SettingsError: with all faults at once.
            ConflictError: somebody else changed them meanwhile.
            UnknownGuestError, HypervisorError, ServiceError: as they say.
            In every case nothing was changed.
        """
        async with self._changing:
            seen, written = await self._seen(guest), await self._written(guest)
            before = self._stand(guest, seen, written)
            if written is None and not gives_settings(patch):
                return SettingsChange(before=before, after=left_alone(before, patch))
            wanted = patch.applied_to(written)
            after = self._stand(guest, seen, wanted)
            check_change(before, after, seen)
            if wanted != written:
                await self._settings.write(guest, wanted, before=written)
            return SettingsChange(before=before, after=after)

    async def pause_host(self, *, paused: bool) -> HostPause:
        """Hold every guest of the host at its size, or let them be balanced again.

        Raises:
            ServiceError: it cannot be noted for a restart; nothing was changed.
        """
        async with self._changing:
            before = self._balancer.paused
            if self._pause_marker is not None:
                await asyncio.to_thread(_mark, self._pause_marker, paused)
            self._balancer.paused = paused
            return HostPause(before=before, after=paused)

    async def admit(
        self, guest: str, *, size_bytes: int | None, weight: int | None, timeout_s: float
    ) -> Answer:
        """Wait until a VM may start, and set its startup aside for it.

        Args:
            guest: its name.
            size_bytes: its startup; None: as its hypervisor knows it, or its settings say.
            weight: its rank; None: as its settings say, or the default.
            timeout_s: how long others may take to give what is missing.

        Raises:
            InputError: how much it takes is known nowhere.
            ServiceError: nothing is set aside here, or nobody could look in time.
            ConflictError, UnknownGuestError, HypervisorError: as they say.
        """
        if not self.moving:
            raise ServiceError(
                "this daemon only observes: it sets nothing aside, and refuses nobody",
                hint="start it without --observe to have it answer",
            )
        if size_bytes is None or weight is None:
            known = await self._known_startup(guest, size_bytes)
            size_bytes = known.size_bytes if size_bytes is None else size_bytes
            weight = known.weight if weight is None else weight
        asked = Reservation(guest=guest, size_bytes=size_bytes, weight=weight)
        return await self._balancer.starting.admit(asked, timeout_s=timeout_s)

    def release(self, guest: str) -> int | None:
        """Give up what is set aside for a VM: how many bytes; None if nothing was asked for it."""
        return self._balancer.starting.release(guest)

    async def _known_startup(self, guest: str, size_bytes: int | None) -> Startup:
        """Find out what was not said; a VM that nobody knows yet starts with what was."""
        found = await self._startup(guest)
        if found is not None:
            return found
        try:
            written = await self._written(guest)
        except UnknownGuestError:
            if size_bytes is None:
                raise
            written = None
        settings = written or SettingsFile()
        size_bytes = settings.startup if size_bytes is None else size_bytes
        if size_bytes is None:
            raise InputError(
                f'how much memory VM "{guest}" starts with is not known',
                hint=f"say it: barostat admit {guest} --size 2GiB",
            )
        return Startup(size_bytes=size_bytes, weight=settings.weight)

    async def known(self) -> tuple[str, ...]:
        """Name every VM that is known, running or not."""
        tick = await self.tick()
        running = {guest.name for guest in tick.snapshot.guests}
        return tuple(sorted(running | set(await self.powered_off())))

    async def _seen(self, guest: str) -> GuestObservation | None:
        tick = await self.tick()
        return next((item for item in tick.snapshot.guests if item.name == guest), None)

    async def _written(self, guest: str) -> SettingsFile | None:
        try:
            return await self._settings.read(guest)
        except UnknownGuestError as error:
            raise unknown_guest(guest, await self.known()) from error

    def _stand(
        self, guest: str, seen: GuestObservation | None, written: SettingsFile | None
    ) -> GuestSettings:
        return stand(guest, seen, written, place=self._settings.place_of(guest))


def _mark(marker: Path, present: bool) -> None:
    try:
        if present:
            marker.touch()
        else:
            marker.unlink(missing_ok=True)
    except OSError as error:
        raise ServiceError(
            f"the pause cannot be noted in {marker}: {error.strerror}",
            hint="it would be forgotten at a restart, so nothing was changed",
        ) from error


def unknown_guest(guest: str, known: Collection[str]) -> UnknownGuestError:
    """Say that no VM has this name, and which one may be meant."""
    near = difflib.get_close_matches(guest, known, n=1)
    there = "there are: " + ", ".join(known) if known else "there is none at all"
    hint = f'did you mean "{near[0]}"?' if near else there
    return UnknownGuestError(f'there is no VM "{guest}"', hint=hint)
