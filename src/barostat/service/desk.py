"""Where an operator asks: one face, whether the daemon is asked or the guests are looked at.

`LocalDesk` answers from a `Control` in this process: the API's routes and a direct look stand on
it. `client.RemoteDesk` asks the daemon, and gets the same documents.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final, Protocol

from barostat import __version__
from barostat.config.settings_file import SettingsPatch
from barostat.doctor.facts import Daemon
from barostat.engine.control import Control, unknown_guest
from barostat.engine.loop import Tick
from barostat.errors import HistoryError
from barostat.history.history import History
from barostat.service import making
from barostat.service.documents import (
    Change,
    Details,
    Examination,
    Explanation,
    Guest,
    Health,
    Host,
    HostPause,
    Overview,
    Release,
    SettingsView,
    Start,
)
from barostat.service.examining import Asked, examination_of, examine_all
from barostat.service.explaining import explain
from barostat.service.past import past_explanation_of

__all__ = ["Desk", "LocalDesk"]

EXAMINED_S: Final = 5.0
"""An examination starts QEMU to ask its version, and reads much of /proc; pages may ask often."""

LATE_S: Final = 5.0
"""Ticks come every second; what is older than this is not how things are (as `Policy.stale_s`)."""


class Desk(Protocol):
    """What may be asked. Errors are those of `Control`, or a `ServiceError` on the way."""

    async def overview(self, *, everyone: bool = False) -> Overview:
        """Say how the host and its VMs stand; with `everyone`, name those that are off too."""
        ...

    async def details(self, guest: str) -> Details:
        """Say all about one VM."""
        ...

    async def explanation(self, guest: str) -> Explanation:
        """Say why a VM has the memory it has."""
        ...

    async def change(self, guest: str, patch: SettingsPatch) -> Change:
        """Change a VM's settings."""
        ...

    async def pause_host(self, *, paused: bool) -> HostPause:
        """Hold every VM at its size, or let them be balanced again."""
        ...


class LocalDesk:
    """Answers from a balancer in this process.

    Args:
        control: the balancer's.
        history: what it recorded; None: nothing is kept.
    """

    def __init__(self, control: Control, history: History | None = None) -> None:
        self._control = control
        self._history = history
        self._examining = asyncio.Lock()
        self._examined: Examination | None = None
        self._examined_at_s = 0.0

    @property
    def history(self) -> History:
        """What was recorded.

        Raises:
            HistoryError: nothing is kept.
        """
        if self._history is None:
            raise HistoryError(
                "no history is kept",
                hint="a daemon keeps one where `path` of [history] names a file",
            )
        return self._history

    async def overview(self, *, everyone: bool = False) -> Overview:
        """Say how the host and its VMs stand; with `everyone`, name those that are off too."""
        tick, control = await self._control.tick(), self._control
        return making.overview_of(
            tick,
            faults=control.faults,
            cards=control.cards,
            age_s=control.age_s or 0.0,
            moving=control.moving,
            powered_off=await control.powered_off() if everyone else None,
            limit_faults=control.limit_faults(),
        )

    async def host(self) -> Host:
        """Say how the host's memory stands."""
        return self._host(await self._control.tick())

    def _host(self, tick: Tick) -> Host:
        control = self._control
        return making.host_of(tick, age_s=control.age_s or 0.0, moving=control.moving)

    async def details(self, guest: str) -> Details:
        """Say all about one VM, running or not."""
        settings = await self.settings(guest)
        tick = await self._control.tick()
        return Details(guest=self._guest(tick, guest), settings=settings)

    def _guest(self, tick: Tick, guest: str) -> Guest | None:
        control = self._control
        return making.one_guest_of(tick, guest, faults=control.faults, cards=control.cards)

    async def explanation(self, guest: str, *, at_s: float | None = None) -> Explanation:
        """Say why a VM has the memory it has, or had at a moment in seconds since 1970.

        Raises:
            UnknownGuestError: no VM of that name is, or was, seen.
            HypervisorError: what should be that VM is not one, or does not answer.
            HistoryError: what was decided at that moment is not known.
        """
        if at_s is not None:
            return past_explanation_of(await self.history.decision_at(guest, at_s), guest)
        tick = await self._control.tick()
        faults = self._control.faults
        found = self._guest(tick, guest)
        if found is None and guest in faults:
            raise faults[guest]
        if found is None:
            raise unknown_guest(guest, [seen.name for seen in tick.snapshot.guests])
        host = self._host(tick)
        sentences = tuple(explain(found, host))
        return Explanation(at_s=None, host=host, guest=found, sentences=sentences)

    async def settings(self, guest: str) -> SettingsView:
        """Say how a VM's settings stand."""
        return making.settings_view_of(await self._control.settings(guest))

    async def change(self, guest: str, patch: SettingsPatch) -> Change:
        """Change a VM's settings."""
        return making.change_of(await self._control.change(guest, patch))

    async def pause_host(self, *, paused: bool) -> HostPause:
        """Hold every VM at its size, or let them be balanced again."""
        return making.pause_of(await self._control.pause_host(paused=paused))

    async def admit(
        self, guest: str, *, size_bytes: int | None, weight: int | None, timeout_s: float
    ) -> Start:
        """Wait until a VM may start, and set its startup aside for it."""
        answer = await self._control.admit(
            guest, size_bytes=size_bytes, weight=weight, timeout_s=timeout_s
        )
        return making.start_of(answer)

    def release(self, guest: str) -> Release:
        """Give up what is set aside for a VM."""
        return Release(guest=guest, released_bytes=self._control.release(guest))

    async def examination(self) -> Examination:
        """Say what doctor finds, as it was found some seconds ago at most."""
        async with self._examining:
            if self._examined is None or time.monotonic() - self._examined_at_s > EXAMINED_S:
                overview = await self.overview()
                daemon = Daemon(moving=overview.host.moving, paused=overview.host.paused)
                asked = Asked(overview=overview, daemon=daemon, way="the daemon itself was asked")
                self._examined = examination_of(await examine_all(asked))
                self._examined_at_s = time.monotonic()
            return self._examined

    def health(self) -> Health:
        """Say whether the guests are looked at as they should be."""
        age_s = self._control.age_s
        if age_s is None:
            says = "the guests were not looked at yet"
        elif age_s > LATE_S:
            says = f"the guests were last looked at {age_s:.0f} s ago"
        else:
            says = "the guests are looked at every second"
        healthy = age_s is not None and age_s <= LATE_S
        fault = None if self._history is None else self._history.fault
        return Health(
            version=__version__,
            healthy=healthy,
            says=says,
            age_s=age_s,
            history=None if fault is None else fault.message,
        )
