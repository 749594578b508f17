"""Guests that never were, for demos, tests and benchmarks without QEMU. Deterministic.

Behaves as real guests do behind QMP: wishes are only noted, sizes follow as the clock moves, a
guest that hangs is reported as last seen, one that dies is gone. Nothing moves but when the clock
does, and each guest catches up with it only when it is asked for, so that ten thousand are cheap.
"""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from barostat.core.observation import Devices, GuestObservation
from barostat.errors import (
    DeadlineError,
    GuestGoneError,
    HypervisorError,
    InputError,
    UnknownGuestError,
)
from barostat.hypervisors.base import Wish
from barostat.hypervisors.guest_agent import no_agent
from barostat.hypervisors.refusals import check_wish
from barostat.hypervisors.simulated_guest import SimulatedGuest
from barostat.hypervisors.simulated_spec import Character, SimulatedSpec

__all__ = ["Character", "SimulatedGuest", "SimulatedHypervisor", "SimulatedSpec"]

LOOK_EVERY_S: Final = 0.02
"""How often `changed` looks whether the clock has moved something."""

SHORTEST_WAIT_S: Final = 1e-6
"""A wait for less than a clock can show would never end."""


class SimulatedHypervisor:
    """Simulated guests behind the `Hypervisor` protocol.

    Args:
        clock: monotonic seconds; the same clock that `observe` is told.
        seed: what chance there is comes from it.
    """

    def __init__(self, clock: Callable[[], float], *, seed: int = 0) -> None:
        self._clock = clock
        self._seed = seed
        self._guests: dict[str, SimulatedGuest] = {}

    @property
    def faults(self) -> Mapping[str, HypervisorError]:
        """Nothing: what is not answering is still seen."""
        return {}

    @property
    def guests(self) -> Mapping[str, SimulatedGuest]:
        """The guests by name."""
        return self._guests

    def add(self, spec: SimulatedSpec) -> SimulatedGuest:
        """Power a guest on.

        Raises:
            InputError: there is one of that name already.
        """
        if spec.name in self._guests and not self._guests[spec.name].dead:
            raise InputError(
                f'there is a simulated guest "{spec.name}" already', hint="give it another name"
            )
        guest = SimulatedGuest(spec, clock=self._clock, seed=self._seed)
        self._guests[spec.name] = guest
        return guest

    async def observe(self, *, now_s: float) -> Sequence[GuestObservation]:
        """Look at every guest; one that hung before it was ever seen is left out."""
        gone = [name for name, guest in self._guests.items() if guest.dead]
        for name in gone:
            del self._guests[name]
        return [
            guest.observe(now_s=now_s)
            for guest in self._guests.values()
            if not guest.hangs or guest.seen is not None
        ]

    async def look(self, guest: str, *, now_s: float) -> GuestObservation:
        """Look at one guest now.

        Raises:
            UnknownGuestError, GuestGoneError: there is no such guest, or no longer.
            DeadlineError: it hangs.
        """
        return self._answering(guest).observe(now_s=now_s)

    @property
    def agents(self) -> Mapping[str, Path]:
        """Where agents are spoken to: nobody runs in a guest that never was."""
        return {}

    async def devices(self, guest: str) -> Devices:
        """Ask for one guest's sizes now.

        Raises:
            UnknownGuestError, GuestGoneError: there is no such guest, or no longer.
            DeadlineError: it hangs.
        """
        found = self._answering(guest)
        found.advance()
        return found.devices()

    async def request(self, guest: str, wish: Wish) -> None:
        """Note a wish with the guest's device.

        Raises:
            UnknownGuestError, GuestGoneError: there is no such guest, or no longer.
            DeadlineError: it hangs.
            RefusedError: its devices cannot take the wish.
        """
        found = self._answering(guest)
        check_wish(guest, found.told or found.devices(), wish)
        found.request(wish)

    async def ask_guest_agent(
        self,
        guest: str,
        command: str,  # noqa: ARG002 - whatever it is
        arguments: Mapping[str, object],  # noqa: ARG002
        *,
        timeout_s: float,  # noqa: ARG002 - it is refused at once
    ) -> object:
        """Refuse: no agent runs in a guest that never was.

        Raises:
            RefusedError
            UnknownGuestError, GuestGoneError: there is no such guest, or no longer.
            DeadlineError: it hangs.
        """
        self._answering(guest)
        raise no_agent(guest, "it is simulated")

    async def changed(self, guest: str, *, timeout_s: float) -> bool:
        """Wait until one of the guest's sizes changed, or the guest ended; False on time-out.

        The time-out is the event loop's; sizes change as the simulation's clock moves. A guest
        that plugs in no time changes all the time: nobody is woken for every block of it.

        Raises:
            UnknownGuestError: there is no such guest.
        """
        found = self._find(guest)
        loop = asyncio.get_running_loop()
        until_s = loop.time() + timeout_s
        while (left_s := until_s - loop.time()) >= SHORTEST_WAIT_S:
            await asyncio.sleep(min(LOOK_EVERY_S, left_s))
            if self._moved(found):
                return True
        return False

    def _moved(self, guest: SimulatedGuest) -> bool:
        """Say whether its sizes are others than those last told, or it has ended."""
        if guest.dead:
            return True
        before = guest.told
        if guest.hangs or before is None:
            return False
        guest.advance()
        now, guest.told = guest.devices(), before
        return _sizes(now) != _sizes(before)

    def _find(self, name: str) -> SimulatedGuest:
        guest = self._guests.get(name)
        if guest is not None:
            return guest
        near = difflib.get_close_matches(name, self._guests, n=1)
        raise UnknownGuestError(
            f'no VM "{name}" is known', hint=f'did you mean "{near[0]}"?' if near else ""
        )

    def _answering(self, name: str) -> SimulatedGuest:
        guest = self._find(name)
        if guest.dead:
            raise GuestGoneError(f'VM "{name}" has ended')
        if guest.hangs:
            raise DeadlineError(f'VM "{name}" does not answer', hint="it was told to hang")
        return guest

    async def close(self) -> None:
        """Let go of every guest: there is nothing to let go of, and guests keep what they have."""


def _sizes(devices: Devices) -> tuple[int, ...]:
    return (devices.balloon_actual_bytes, *(plug.size_bytes for plug in devices.plugs))
