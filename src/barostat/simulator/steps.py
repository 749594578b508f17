"""How long guests wait for what they need more."""

from __future__ import annotations

from typing import Final

import numpy as np

from barostat.simulator.trace import Floats, Integers, Switches
from barostat.simulator.world import World
from barostat.units import MIB

__all__ = ["Steps"]

LEAST_BYTES: Final = 16 * MIB
"""A rise that leaves less than this missing is not a step."""


class Steps:
    """Rises of demand above what a guest has, and when each was satisfied.

    Attributes:
        waits_s: how long each waited that was satisfied.
        never: how many were not before the need was gone.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.waits_s: list[float] = []
        self.never: Integers = np.zeros(shape, dtype=np.int64)
        self._needed: Floats = np.zeros(shape)
        self._since_s: Floats = np.zeros(shape)
        self._demand: Floats = np.zeros(shape)
        self._waiting: Switches = np.zeros(shape, dtype=np.bool_)
        self._changes = -1
        self._assigned: Floats = np.zeros(shape)

    def before(self, world: World) -> None:
        """See whether needs changed before time passes."""
        self._assigned = world.assigned_bytes
        if world.changes == self._changes:
            return
        self._changes = world.changes
        gone = self._waiting & (world.demand_bytes < self._needed)
        self.never += gone
        self._waiting &= ~gone
        missing = world.demand_bytes - world.assigned_bytes
        rose = (world.demand_bytes > self._demand) & (missing >= LEAST_BYTES) & ~self._waiting
        self._needed = np.where(rose, world.demand_bytes, self._needed)
        self._since_s = np.where(rose, world.now_s, self._since_s)
        self._waiting |= rose
        self._demand = world.demand_bytes

    def after(self, world: World, passed_s: float) -> None:
        """See who has now what it needed; sizes went on a line meanwhile."""
        if not self._waiting.any():
            return
        done = self._waiting & (world.assigned_bytes >= self._needed - MIB)
        if not done.any():
            return
        gained = np.maximum(world.assigned_bytes - self._assigned, 1.0)
        part = np.clip((self._needed - self._assigned) / gained, 0.0, 1.0)
        at_s = world.now_s - passed_s + part * passed_s
        self.waits_s.extend((at_s - self._since_s)[done].tolist())
        self._waiting &= ~done

    def end(self) -> None:
        """Count those who wait still."""
        self.never += self._waiting
        self._waiting[:] = False
