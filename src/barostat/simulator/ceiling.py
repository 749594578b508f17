"""How many VMs fit on a host when nobody has to search: fixed at their own peaks, or clairvoyant.

Both know the whole trace. A VM is fine while it has what it needs and what its kernel keeps free.
What is fixed at the peak of each VM never lacks anything. The clairvoyant moves memory at once, and
where it does not suffice has the fewest VMs suffer that can: those from which most can be taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from barostat.simulator.tally import BAD_SWAP_IN_RATIO, MINUTE_S
from barostat.simulator.trace import Floats, Integers, Trace
from barostat.simulator.world import Habits

__all__ = ["Ceiling", "holdable_bytes"]

_TINY: Final = 1e-9
"""Of a host: what sums of floats may be off by."""


def holdable_bytes(size_bytes: Floats, habits: Habits) -> Floats:
    """Say how large a working set is held in memory by guests that have these sizes."""
    held: Floats = size_bytes * (1 - habits.reserve_ratio) - habits.reserve_low_bytes
    return np.maximum(held, 0.0)


@dataclass(frozen=True, slots=True)
class Ceiling:
    """One host, and the order in which VMs come to it.

    Attributes:
        trace: what VMs need; nobody more than it can hold at its maximum.
        order: who comes, shape [vm].
        minimum_bytes, maximum_bytes: of those, in that order.
        capacity_bytes: what the host may hand out.
        habits: how kernels treat memory.
        grace_s: for how long after each row began nobody is judged.
    """

    trace: Trace
    order: Integers
    minimum_bytes: Floats
    maximum_bytes: Floats
    capacity_bytes: float
    habits: Habits
    grace_s: float = 0.0

    def by_minimums(self) -> int:
        """Count the VMs whose minimums the host can hold: more cannot run at all."""
        return self._fitting(self.minimum_bytes)

    def by_peaks(self) -> int:
        """Count the VMs that fit when each has all the time what it needs at most."""
        peak = np.nan_to_num(np.nanmax(self._demand(), axis=0, initial=0.0))
        return self._fitting(self._sufficient(peak))

    def by_foresight(self, slo_ratio: float) -> int:
        """Count the VMs that the clairvoyant can hold, bad in a share of their time at most.

        No policy holds more: with every VM that comes, the time of bad VMs can only grow.
        """
        demand = self._demand()
        on_s = np.cumsum((~np.isnan(demand)).sum(axis=0)) * self.trace.step_s
        tolerated = min(1.0, BAD_SWAP_IN_RATIO * self.habits.turnover_s / MINUTE_S)
        needed = np.nan_to_num(self._sufficient(demand * (1 - tolerated)))
        spared = needed - np.where(np.isnan(demand), 0.0, self.minimum_bytes)
        total = np.cumsum(needed, axis=1)
        low, high = 0, self.by_minimums()
        while low < high:
            middle = (low + high + 1) // 2
            fine = self._bad_s(middle, total, spared) <= slo_ratio * on_s[-1]
            low, high = (middle, high) if fine else (low, middle - 1)
        while low and self._bad_s(low, total, spared) > slo_ratio * on_s[low - 1]:
            low -= 1
        return low

    def _demand(self) -> Floats:
        return self.trace.demand_bytes[:, self.order]

    def _sufficient(self, working_set_bytes: Floats) -> Floats:
        """Say what a VM must have for a working set, within its bounds."""
        habits = self.habits
        size = (working_set_bytes + habits.reserve_low_bytes) / (1 - habits.reserve_ratio)
        within: Floats = np.clip(size, self.minimum_bytes, self.maximum_bytes)
        return within

    def _fitting(self, sizes: Floats) -> int:
        room = self.capacity_bytes * (1 + _TINY)
        return int(np.searchsorted(np.cumsum(sizes), room, side="right"))

    def _bad_s(self, count: int, total: Floats, spared: Floats) -> float:
        """Sum the time of those that must suffer among so many, the fewest at each row."""
        missing = total[:, count - 1] - self.capacity_bytes * (1 + _TINY)
        rows = np.flatnonzero(missing > 0)
        gained = np.cumsum(-np.sort(-spared[rows, :count], axis=1), axis=1)
        victims = (gained < missing[rows, None]).sum(axis=1) + 1
        return float(victims.sum() * max(0.0, self.trace.step_s - self.grace_s))
