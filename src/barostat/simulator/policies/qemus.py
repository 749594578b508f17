"""The controller of qemus' QEMU container: one process a VM, by the host's free memory."""

from __future__ import annotations

from typing import Final

import numpy as np

from barostat.simulator.trace import Floats
from barostat.simulator.world import World
from barostat.units import MIB

__all__ = ["Qemus"]

FREE_RATIO: Final = 0.20
SHORT_RATIO: Final = 0.10
PROPORTIONAL: Final = 0.5
INTEGRAL: Final = 0.05
LEAST_CHANGE_BYTES: Final = 128 * MIB


class Qemus:
    """Hold the host at 20 % free by a PI controller for each guest, none below what it uses.

    Every 5 s: error = 20 % less the free share of the host; its integral stays within -1 and 1.
    The size changes by (0.5 x error + 0.05 x integral) of the maximum, not below what the guest
    uses, or its minimum when under 10 % of the host is free. Changes under 128 MiB wait.

    Source: qemus/qemu, src/balloon.py, 2026. Its lowering of the maximum while the host itself
    stalls is left out: a host that hands out no more than it has does not. Minimums are those of
    the guests, not 33 % of their size.

    Args:
        equal_inputs: changes nothing: what it reads is MemAvailable.
    """

    name = "qemus"
    period_s = 5.0

    def __init__(self, *, equal_inputs: bool = False) -> None:
        del equal_inputs
        self._integral: Floats | None = None

    def act(self, world: World) -> float | None:
        """Go one step of the controller."""
        hosts, size = world.hosts, world.assigned_bytes
        ratio = world.host_free_bytes / hosts.capacity_bytes
        error = FREE_RATIO - ratio
        before = np.zeros_like(error) if self._integral is None else self._integral
        self._integral = np.clip(before + error * self.period_s, -1.0, 1.0)
        change = (PROPORTIONAL * error + INTEGRAL * self._integral)[:, None] * hosts.maximum_bytes
        used = np.maximum(hosts.minimum_bytes, size - world.available_bytes)
        floor = np.where((ratio < SHORT_RATIO)[:, None], hosts.minimum_bytes, used)
        wanted = np.minimum(np.maximum(size - change, floor), hosts.maximum_bytes)
        at_bound = (wanted == hosts.maximum_bytes) | (wanted == floor)
        worth = (np.abs(wanted - size) >= LEAST_CHANGE_BYTES) | at_bound
        world.ask(np.where(worth, wanted, world.target_bytes))
        wound = np.abs(self._integral - before) > 0
        moves = (np.abs(world.target_bytes - size) >= MIB).any()
        return self.period_s if wound.any() or moves or world.moving_s > 0 else None
