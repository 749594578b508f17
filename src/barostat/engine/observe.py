"""From hypervisor, settings and host to one frozen snapshot. Decides nothing, changes nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from barostat.core.observation import GuestObservation, HostObservation, Snapshot
from barostat.core.settings import MemorySettings, setting_faults
from barostat.errors import InputError
from barostat.guest.base import Insight
from barostat.hypervisors.base import Hypervisor

__all__ = [
    "FixedCapacity",
    "FixedSettings",
    "HostSource",
    "SettingsSource",
    "believed",
    "deepened",
    "take_snapshot",
    "to_the_millisecond",
]


class SettingsSource(Protocol):
    """Where the operator's settings of a VM come from."""

    def settings_of(self, guest: GuestObservation) -> MemorySettings | None:
        """Say what was set for a guest, None if nothing was.

        Raises:
            InputError: something was set that cannot be used.
        """
        ...


class HostSource(Protocol):
    """What the box has."""

    async def observe(self, guests: Sequence[GuestObservation]) -> HostObservation:
        """Look at the box now.

        Args:
            guests: those that were just seen on it.

        Raises:
            HostError: it cannot be looked at, and never could be.
        """
        ...


@dataclass(frozen=True, slots=True)
class FixedSettings:
    """Settings given once, by guest."""

    by_guest: Mapping[str, MemorySettings]

    def settings_of(self, guest: GuestObservation) -> MemorySettings | None:
        """Say what was set for a guest, None if nothing was."""
        return self.by_guest.get(guest.name)


@dataclass(frozen=True, slots=True)
class FixedCapacity:
    """A host of which a fixed share may be handed out."""

    capacity_bytes: int

    async def observe(self, guests: Sequence[GuestObservation]) -> HostObservation:  # noqa: ARG002 - whoever they are
        """Say the capacity."""
        return HostObservation(capacity_bytes=self.capacity_bytes)


async def take_snapshot(
    hypervisor: Hypervisor,
    settings: SettingsSource,
    host: HostSource,
    *,
    clock: Callable[[], float],
    paused: bool = False,
    insight: Insight | None = None,
) -> Snapshot:
    """Look at everything once.

    Args:
        hypervisor: whose guests to look at.
        settings: what their operators want.
        host: the box.
        clock: monotonic seconds; the snapshot's moment is when the last guest has answered.
        paused: the operator holds every guest.
        insight: what is heard from inside guests; it is told who is there.
    """
    found = await hypervisor.observe(now_s=clock())
    if insight is not None:
        insight.follow(found)
    guests = [deepened(guest, insight) for guest in found]
    known: dict[str, MemorySettings] = {}
    faults: dict[str, str] = {}
    for guest in guests:
        try:
            wanted = settings.settings_of(guest)
        except InputError as error:
            faults[guest.name] = error.message
            continue
        if wanted is None:
            continue
        broken = setting_faults(wanted, devices_bytes=guest.devices.ceiling_bytes)
        if broken:
            faults[guest.name] = "; ".join(broken)
        else:
            known[guest.name] = wanted
    box = await host.observe(guests)
    return Snapshot(
        now_s=clock(),
        host=box,
        guests=believed(sorted(guests, key=lambda guest: guest.name), box),
        settings=known,
        settings_faults=faults,
        paused=paused,
    )


def believed(
    guests: Sequence[GuestObservation], box: HostObservation
) -> tuple[GuestObservation, ...]:
    """Put what the host sees in the place of what a hypervisor says that cannot be true."""
    counted = box.counted
    if not counted:
        return tuple(guests)
    return tuple(
        guest.counted_at(counted[guest.name]) if guest.name in counted else guest
        for guest in guests
    )


def deepened(guest: GuestObservation, insight: Insight | None) -> GuestObservation:
    """Add to what was seen of a guest what was heard from inside it."""
    return to_the_millisecond(guest if insight is None else insight.deepen(guest))


def to_the_millisecond(guest: GuestObservation) -> GuestObservation:
    """Cut off what of its times is finer: nothing is decided by it, and history is half as large.

    A guest never seems to have spoken later than it did.
    """
    inside = guest.inside
    return replace(
        guest,
        seen_at_s=math.floor(guest.seen_at_s * 1000) / 1000,
        statistics_at_s=math.floor(guest.statistics_at_s * 1000) / 1000,
        inside=inside and replace(inside, at_s=math.floor(inside.at_s * 1000) / 1000),
    )
