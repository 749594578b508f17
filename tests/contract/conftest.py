"""Worlds in which every hypervisor keeps the same contract: guests that never were, and real ones
in QEMU, by themselves or as domains of a libvirt. A world can do to its guests what a hypervisor
must bear: pause, reset, hang, kill.
"""

from __future__ import annotations

import abc
import asyncio
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest
import pytest_asyncio

from barostat.core.observation import Devices, GuestObservation
from barostat.hypervisors.base import BalloonWish, Hypervisor, PlugWish, Wish
from barostat.hypervisors.libvirt import LibvirtHypervisor
from barostat.hypervisors.movers import next_wishes, reachable_bytes
from barostat.hypervisors.qmp import QmpHypervisor
from barostat.hypervisors.simulated import SimulatedHypervisor, SimulatedSpec
from barostat.lab.fleet import Lab, ensure_kit
from barostat.lab.guests import GuestSpec
from barostat.units import GIB, MIB

# Without this pytest-asyncio asks asyncio for the main thread's loop before its first test, asyncio
# makes one, nobody closes it, and the warning fails whichever test the collector comes along in.
asyncio.set_event_loop(None)

PATIENCE_S = 20.0
DEVICE = "vmem0"
"""What tests call the virtio-mem device, whatever it is called."""


class World(abc.ABC):
    """Guests `alpha` and `beta`, booted, at their boot size, and one hypervisor's way to them."""

    names = ("alpha", "beta")
    boot_bytes = 256 * MIB
    maximum_bytes = 1 * GIB
    swap_bytes = 512 * MIB
    device = DEVICE
    hypervisor: Hypervisor

    @abc.abstractmethod
    def now_s(self) -> float:
        """The clock that the hypervisor is told."""

    @abc.abstractmethod
    async def pass_time(self, seconds: float) -> None:
        """Let the guests run for that long."""

    @abc.abstractmethod
    async def reopen(self) -> None:
        """Close the hypervisor and come to the same guests anew."""

    @abc.abstractmethod
    async def power_on(self, name: str) -> None:
        """Start a guest like the others."""

    @abc.abstractmethod
    async def kill(self, name: str) -> None:
        """End a guest as if its process was killed."""

    @abc.abstractmethod
    async def pause(self, name: str) -> None: ...

    @abc.abstractmethod
    async def resume(self, name: str) -> None: ...

    @abc.abstractmethod
    async def reset(self, name: str) -> None: ...

    @abc.abstractmethod
    def hang(self, name: str) -> None:
        """Have a guest's hypervisor stand still."""

    @abc.abstractmethod
    def answer(self, name: str) -> None:
        """Have it go on."""

    async def look(self) -> dict[str, GuestObservation]:
        """Look once."""
        return {seen.name: seen for seen in await self.hypervisor.observe(now_s=self.now_s())}

    async def until(
        self, fits: Callable[[dict[str, GuestObservation]], bool]
    ) -> dict[str, GuestObservation]:
        """Look until what is seen fits."""
        give_up_s = self.now_s() + PATIENCE_S
        while not fits(seen := await self.look()):
            assert self.now_s() < give_up_s, f"still: {seen}"
            await self.pass_time(0.1)
        return seen

    async def ask(self, name: str, *wishes: Wish) -> None:
        """Send wishes."""
        for wish in wishes:
            if isinstance(wish, PlugWish) and wish.device == DEVICE:
                await self.hypervisor.request(name, replace(wish, device=self.device))
            else:
                await self.hypervisor.request(name, wish)

    async def settled(self, name: str, fits: Callable[[Devices], bool]) -> Devices:
        """Ask for a guest's sizes until they fit."""
        give_up_s = self.now_s() + PATIENCE_S
        while not fits(devices := await self.hypervisor.devices(name)):
            assert self.now_s() < give_up_s, f"still: {devices}"
            await self.pass_time(0.05)
        return devices

    async def follow(self, name: str, goal_bytes: int) -> list[Devices]:
        """Send what the movers say until the guest is where they lead; say all sizes on the way."""
        devices = await self.hypervisor.devices(name)
        there_bytes = reachable_bytes(devices, goal_bytes, up=goal_bytes > devices.assigned_bytes)
        way = [devices]
        give_up_s = self.now_s() + PATIENCE_S
        while way[-1].assigned_bytes != there_bytes or next_wishes(way[-1], goal_bytes):
            assert self.now_s() < give_up_s, f"still: {way[-1]}"
            await self.ask(name, *next_wishes(way[-1], goal_bytes))
            await self.pass_time(0.02)
            way.append(await self.hypervisor.devices(name))
        return way

    async def restore(self) -> None:
        """Bring every guest back to its boot size."""
        for name in self.names:
            await self.ask(name, PlugWish(device=DEVICE, requested_bytes=0))
            await self.ask(name, BalloonWish(target_bytes=self.boot_bytes))
            await self.settled(name, lambda now: (now.plugged_bytes, now.balloon_bytes) == (0, 0))


class SimulatedWorld(World):
    """The event loop's time, and what a test adds to it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ahead_s = 0.0
        self.hypervisor: SimulatedHypervisor = SimulatedHypervisor(self.now_s)
        for name in self.names:
            self._add(name)
        self._ahead_s += 10

    def _add(self, name: str) -> None:
        self.hypervisor.add(
            SimulatedSpec(
                name=name,
                boot_bytes=self.boot_bytes,
                maximum_bytes=self.maximum_bytes,
                swap_bytes=self.swap_bytes,
            )
        )

    def now_s(self) -> float:
        return self._loop.time() + self._ahead_s

    async def pass_time(self, seconds: float) -> None:
        self._ahead_s += seconds

    async def reopen(self) -> None:
        await self.hypervisor.close()

    async def power_on(self, name: str) -> None:
        self._add(name)

    async def kill(self, name: str) -> None:
        self.hypervisor.guests[name].die()

    async def pause(self, name: str) -> None:
        self.hypervisor.guests[name].pause()

    async def resume(self, name: str) -> None:
        self.hypervisor.guests[name].resume()

    async def reset(self, name: str) -> None:
        self.hypervisor.guests[name].reset()

    def hang(self, name: str) -> None:
        self.hypervisor.guests[name].stop_answering()

    def answer(self, name: str) -> None:
        self.hypervisor.guests[name].answer()


class RealWorld(World):
    """Real guests; time passes by itself."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self.hypervisor = self.open()

    @abc.abstractmethod
    def open(self) -> Hypervisor:
        """Come to the guests."""

    def now_s(self) -> float:
        return time.monotonic()

    async def pass_time(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def reopen(self) -> None:
        await self.hypervisor.close()
        self.hypervisor = self.open()

    async def power_on(self, name: str) -> None:
        await self._lab.boot(real_spec(name))

    async def kill(self, name: str) -> None:
        guest = self._lab.guests.pop(name)
        os.kill(_pid(self._lab, guest.pid), signal.SIGKILL)
        await guest.stop()

    async def pause(self, name: str) -> None:
        await self._lab.guests[name].qmp("stop")

    async def resume(self, name: str) -> None:
        await self._lab.guests[name].qmp("cont")

    async def reset(self, name: str) -> None:
        await self._lab.guests[name].qmp("set-action", reboot="reset")
        await self._lab.guests[name].qmp("system_reset")

    def hang(self, name: str) -> None:
        os.kill(_pid(self._lab, self._lab.guests[name].pid), signal.SIGSTOP)

    def answer(self, name: str) -> None:
        os.kill(_pid(self._lab, self._lab.guests[name].pid), signal.SIGCONT)


class QmpWorld(RealWorld):
    """Guests behind QMP sockets."""

    def open(self) -> Hypervisor:
        return QmpHypervisor(directory=self._lab.folder)


class LibvirtWorld(RealWorld):
    """Guests that are domains of a libvirtd of the lab's own."""

    device = "virtiomem0"  # libvirt's alias

    def open(self) -> Hypervisor:
        return LibvirtHypervisor(self._lab.uri)


def _pid(lab: Lab, pid: int | None) -> int:
    lab.check()
    assert pid is not None
    return pid


def real_spec(name: str) -> GuestSpec:
    return GuestSpec(
        name=name,
        boot_bytes=World.boot_bytes,
        maximum_bytes=World.maximum_bytes,
        swap_bytes=World.swap_bytes,
    )


@pytest_asyncio.fixture(
    scope="module",
    loop_scope="module",
    params=["simulated", *(pytest.param(how, marks=pytest.mark.lab) for how in ("qmp", "libvirt"))],
)
async def shared_world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """One world for all tests of a module: booting real guests takes seconds."""
    if request.param == "simulated":
        yield SimulatedWorld()
        return
    libvirt = request.param == "libvirt"
    say = logging.getLogger("lab").info
    kit = await asyncio.to_thread(ensure_kit, progress=say, libvirt=libvirt)
    async with Lab([real_spec(name) for name in World.names], kit=kit, libvirt=libvirt) as lab:
        yield LibvirtWorld(lab) if libvirt else QmpWorld(lab)


@pytest_asyncio.fixture(loop_scope="module")
async def world(shared_world: World) -> AsyncIterator[World]:
    """The world with a fresh hypervisor, and every guest at its boot size, now and afterwards."""
    await shared_world.reopen()
    await shared_world.until(lambda seen: set(World.names) <= set(seen))
    yield shared_world
    await shared_world.restore()
    await shared_world.hypervisor.close()
