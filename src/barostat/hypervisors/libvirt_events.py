"""What libvirt tells by itself of all domains, handed over to the loop of whoever listens.

Events are hints: what they say is asked for afterwards, and what they did not say is found out by
asking now and then. A connection of its own carries them, so that no call can hold them up. A kind
that a driver or an older libvirt does not know is done without. Callbacks run in libvirt's thread
and must not call libvirt.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
from collections.abc import Callable
from typing import Any, Self

from barostat.hypervisors.libvirt_api import libvirt
from barostat.hypervisors.libvirt_line import Line

__all__ = ["Ear", "Heard"]


class Heard(enum.Enum):
    """What happened to a domain."""

    STOPPED = "stopped"  # paused
    RESUMED = "resumed"
    PANICKED = "panicked"
    ENDED = "ended"
    RESET = "reset"
    RESIZED = "resized"  # its balloon, a virtio-mem device, or which devices it has
    MOVED = "moved"  # a migration, save or dump goes on or is over
    SETTINGS = "settings"  # its metadata


Hear = Callable[[str, Heard], None]


class Ear:
    """A connection that was opened by `Ear.open`, and its subscriptions."""

    def __init__(
        self,
        line: Line,
        loop: asyncio.AbstractEventLoop,
        hear: Hear,
        lost: Callable[[], None],
    ) -> None:
        self._line = line
        self._loop = loop
        self._hear = hear
        self._lost = lost
        self._subscriptions: list[int] = []

    @classmethod
    def open(
        cls, uri: str, loop: asyncio.AbstractEventLoop, *, hear: Hear, lost: Callable[[], None]
    ) -> Self:
        """Connect and subscribe. Blocks, so it belongs in a worker thread.

        Args:
            uri: whose domains.
            loop: where `hear` and `lost` are called.
            hear: is told of a domain's name and what happened to it.
            lost: is told when the connection has ended.

        Raises:
            UnreachableError
        """
        ear = cls(Line.open(uri), loop, hear, lost)
        connection = ear._line.connection
        with contextlib.suppress(libvirt.libvirtError):
            connection.registerCloseCallback(ear._closed, None)
        for event, what in _subjects():
            with contextlib.suppress(libvirt.libvirtError):
                number = connection.domainEventRegisterAny(None, event, ear._heard, what)
                ear._subscriptions.append(number)
        return ear

    @property
    def alive(self) -> bool:
        """Whether the connection stands."""
        return self._line.alive

    def close(self) -> None:
        """Unsubscribe and let go of the connection, which its callbacks hold open."""
        connection = self._line.connection
        with contextlib.suppress(libvirt.libvirtError):
            connection.unregisterCloseCallback()
        for number in self._subscriptions:
            with contextlib.suppress(libvirt.libvirtError):
                connection.domainEventDeregisterAny(number)
        self._line.close()

    def _heard(self, _connection: object, domain: Any, *details: Any) -> None:
        *said, what = details
        found = what if what is not None else _of_life(said[0])
        if found is not None:
            self._hand_over(self._hear, domain.name(), found)

    def _closed(self, _connection: object, _reason: int, _opaque: object) -> None:
        self._hand_over(self._lost)

    def _hand_over(self, told: Callable[..., None], *what: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(told, *what)


def _subjects() -> tuple[tuple[int, Heard | None], ...]:
    """Name the events to hear of, and what each means; None: its own details tell."""
    return (
        (libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, None),
        (libvirt.VIR_DOMAIN_EVENT_ID_REBOOT, Heard.RESET),
        (libvirt.VIR_DOMAIN_EVENT_ID_BALLOON_CHANGE, Heard.RESIZED),
        (libvirt.VIR_DOMAIN_EVENT_ID_MEMORY_DEVICE_SIZE_CHANGE, Heard.RESIZED),
        (libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, Heard.RESIZED),
        (libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, Heard.RESIZED),
        (libvirt.VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION, Heard.MOVED),
        (libvirt.VIR_DOMAIN_EVENT_ID_JOB_COMPLETED, Heard.MOVED),
        (libvirt.VIR_DOMAIN_EVENT_ID_METADATA_CHANGE, Heard.SETTINGS),
    )


def _of_life(event: int) -> Heard | None:
    return {
        libvirt.VIR_DOMAIN_EVENT_SUSPENDED: Heard.STOPPED,
        libvirt.VIR_DOMAIN_EVENT_RESUMED: Heard.RESUMED,
        libvirt.VIR_DOMAIN_EVENT_CRASHED: Heard.PANICKED,
        libvirt.VIR_DOMAIN_EVENT_STOPPED: Heard.ENDED,
    }.get(event)
