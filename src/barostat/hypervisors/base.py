"""The one way to a guest, whatever runs it. Every hypervisor passes the same contract tests.

A hypervisor reports and relays; it decides nothing. A request that succeeds is only a wish noted:
what the guest really has is what `observe` or `devices` says later. No call waits for a guest
longer than its deadline, and a guest that hangs never delays another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from barostat.core.observation import Devices, GuestObservation
from barostat.errors import HypervisorError

__all__ = ["BalloonWish", "Hypervisor", "PlugWish", "Startup", "Wish"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BalloonWish:
    """Ask the balloon to leave `target_bytes` of the base RAM (QMP `balloon`)."""

    target_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlugWish:
    """Ask a virtio-mem device to have `requested_bytes` plugged (QMP `qom-set requested-size`)."""

    device: str
    requested_bytes: int


Wish = BalloonWish | PlugWish


@dataclass(frozen=True, slots=True, kw_only=True)
class Startup:
    """What a VM takes when it starts.

    Attributes:
        size_bytes: all of its boot RAM, until its balloon driver is there, and what is to be
            plugged at once; 0 of one whose memory is made of hugepages, which are set apart.
        weight: its settings'; the default without, or with such as cannot be used.
    """

    size_bytes: int
    weight: int


class Hypervisor(Protocol):
    """Guests of one kind, seen and resized."""

    @property
    def faults(self) -> Mapping[str, HypervisorError]:
        """Why something that should be a guest, or a whole connection, is not seen; by name.

        As of the last look. A guest that is seen as UNREACHABLE is among them too.
        """
        ...

    async def observe(self, *, now_s: float) -> Sequence[GuestObservation]:
        """Look at every guest at once, each within its own deadline.

        A guest that does not answer is reported UNREACHABLE with the devices last seen; one that
        never answered is left out; one that ended is gone from the answer.

        Args:
            now_s: the caller's monotonic clock; stamps of the answer are on it.
        """
        ...

    async def look(self, guest: str, *, now_s: float) -> GuestObservation:
        """Look at one guest that was observed before, now, and have it say what it needs.

        Args:
            guest: whom.
            now_s: the caller's monotonic clock; stamps of the answer are on it.

        Raises:
            UnknownGuestError, UnreachableError, DeadlineError, RefusedError, GuestGoneError.
        """
        ...

    @property
    def agents(self) -> Mapping[str, Path]:
        """Where Barostat's agents in guests are spoken to: sockets, by guest, as last looked."""
        ...

    async def devices(self, guest: str) -> Devices:
        """Ask for one guest's sizes now.

        Raises:
            UnknownGuestError, UnreachableError, DeadlineError, GuestGoneError.
        """
        ...

    async def request(self, guest: str, wish: Wish) -> None:
        """Note a wish with the guest's device. The same wish again is a nudge.

        Raises:
            UnknownGuestError, UnreachableError, DeadlineError, RefusedError, GuestGoneError.
        """
        ...

    async def ask_guest_agent(
        self, guest: str, command: str, arguments: Mapping[str, object], *, timeout_s: float
    ) -> object:
        """Have qemu-guest-agent in a guest run one command, and give what it returns.

        Nobody else waits for it. What it returns is the guest's word, and can be anything.

        Raises:
            RefusedError: there is no agent, or it does not allow that.
            UnknownGuestError, UnreachableError, DeadlineError, GuestGoneError.
        """
        ...

    async def changed(self, guest: str, *, timeout_s: float) -> bool:
        """Wait until one of the guest's sizes changed, or the guest ended; False on time-out."""
        ...

    async def close(self) -> None:
        """Let go of every guest. Guests keep what they have."""
        ...
