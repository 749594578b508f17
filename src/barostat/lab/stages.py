"""The stages there are: real guests in QEMU, and simulated ones for a machine without."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict

from barostat.hypervisors.base import Hypervisor
from barostat.hypervisors.qmp import QmpHypervisor
from barostat.hypervisors.simulated import SimulatedHypervisor, SimulatedSpec
from barostat.lab.fleet import Lab, ensure_kit
from barostat.lab.guests import GuestSpec
from barostat.lab.scenario import ScenarioGuest, Step
from barostat.lab.stage import Stage

__all__ = ["guest_spec", "open_stage"]


def guest_spec(guest: ScenarioGuest) -> GuestSpec:
    """Say what to boot for a scenario's guest."""
    return GuestSpec(
        name=guest.name,
        boot_bytes=guest.settings.startup_bytes,
        maximum_bytes=guest.settings.maximum_bytes,
        swap_bytes=guest.swap_bytes,
    )


class RealStage:
    """Real guests in QEMU, seen through their QMP sockets."""

    def __init__(self, lab: Lab, hypervisor: QmpHypervisor) -> None:
        self.lab = lab
        self._hypervisor = hypervisor

    @property
    def hypervisor(self) -> Hypervisor:
        """The way by which Barostat sees and resizes the guests."""
        return self._hypervisor

    @property
    def label(self) -> str:
        """What the guests run on."""
        return self.lab.kit.accelerator.value

    async def boot(self, guest: ScenarioGuest) -> None:
        """Boot a guest and wait until its workload reports."""
        await self.lab.boot(guest_spec(guest))

    async def play(self, step: Step) -> None:
        """Tell a guest's workload what to do from now on."""
        guest = self.lab.guests[step.guest]
        if step.use_bytes is not None:
            await guest.hold(step.use_bytes, hot=step.hot)
        if step.cache_bytes is not None:
            await guest.cache(step.cache_bytes)

    def witness(self, guest: str) -> Mapping[str, float]:
        """Say what the guest itself felt, by its workload's newest report; empty before any."""
        found = self.lab.guests.get(guest)
        return {} if found is None or found.witness is None else asdict(found.witness)

    def check(self) -> None:
        """Raise GuestDiedError if a guest ended by itself."""
        self.lab.check()


class SimulatedStage:
    """Guests that never were, on the event loop's own clock."""

    def __init__(self) -> None:
        self._hypervisor = SimulatedHypervisor(asyncio.get_running_loop().time)

    @property
    def hypervisor(self) -> Hypervisor:
        """The way by which Barostat sees and resizes the guests."""
        return self._hypervisor

    @property
    def label(self) -> str:
        """What the guests run on."""
        return "simulated"

    async def boot(self, guest: ScenarioGuest) -> None:
        """Power a guest on and wait until its driver would speak."""
        spec = SimulatedSpec(
            name=guest.name,
            boot_bytes=guest.settings.startup_bytes,
            maximum_bytes=guest.settings.maximum_bytes,
            swap_bytes=guest.swap_bytes,
        )
        self._hypervisor.add(spec)
        await asyncio.sleep(spec.boot_s)

    async def play(self, step: Step) -> None:
        """Tell a guest's workload what to do from now on."""
        guest = self._hypervisor.guests[step.guest]
        if step.use_bytes is not None:
            guest.use(step.use_bytes, hot_ratio=step.hot)
        if step.cache_bytes is not None:
            guest.read(step.cache_bytes)

    def witness(self, guest: str) -> Mapping[str, float]:
        """Say what the guest felt, by the names that a real guest's workload uses."""
        found = self._hypervisor.guests.get(guest)
        if found is None:
            return {}
        memory = found.memory
        return {
            "held_bytes": memory.held_bytes,
            "wished_bytes": memory.wanted_bytes,
            "total_bytes": memory.total_bytes,
            "available_bytes": memory.available_bytes,
            "swap_in_bytes": memory.swap_in_bytes,
            "swap_out_bytes": memory.swap_out_bytes,
            "oom_kills": memory.oom_kills,
            "stalled_us": int(memory.stalled_s * 1e6),
        }

    def check(self) -> None:
        """Find nothing: a simulated guest ends only when it is told to."""


@asynccontextmanager
async def open_stage(*, simulated: bool, say: Callable[[str], None]) -> AsyncIterator[Stage]:
    """Set up a stage and take it down again, whatever happens.

    Args:
        simulated: guests that never were, for a machine without QEMU.
        say: told what is being prepared, in lines.
    """
    if simulated:
        yield SimulatedStage()
        return
    kit = await asyncio.to_thread(ensure_kit, progress=say)
    async with Lab((), kit=kit) as lab:
        hypervisor = QmpHypervisor(directory=lab.folder)
        try:
            yield RealStage(lab, hypervisor)
        finally:
            await hypervisor.close()
