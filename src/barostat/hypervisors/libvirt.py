"""The guests of a libvirt, and their settings in their domains' metadata.

A domain's name is its guest's. Calls run in worker threads, each with a connection of its own, a
deadline, and one lane a guest (`lanes.py`); events come on a further connection and are only hints.
While libvirt does not answer, every guest is reported as last seen and unreachable: none is lost,
and none is moved.
"""

from __future__ import annotations

import asyncio
import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from barostat.config.settings_file import SettingsFile
from barostat.config.settings_xml import settings_fault
from barostat.core.observation import Devices, GuestObservation, RunState
from barostat.core.settings import MemorySettings
from barostat.errors import (
    DeadlineError,
    HypervisorError,
    RefusedError,
    UnknownGuestError,
    UnreachableError,
)
from barostat.hypervisors.base import BalloonWish, Startup, Wish
from barostat.hypervisors.guest_agent import no_agent, silent_agent
from barostat.hypervisors.lanes import Lanes
from barostat.hypervisors.libvirt_api import require_libvirt
from barostat.hypervisors.libvirt_events import Heard
from barostat.hypervisors.libvirt_guest import LibvirtGuest
from barostat.hypervisors.libvirt_line import Line, Listed
from barostat.hypervisors.libvirt_link import LibvirtLink
from barostat.hypervisors.libvirt_look import ask, look_at, recover, silent
from barostat.hypervisors.libvirt_orders import (
    define,
    limit_memory,
    powered_off,
    read_metadata,
    read_xml,
    send_wish,
    versions,
    write_metadata,
)
from barostat.hypervisors.libvirt_xml import read_startup

__all__ = ["LibvirtHypervisor"]

LIST_DEADLINE_S: Final = 1.0
"""libvirtd lists a thousand domains in some milliseconds, and asks no QEMU for it."""

LIST_LANE: Final = ""
"""No domain has this name."""

UNLISTED_S: Final = 60.0
"""libvirt holds a domain that it starts while it waits for the operator's hook, and lists nobody
meanwhile. The hook may wait for memory of guests that are known: they are looked at, and moved."""

LATE_AGENTS: Final = 3
"""Each agent that keeps libvirt waiting holds one of libvirtd's 20 workers, which others need."""

LATE_S: Final = 0.25
"""Most often it is libvirt that ends the wait: then no worker is lost."""

UNDISTURBED: Final = frozenset({RunState.RUNNING, RunState.BOOTING})

PRIVATE: Final = "test:"
"""Each connection to libvirt's test driver has a world of its own: there must be but one."""

T = TypeVar("T")


class LibvirtHypervisor:
    """The domains of one libvirt: a Hypervisor and a SettingsStore.

    Args:
        uri: libvirt's, as qemu:///system.
        deadline_s: how long a change may take.
        connections: how many calls are made at once.

    Raises:
        InputError: the binding to libvirt is not installed.
    """

    def __init__(self, uri: str, *, deadline_s: float = 5.0, connections: int = 4) -> None:
        require_libvirt()
        self.uri = uri
        self._deadline_s = deadline_s
        workers = 1 if uri.startswith(PRIVATE) else connections
        self._lanes: Lanes[Line] = Lanes(partial(Line.open, uri), workers=workers, name=uri)
        self._link = LibvirtLink(uri, hear=self._hear, deadline_s=deadline_s)
        self._guests: dict[str, LibvirtGuest] = {}
        self._ahead_s: float | None = None
        self._was_down = False
        self._listed_s = -math.inf
        self._late_agents: set[str] = set()

    @property
    def faults(self) -> Mapping[str, HypervisorError]:
        """Why a guest, or under the URI the whole connection, is not seen, as of the last look."""
        faults = {guest.name: guest.fault for guest in self._guests.values() if guest.fault}
        return {self.uri: self._link.fault, **faults} if self._link.fault else faults

    def _hear(self, name: str, what: Heard) -> None:
        guest = self._guests.get(name)
        if guest is not None:
            guest.hear(what, now_s=asyncio.get_running_loop().time())

    async def observe(self, *, now_s: float) -> Sequence[GuestObservation]:
        """Look at every domain that runs, each within its own deadline."""
        loop = asyncio.get_running_loop()
        if self._ahead_s is None:  # measured once: two monotonic clocks stay as far apart
            self._ahead_s = now_s - loop.time()
        try:
            await self._list()
        except HypervisorError as error:
            self._link.fail(error)
            self._was_down = True
            seen = [guest.unreachable() for guest in self._guests.values()]
        else:
            self._link.recover()
            await look_at(self._lanes, list(self._guests.values()))
            seen = [guest.observe(ahead_s=self._ahead_s) for guest in self._guests.values()]
        return sorted((found for found in seen if found), key=lambda guest: guest.name)

    async def _list(self) -> None:
        """Bring the guests that are known in line with those that run."""
        if not await self._link.see_to():
            fault = self._link.fault or UnreachableError(
                f"{self.uri} has not answered yet", hint="it is asked again by itself"
            )
            raise type(fault)(fault.message, hint=fault.hint) from fault
        running = await self._list_running()
        if running is None:
            return
        now_s = self._listed_s = asyncio.get_running_loop().time()
        for name, listed in running.items():
            self._guest_like(name, listed, now_s).listed(listed, now_s=now_s)
        for name in [name for name in self._guests if name not in running]:
            self._guests.pop(name).woken.set()
        if self._was_down:
            self._was_down = False
            for guest in self._guests.values():
                guest.doubt()

    async def _list_running(self) -> Mapping[str, Listed] | None:
        """Say who runs; None while it is late, and those who ran a moment ago are to be asked."""
        try:  # in a lane of its own: while one list hangs, no other is asked for
            return await self._lanes.call(
                Line.list_running, lane=LIST_LANE, deadline_s=LIST_DEADLINE_S
            )
        except DeadlineError as error:
            unlisted_s = asyncio.get_running_loop().time() - self._listed_s
            if unlisted_s < UNLISTED_S and not self._was_down:
                return None
            raise UnreachableError(
                f"{self.uri} does not list its domains within {LIST_DEADLINE_S:g} s",
                hint="libvirtd hangs, or the host is overloaded; it is asked again by itself",
            ) from error

    def _guest_like(self, name: str, listed: Listed, now_s: float) -> LibvirtGuest:
        """Find the guest, or a new one when it was started anew."""
        guest = self._guests.get(name)
        if guest is not None and guest.identity == listed.identity:
            return guest
        if guest is not None:
            guest.woken.set()
        guest = self._guests[name] = LibvirtGuest(name, listed, now_s=now_s)
        return guest

    def _guest(self, name: str) -> LibvirtGuest:
        guest = self._guests.get(name)
        if guest is not None:
            return guest
        near = difflib.get_close_matches(name, self._guests, n=1)
        raise UnknownGuestError(
            f'no VM "{name}" runs at {self.uri}',
            hint=f'did you mean "{near[0]}"?' if near else "`barostat list` shows those that do",
        )

    async def look(self, guest: str, *, now_s: float) -> GuestObservation:
        """Look at one guest that was observed before, now, and have it say what it needs.

        Raises:
            UnknownGuestError, UnreachableError, DeadlineError, RefusedError, GuestGoneError.
        """
        found = self._guest(guest)
        await ask(self._lanes, found, anew=found.can_speak)
        recover(found)
        ahead_s = now_s - asyncio.get_running_loop().time()
        seen = found.observe(ahead_s=ahead_s if self._ahead_s is None else self._ahead_s)
        if seen is None:
            raise silent(guest)
        return seen

    @property
    def agents(self) -> Mapping[str, Path]:
        """Where Barostat's agents in guests are spoken to: their channels, as of the last look."""
        return {
            name: guest.memory.agent
            for name, guest in self._guests.items()
            if guest.memory is not None and guest.memory.agent is not None
        }

    async def devices(self, guest: str) -> Devices:
        """Ask for one guest's sizes now. What is plugged libvirt learns up to 1 s late.

        Raises:
            UnknownGuestError, UnreachableError, DeadlineError, RefusedError, GuestGoneError.
        """
        found = self._guest(guest)
        found.woken.clear()  # before the question: what changes from here on wakes `changed`
        await ask(self._lanes, found)
        devices = found.devices()
        if devices is None:
            raise silent(guest)
        return devices

    async def request(self, guest: str, wish: Wish) -> None:
        """Note a wish with the guest's device. The same wish again is a nudge.

        Raises:
            RefusedError: the devices cannot take it, or the guest is being moved.
            DeadlineError: whether it was noted is not known.
            UnknownGuestError, UnreachableError, GuestGoneError.
        """
        found = self._guest(guest)
        if found.run_state is RunState.MIGRATING:
            raise RefusedError(
                f'VM "{guest}" is being migrated, saved or restored',
                hint="wait until that is over; nothing was changed",
            )
        before_bytes = found.target_bytes
        if isinstance(wish, BalloonWish):
            found.target_bytes = None  # without an answer it stays unknown
        try:
            await self._call(guest, partial(send_wish, name=guest, wish=wish))
        except RefusedError:
            found.target_bytes = before_bytes
            raise
        if isinstance(wish, BalloonWish):
            found.target_bytes = wish.target_bytes
        found.doubt()

    async def ask_guest_agent(
        self, guest: str, command: str, arguments: Mapping[str, object], *, timeout_s: float
    ) -> object:
        """Have qemu-guest-agent in a guest run one command, through libvirt's channel to it.

        libvirt takes whole seconds, and may wait for an agent that was silent before for 10 s,
        whatever it is told: so agents have lanes of their own, and only a few may be late.

        Raises:
            RefusedError: there is no agent, or it does not allow that.
            UnknownGuestError, UnreachableError, DeadlineError, GuestGoneError.
        """
        if self._guest(guest).run_state not in UNDISTURBED:
            raise no_agent(guest, "it is paused or being moved")
        lane = f"{guest}/agent"  # no domain has such a name
        self._late_agents = {late for late in self._late_agents if self._lanes.late(late)}
        if len(self._late_agents) >= LATE_AGENTS:
            raise no_agent(guest, f"libvirt still waits for {LATE_AGENTS} others")
        whole_s = math.ceil(timeout_s)
        work = partial(
            Line.ask_agent, name=guest, command=command, arguments=arguments, timeout_s=whole_s
        )
        try:
            return await self._lanes.call(work, lane=lane, deadline_s=whole_s + LATE_S)
        except DeadlineError as error:
            self._late_agents.add(lane)
            raise silent_agent(guest, command) from error

    async def changed(self, guest: str, *, timeout_s: float) -> bool:
        """Wait until libvirt tells of a new size since the sizes were last asked for, or the end.

        It tells at once, but at most once a second of each kind of change.

        Raises:
            UnknownGuestError
        """
        found = self._guest(guest)
        try:
            async with asyncio.timeout(timeout_s):
                await found.woken.wait()
        except TimeoutError:
            return False
        return True

    async def limit(self, guest: str, limit_bytes: int | None, *, hard: bool) -> None:
        """Limit what a domain's QEMU holds while it runs; None takes the limit away.

        Raises:
            RefusedError: libvirt made no cgroup for it, or the limit cannot be set.
            UnreachableError, DeadlineError, GuestGoneError.
        """
        await self._call(
            guest, partial(limit_memory, name=guest, limit_bytes=limit_bytes, hard=hard)
        )

    def settings_of(self, guest: GuestObservation) -> MemorySettings | None:
        """Say what the metadata of a guest that runs sets, as of the last look.

        Raises:
            SettingsError: what stands there cannot be used.
        """
        found = self._guests.get(guest.name)
        memory = None if found is None else found.memory
        if memory is None:
            return None
        if memory.settings_faults:
            raise settings_fault(guest.name, memory.settings_faults)
        if memory.settings is None:
            return None
        return memory.settings.resolve(
            boot_bytes=guest.devices.boot_bytes, ceiling_bytes=guest.devices.ceiling_bytes
        )

    def place_of(self, guest: str) -> str:
        """Say in which domain's metadata a VM's settings stand."""
        return f'metadata of domain "{guest}" at {self.uri}'

    async def read(self, guest: str) -> SettingsFile | None:
        """Read a domain's settings: those in force if it runs, otherwise those of its next start.

        Raises:
            SettingsError: what stands there cannot be used.
            UnknownGuestError, UnreachableError, DeadlineError, RefusedError.
        """
        return await self._call(guest, partial(read_metadata, name=guest))

    async def write(
        self, guest: str, settings: SettingsFile | None, *, before: SettingsFile | None
    ) -> None:
        """Write a domain's settings, for now and for its next start; None takes them away.

        Raises:
            ConflictError: something else than `before` stands there by now; it was left alone.
            UnknownGuestError, UnreachableError, DeadlineError, RefusedError.
        """
        work = partial(write_metadata, name=guest, settings=settings, before=before)
        await self._call(guest, work)
        if guest in self._guests:
            self._guests[guest].doubt()

    async def powered_off(self) -> tuple[str, ...]:
        """Name the domains that are defined and do not run.

        Raises:
            UnreachableError, DeadlineError, RefusedError.
        """
        return await self._call("", powered_off)

    async def domain_xml(self, name: str, *, inactive: bool = False) -> str:
        """Read a domain's XML.

        Args:
            name: the domain.
            inactive: that of its next start, fit to be defined again: with passwords in it.

        Raises:
            UnknownGuestError, UnreachableError, DeadlineError, RefusedError.
        """
        return await self._call(name, partial(read_xml, name=name, inactive=inactive))

    async def startup(self, name: str) -> Startup:
        """Say what a domain takes at its next start.

        Raises:
            UnknownGuestError, UnreachableError, DeadlineError, RefusedError.
        """
        return read_startup(await self.domain_xml(name, inactive=True), guest=name)

    async def define(self, xml: str) -> None:
        """Define a domain, or define it anew for its next start.

        Raises:
            RefusedError: libvirt cannot take it; nothing was changed.
            UnreachableError, DeadlineError.
        """
        await self._call("", partial(define, xml=xml))

    async def versions(self) -> tuple[str, str]:
        """Say the versions of libvirt and of its hypervisor, as "9.0.0".

        Raises:
            UnreachableError, DeadlineError, RefusedError.
        """
        return await self._call("", versions)

    async def _call(self, lane: str, work: Callable[[Line], T]) -> T:
        if lane:
            return await self._lanes.call(work, lane=lane, deadline_s=self._deadline_s)
        return await self._lanes.finish(self._lanes.start(work), deadline_s=self._deadline_s)

    async def close(self) -> None:
        """Let go of every guest. Guests keep what they have."""
        self._guests.clear()
        await self._link.close()
        await self._lanes.close()
