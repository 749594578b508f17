"""Where an operator asks: one face, whether the daemon is asked or the guests are looked at.

`LocalDesk` answers from a `Control` in this process: the API's routes and a direct look stand on
it. `client.RemoteDesk` asks the daemon, and gets the same documents.
"""

from __future__ import annotations

from typing import Final, Protocol

from barostat import __version__
from barostat.config.settings_file import SettingsPatch
from barostat.engine.control import Control, unknown_guest
from barostat.engine.loop import Tick
from barostat.service import making
from barostat.service.documents import (
    Change,
    Details,
    Explanation,
    Health,
    Host,
    HostPause,
    Overview,
    SettingsView,
)
from barostat.service.explaining import explain

__all__ = ["Desk", "LocalDesk"]

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
    """Answers from a balancer in this process."""

    def __init__(self, control: Control) -> None:
        self._control = control

    async def overview(self, *, everyone: bool = False) -> Overview:
        """Say how the host and its VMs stand; with `everyone`, name those that are off too."""
        tick, control = await self._control.tick(), self._control
        return making.overview_of(
            tick,
            faults=control.faults,
            age_s=control.age_s or 0.0,
            moving=control.moving,
            powered_off=await control.powered_off() if everyone else None,
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
        return Details(
            guest=making.one_guest_of(tick, guest, faults=self._control.faults), settings=settings
        )

    async def explanation(self, guest: str) -> Explanation:
        """Say why a VM has the memory it has.

        Raises:
            UnknownGuestError: no VM of that name is seen.
            HypervisorError: what should be that VM is not one, or does not answer.
        """
        tick = await self._control.tick()
        faults = self._control.faults
        found = making.one_guest_of(tick, guest, faults=faults)
        if found is None and guest in faults:
            raise faults[guest]
        if found is None:
            raise unknown_guest(guest, [seen.name for seen in tick.snapshot.guests])
        host = self._host(tick)
        return Explanation(host=host, guest=found, sentences=tuple(explain(found, host)))

    async def settings(self, guest: str) -> SettingsView:
        """Say how a VM's settings stand."""
        return making.settings_view_of(await self._control.settings(guest))

    async def change(self, guest: str, patch: SettingsPatch) -> Change:
        """Change a VM's settings."""
        return making.change_of(await self._control.change(guest, patch))

    async def pause_host(self, *, paused: bool) -> HostPause:
        """Hold every VM at its size, or let them be balanced again."""
        return making.pause_of(await self._control.pause_host(paused=paused))

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
        return Health(version=__version__, healthy=healthy, says=says, age_s=age_s)
