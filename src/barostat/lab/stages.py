"""The stages there are: real guests in QEMU or under libvirt, and simulated ones.

On a real stage a guest's settings stand where an operator's would: in a file beside its socket, or
in its domain's metadata.
"""

from __future__ import annotations

import asyncio
import enum
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import assert_never

from barostat.config.settings_file import SettingsFolder, SettingsPatch, write_settings
from barostat.config.settings_store import SettingsStore
from barostat.hypervisors.base import Hypervisor
from barostat.hypervisors.qmp import QmpHypervisor
from barostat.hypervisors.simulated import SimulatedHypervisor, SimulatedSpec
from barostat.lab.fleet import Lab, ensure_kit
from barostat.lab.guests import GuestSpec
from barostat.lab.scenario import ScenarioGuest, Step
from barostat.lab.stage import Stage

__all__ = ["RealStage", "SimulatedStage", "StageKind", "guest_spec", "open_stage"]


class StageKind(enum.Enum):
    """What stands between Barostat and the guests."""

    QMP = "qmp"
    LIBVIRT = "libvirt"
    SIMULATED = "simulated"


def guest_spec(guest: ScenarioGuest) -> GuestSpec:
    """Say what to boot for a scenario's guest."""
    return GuestSpec(
        name=guest.name,
        boot_bytes=guest.settings.startup_bytes,
        maximum_bytes=guest.settings.maximum_bytes,
        swap_bytes=guest.swap_bytes,
    )


class RealStage:
    """Real guests.

    Args:
        lab: boots them.
        hypervisor: the way by which Barostat sees and resizes them.
        store: where their settings stand.
    """

    def __init__(self, lab: Lab, hypervisor: Hypervisor, store: SettingsStore) -> None:
        self.lab = lab
        self.hypervisor = hypervisor
        self.settings = store

    @property
    def label(self) -> str:
        """What the guests run on."""
        accelerator = self.lab.kit.accelerator.value
        return accelerator if self.lab.libvirtd is None else f"libvirt/{accelerator}"

    async def boot(self, guest: ScenarioGuest) -> None:
        """Boot a guest, wait until its workload reports, and put its settings where they belong."""
        await self.lab.boot(guest_spec(guest))
        written = SettingsPatch(**asdict(guest.settings)).applied_to(None)
        await self.settings.write(guest.name, written, before=None)

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
    """Guests that never were, on the event loop's own clock.

    Args:
        folder: where their settings stand.
    """

    def __init__(self, folder: Path) -> None:
        self._hypervisor = SimulatedHypervisor(asyncio.get_running_loop().time)
        self.settings = SettingsFolder(folder)

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
        write_settings(self.settings.folder / f"{guest.name}.toml", guest.settings)
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
async def open_stage(kind: StageKind, *, say: Callable[[str], None]) -> AsyncIterator[Stage]:
    """Set up a stage and take it down again, whatever happens.

    Args:
        kind: what stands between Barostat and the guests.
        say: told what is being prepared, in lines.

    Raises:
        LabError: guests cannot be booted here.
        InputError: libvirt's Python binding is missing.
    """
    match kind:
        case StageKind.QMP:
            stage = _qmp_stage(say)
        case StageKind.LIBVIRT:
            stage = _libvirt_stage(say)
        case StageKind.SIMULATED:
            with tempfile.TemporaryDirectory(prefix="barostat-lab-") as folder:
                yield SimulatedStage(Path(folder))
            return
        case _:
            assert_never(kind)
    async with stage as opened:
        yield opened


@asynccontextmanager
async def _qmp_stage(say: Callable[[str], None]) -> AsyncIterator[Stage]:
    kit = await asyncio.to_thread(ensure_kit, progress=say)
    async with Lab((), kit=kit) as lab:
        hypervisor = QmpHypervisor(directory=lab.folder)
        try:
            yield RealStage(lab, hypervisor, SettingsFolder(lab.folder))
        finally:
            await hypervisor.close()


@asynccontextmanager
async def _libvirt_stage(say: Callable[[str], None]) -> AsyncIterator[Stage]:
    from barostat.hypervisors.libvirt import LibvirtHypervisor  # noqa: PLC0415 - an extra, and slow

    kit = await asyncio.to_thread(ensure_kit, progress=say, libvirt=True)
    async with Lab((), kit=kit, libvirt=True) as lab:
        hypervisor = LibvirtHypervisor(lab.uri)
        try:
            yield RealStage(lab, hypervisor, hypervisor)
        finally:
            await hypervisor.close()
