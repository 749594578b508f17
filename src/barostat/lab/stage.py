"""Where a scenario is played: real guests or simulated ones, behind one small face."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from barostat.config.settings_store import SettingsStore
from barostat.hypervisors.base import Hypervisor
from barostat.lab.scenario import ScenarioGuest, Step

__all__ = ["Stage"]


class Stage(Protocol):
    """A place that can boot a scenario's guests and run their workloads."""

    @property
    def hypervisor(self) -> Hypervisor:
        """The way by which Barostat sees and resizes the guests."""
        ...

    @property
    def settings(self) -> SettingsStore:
        """Where the settings of the guests that were booted stand."""
        ...

    @property
    def label(self) -> str:
        """What the guests run on, for the report: "tcg", "libvirt/kvm", "simulated"."""
        ...

    async def boot(self, guest: ScenarioGuest) -> None:
        """Boot a guest, wait until its workload reports, and put its settings where they belong."""
        ...

    async def play(self, step: Step) -> None:
        """Tell a guest's workload what to do from now on."""
        ...

    def witness(self, guest: str) -> Mapping[str, float]:
        """Say what the guest itself felt, by its workload's newest report; empty before any."""
        ...

    def check(self) -> None:
        """Raise GuestDiedError if a guest ended by itself."""
        ...
