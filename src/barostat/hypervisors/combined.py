"""Several hypervisors as one, and the places of their settings as one.

Guests are told apart by name. Where two members see the same name, the one that had it keeps it;
the other guest is counted and shown as NAME@MEMBER and held, because its memory is as real. A
member that fails to look or is late hides no other: its guests are told as last seen, unreachable.
"""

from __future__ import annotations

import asyncio
import difflib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from barostat.config.settings_file import SettingsFile
from barostat.config.settings_store import SettingsStore
from barostat.core.observation import Devices, GuestObservation
from barostat.core.settings import MemorySettings
from barostat.errors import HypervisorError, SettingsError, UnknownGuestError
from barostat.hypervisors.base import Startup, Wish
from barostat.hypervisors.member import Member, Watch

__all__ = ["Combined"]

CLOSE_S: Final = 2.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Route:
    """Whose guest a name is, and what it is called there."""

    watch: Watch
    name: str


class Combined:
    """Several hypervisors as one; also where the settings of their guests stand.

    Args:
        members: at least one, in the order in which they come by names; each with a label of its
            own.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        self._watches = [Watch(member) for member in members]
        self._routes: dict[str, _Route] = {}
        self._doubles: dict[str, SettingsError] = {}

    @property
    def faults(self) -> Mapping[str, HypervisorError]:
        """Why something that should be a guest, or a whole member, is not seen; by name."""
        found: dict[str, HypervisorError] = {}
        for watch in self._watches:
            for name, fault in watch.member.hypervisor.faults.items():
                found[self._shown(watch, name)] = fault
            if watch.fault is not None:
                found.setdefault(watch.member.label, watch.fault)
        doubles = {
            name: HypervisorError(error.message, hint=error.hint)
            for name, error in self._doubles.items()
        }
        return found | doubles

    def _shown(self, watch: Watch, name: str) -> str:
        route = self._routes.get(name)
        return name if route is None or route.watch is watch else _double(watch, name)

    async def observe(self, *, now_s: float) -> Sequence[GuestObservation]:
        """Look at the guests of every member, side by side."""
        await asyncio.gather(*(watch.look(now_s) for watch in self._watches))
        return self._told_apart()

    def _told_apart(self) -> list[GuestObservation]:
        before, self._routes = self._routes, {}
        guests: list[GuestObservation] = []
        by_name: dict[str, list[tuple[Watch, GuestObservation]]] = {}
        for watch in self._watches:
            for guest in watch.seen:
                by_name.setdefault(guest.name, []).append((watch, guest))
        self._doubles = {}
        for name, found in by_name.items():
            owner = _owner(before.get(name), [watch for watch, _ in found])
            for watch, guest in found:
                shown = name if watch is owner else _double(watch, name)
                self._routes[shown] = _Route(watch=watch, name=name)
                if watch is not owner:
                    self._doubles[shown] = _double_fault(name, watch, found)
                guests.append(guest if shown == name else replace(guest, name=shown))
        return guests

    async def look(self, guest: str, *, now_s: float) -> GuestObservation:
        """Look at one guest now; raises as its hypervisor does."""
        route = self._route(guest)
        seen = await route.watch.member.hypervisor.look(route.name, now_s=now_s)
        return seen if seen.name == guest else replace(seen, name=guest)

    @property
    def agents(self) -> Mapping[str, Path]:
        """Where Barostat's agents in guests are spoken to, by guest, as of the last look."""
        return {
            shown: sockets[route.name]
            for shown, route in self._routes.items()
            if route.name in (sockets := route.watch.member.hypervisor.agents)
        }

    async def devices(self, guest: str) -> Devices:
        """Ask for one guest's sizes now; raises as its hypervisor does."""
        route = self._route(guest)
        return await route.watch.member.hypervisor.devices(route.name)

    async def limit(self, guest: str, limit_bytes: int | None, *, hard: bool) -> bool:
        """Limit what a guest's QEMU holds; raises as its hypervisor does.

        Returns:
            False if its hypervisor does not make cgroups; nothing was changed then.
        """
        route = self._route(guest)
        limiter = route.watch.member.limiter
        if limiter is not None:
            await limiter.limit(route.name, limit_bytes, hard=hard)
        return limiter is not None

    async def request(self, guest: str, wish: Wish) -> None:
        """Note a wish with the guest's device; raises as its hypervisor does."""
        route = self._route(guest)
        await route.watch.member.hypervisor.request(route.name, wish)

    async def ask_guest_agent(
        self, guest: str, command: str, arguments: Mapping[str, object], *, timeout_s: float
    ) -> object:
        """Have qemu-guest-agent in a guest run one command; raises as its hypervisor does."""
        route = self._route(guest)
        return await route.watch.member.hypervisor.ask_guest_agent(
            route.name, command, arguments, timeout_s=timeout_s
        )

    async def changed(self, guest: str, *, timeout_s: float) -> bool:
        """Wait until one of the guest's sizes changed, or the guest ended; False on time-out."""
        route = self._route(guest)
        return await route.watch.member.hypervisor.changed(route.name, timeout_s=timeout_s)

    def _route(self, guest: str) -> _Route:
        route = self._routes.get(guest)
        if route is not None:
            return route
        near = difflib.get_close_matches(guest, self._routes, n=1)
        raise UnknownGuestError(
            f'no VM "{guest}" is known',
            hint=f'did you mean "{near[0]}"?' if near else "`barostat list` shows those that are",
        )

    async def close(self) -> None:
        """Let go of every guest. Guests keep what they have."""
        try:
            async with asyncio.timeout(CLOSE_S):
                await asyncio.gather(*(watch.close() for watch in self._watches))
        except TimeoutError:
            _log.warning("not every hypervisor could be let go of within %g s", CLOSE_S)

    async def powered_off(self) -> tuple[str, ...]:
        """Name the VMs that are known and do not run. Who cannot say now is left out."""
        asked = [watch.member.powered_off for watch in self._watches if watch.member.powered_off]
        answers = await asyncio.gather(*(_named(ask) for ask in asked))
        return tuple(sorted({name for names in answers for name in names}))

    async def startup(self, guest: str) -> Startup | None:
        """Say what a VM takes at its next start; None if nobody who knows it can say.

        Raises:
            HypervisorError
        """
        for watch in self._watches:
            if watch.member.startup is not None:
                try:
                    return await watch.member.startup(guest)
                except UnknownGuestError:
                    continue
        return None

    def settings_of(self, guest: GuestObservation) -> MemorySettings | None:
        """Say what is set for a guest that was just seen, None if nothing is.

        Raises:
            SettingsError: something is set that cannot be used, or the guest has a double.
        """
        double = self._doubles.get(guest.name)
        if double is not None:
            raise double
        return self._route(guest.name).watch.member.settings.settings_of(guest)

    def place_of(self, guest: str) -> str:
        """Say for people where a VM's settings stand."""
        route = self._routes.get(guest)
        watch = self._watches[0] if route is None else route.watch
        return watch.member.settings.place_of(guest if route is None else route.name)

    async def read(self, guest: str) -> SettingsFile | None:
        """Read what was written for a VM, running or not; None if nothing was.

        Raises:
            SettingsError, UnknownGuestError, HypervisorError.
        """
        store, name = await self._store(guest)
        return await store.read(name)

    async def write(
        self, guest: str, settings: SettingsFile | None, *, before: SettingsFile | None
    ) -> None:
        """Write a VM's settings where they stand.

        Raises:
            ConflictError, UnknownGuestError, HypervisorError, InputError: nothing was changed.
        """
        store, name = await self._store(guest)
        await store.write(name, settings, before=before)

    async def _store(self, guest: str) -> tuple[SettingsStore, str]:
        """Find where a VM's settings stand; for one that is off, ask who knows it."""
        double = self._doubles.get(guest)
        if double is not None:
            raise double
        route = self._routes.get(guest)
        if route is not None:
            return route.watch.member.settings, route.name
        for watch in self._watches:
            try:
                await watch.member.settings.read(guest)
            except UnknownGuestError:
                continue
            except SettingsError:
                pass  # what stands there cannot be used, but it is there
            return watch.member.settings, guest
        raise UnknownGuestError(
            f'no VM "{guest}" is known', hint="`barostat list` shows those that are"
        )


async def _named(ask: Callable[[], Awaitable[Sequence[str]]]) -> Sequence[str]:
    try:
        return await ask()
    except HypervisorError:
        return ()  # told among the faults already


def _owner(before: _Route | None, seen_by: Sequence[Watch]) -> Watch | None:
    """Say who has a name: who had it, or else the first.

    When who had it sees it no more, nobody has it for one look: what was under way for that guest
    must come to its end and not reach the other.
    """
    if before is None:
        return seen_by[0]
    return before.watch if before.watch in seen_by else None


def _double(watch: Watch, name: str) -> str:
    return f"{name}@{watch.member.label}"


def _double_fault(
    name: str, watch: Watch, found: Sequence[tuple[Watch, GuestObservation]]
) -> SettingsError:
    others = ", ".join(other.member.label for other, _ in found if other is not watch)
    return SettingsError(
        f'another VM is named "{name}" too ({others or "until just now"}), so this one of '
        f"{watch.member.label} keeps its size",
        hint="give one of them another name",
    )
