"""A balancer over simulated guests, on the event loop's own, fast-forwarded time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest_asyncio

from barostat.core.settings import MemorySettings
from barostat.engine.act import Outcome
from barostat.engine.lane import Pace
from barostat.engine.loop import Balancer, Tick
from barostat.engine.observe import FixedCapacity, FixedSettings
from barostat.guest.base import Insight
from barostat.hypervisors.simulated import Character, SimulatedGuest, SimulatedHypervisor
from barostat.hypervisors.simulated_spec import SimulatedSpec
from barostat.units import GIB, MIB

BOOT_BYTES = 512 * MIB
MAXIMUM_BYTES = 2 * GIB


@dataclass
class Host:
    """A simulated host: its guests, and what the balancer told."""

    hypervisor: SimulatedHypervisor
    settings: dict[str, MemorySettings] = field(default_factory=dict)
    ticks: list[Tick] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)

    def add(
        self, name: str, *, character: Character = Character.IDEAL, weight: int = 5000
    ) -> SimulatedGuest:
        """Power on a guest of 512 MiB that may have 128 MiB to 2 GiB."""
        self.settings[name] = MemorySettings(
            startup_bytes=BOOT_BYTES,
            minimum_bytes=128 * MIB,
            maximum_bytes=MAXIMUM_BYTES,
            weight=weight,
        )
        spec = SimulatedSpec(
            name=name,
            boot_bytes=BOOT_BYTES,
            maximum_bytes=MAXIMUM_BYTES,
            character=character,
            boot_s=0.5,
        )
        return self.hypervisor.add(spec)

    def balancer(
        self,
        capacity_bytes: int,
        *,
        moving: bool = True,
        pace: Pace | None = None,
        insight: Insight | None = None,
    ) -> Balancer:
        """Make a balancer that tells this host what it does."""
        loop = asyncio.get_running_loop()
        return Balancer(
            self.hypervisor,
            FixedSettings(self.settings),
            FixedCapacity(capacity_bytes),
            on_tick=self.ticks.append,
            on_outcome=self.outcomes.append,
            moving=moving,
            clock=loop.time,
            pace=pace or Pace(),
            insight=insight,
        )

    async def run(
        self,
        balancer: Balancer,
        seconds: float,
        at: Mapping[float, Callable[[], object]] | None = None,
    ) -> None:
        """Balance for so long, doing things at given seconds."""
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(balancer.run(stop))
            passed_s = 0.0
            for at_s, act in sorted((at or {}).items()):
                await asyncio.sleep(at_s - passed_s)
                passed_s = at_s
                act()
            await asyncio.sleep(seconds - passed_s)
            stop.set()

    def size_of(self, name: str) -> int:
        """Say what a guest has."""
        return self.hypervisor.guests[name].devices().assigned_bytes


@pytest_asyncio.fixture
async def host() -> Host:
    """An empty host, on the running loop's own time."""
    return Host(SimulatedHypervisor(asyncio.get_running_loop().time))
