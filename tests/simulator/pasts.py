"""Recorded pasts that tests make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from barostat.core.settings import MemorySettings
from barostat.simulator.forecast.recorded import Recorded
from barostat.units import GIB, MIB

__all__ = ["DAY_ROWS", "past", "sized"]

DAY_ROWS = 24
"""These pasts are kept in hours."""


def sized(minimum: int = 64, startup: int = 1024, maximum: int = 4096) -> MemorySettings:
    return MemorySettings(
        minimum_bytes=minimum * MIB, startup_bytes=startup * MIB, maximum_bytes=maximum * MIB
    )


def past(
    demands_mib: Mapping[str, Sequence[float]],
    *,
    capacity_gib: float = 16.0,
    settings: Mapping[str, MemorySettings | None] | None = None,
    step_s: float = 3600.0,
) -> Recorded:
    """Make the past of a host from what its VMs needed; NaN while one was off."""
    demand = np.array(list(demands_mib.values()), dtype=np.float64).T * MIB
    return Recorded(
        vms=tuple(demands_mib),
        times_s=np.arange(len(demand), dtype=np.float64) * step_s,
        step_s=step_s,
        demand_bytes=demand,
        assigned_bytes=np.where(np.isnan(demand), np.nan, 2048.0 * MIB),
        said=~np.isnan(demand),
        capacity_bytes=capacity_gib * GIB,
        settings={vm: sized() for vm in demands_mib} if settings is None else settings,
    )
