"""What a host's VMs needed over time, as a forecast looks at it.

A row holds, for each VM, the most that it needed in that time: a host must bear peaks, so what is
said to fit errs to the safe side. Nothing is filled in: a VM that was off needs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from barostat.core.settings import MemorySettings
from barostat.simulator.trace import Floats, Integers, Switches

__all__ = ["DAY_S", "Bounds", "Recorded", "days_of"]

DAY_S: Final = 86_400.0

COVERED_RATIO: Final = 0.75
"""A day of which less was recorded may lack its peak, and is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What VMs may be given, shape [vm] each.

    Attributes:
        minimum_bytes, startup_bytes, maximum_bytes: 0, 0 and infinite where nobody knows them.
        moves: False for a VM that is held at its size: Dynamic Memory is off for it, or paused.
    """

    minimum_bytes: Floats
    startup_bytes: Floats
    maximum_bytes: Floats
    moves: Switches


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A host's history, a row for each moment in which it was looked at.

    Attributes:
        vms: names, shape [vm].
        times_s: when rows begin, rising, in seconds since 1970; shape [row].
        step_s: for how long a row stands.
        demand_bytes: the most that each VM needed; what it had, where it said nothing; NaN while
            it was off. Shape [row, vm].
        assigned_bytes: what each had, as `demand_bytes`.
        said: where the demand is the VM's own word.
        capacity_bytes: what the host may hand out now.
        settings: the newest that are known, by VM; None for a VM that has none. What is not in it
            is not known.
        devices_bytes: the most that each VM's devices allow, by VM.
        unsettled: why no settings are known; blank if they are.
    """

    vms: tuple[str, ...]
    times_s: Floats
    step_s: float
    demand_bytes: Floats
    assigned_bytes: Floats
    said: Switches
    capacity_bytes: float
    settings: Mapping[str, MemorySettings | None] = field(default_factory=dict)
    devices_bytes: Mapping[str, int] = field(default_factory=dict)
    unsettled: str = ""

    @property
    def end_s(self) -> float:
        """When the last row ends."""
        return float(self.times_s[-1]) + self.step_s

    @property
    def recent(self) -> Switches:
        """Which rows are of the last 24 hours, shape [row]."""
        rows: Switches = self.times_s >= self.end_s - DAY_S
        return rows

    @property
    def here(self) -> Integers:
        """The places of the VMs that ran in the last 24 hours."""
        on = ~np.isnan(self.demand_bytes[self.recent])
        return np.flatnonzero(on.any(axis=0))

    @property
    def bounds(self) -> Bounds:
        """What each VM may be given."""
        found = [self.settings.get(vm) for vm in self.vms]
        return Bounds(
            minimum_bytes=np.array([item.minimum_bytes if item else 0.0 for item in found]),
            startup_bytes=np.array([item.startup_bytes if item else 0.0 for item in found]),
            maximum_bytes=np.array([item.maximum_bytes if item else np.inf for item in found]),
            moves=np.array([self._moves(vm) for vm in self.vms], dtype=np.bool_),
        )

    @property
    def held_bytes(self) -> Floats:
        """What the host cannot use for others; NaN while a VM was off. Shape [row, vm].

        It is what a VM needs, but no less than its minimum and no more than its maximum, and all
        that it has where it is not moved.
        """
        bounds = self.bounds
        needed = np.clip(self.demand_bytes, bounds.minimum_bytes, bounds.maximum_bytes)
        held: Floats = np.where(bounds.moves, needed, self.assigned_bytes)
        return held

    @property
    def now_bytes(self) -> float:
        """What the VMs of the last row hold together."""
        return float(np.nansum(self.held_bytes[-1]))

    def _moves(self, vm: str) -> bool:
        if vm not in self.settings:
            return True
        found = self.settings[vm]
        return found is not None and found.enabled and not found.paused


def days_of(recorded: Recorded) -> list[tuple[float, Integers]]:
    """Cut the history into days of 24 hours that end with its last row, the oldest first.

    Returns:
        How many days ago each ended, and its rows. Days that were hardly recorded are left out.
    """
    ago = np.floor((recorded.end_s - recorded.times_s - recorded.step_s / 2) / DAY_S)
    whole = DAY_S / recorded.step_s
    days = ((number, np.flatnonzero(ago == number)) for number in np.unique(ago)[::-1])
    return [(float(number), rows) for number, rows in days if len(rows) >= whole * COVERED_RATIO]
