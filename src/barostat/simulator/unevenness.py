"""How unlike guests of one host are treated while memory is scarce.

Only then does it mean anything: with memory for all, nobody minds who has more. It is scarce while
the guests want more together than their host has, whatever a policy makes of it: all policies are
judged by the same moments.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from barostat.simulator.hosts import Hosts
from barostat.simulator.trace import Floats, Switches
from barostat.simulator.world import World

__all__ = ["Unevenness", "highest"]

WANT_RATIO: Final = 1.2
"""What a guest wants of what it needs: with the usual buffer."""
TOP: Final = 5.0
BINS: Final = 1000


class Unevenness:
    """Dispersion of pressure, and Jain's index of satisfaction, over the time of scarcity.

    Pressure is what a guest needs of what it has; its dispersion is the standard deviation of it
    among the guests of a host, weighted. Jain's index is of what a guest has of what it wants: 1
    when all have the same share.

    Attributes:
        scarce_s: for how long the guests of each host wanted more than it has, shape [host].
        dispersion_s, jain_s: their sums over that time, shape [host].
        histogram_s: seconds by dispersion, shape [bin].
    """

    def __init__(self, hosts: Hosts) -> None:
        count = len(hosts.vm)
        self.scarce_s: Floats = np.zeros(count)
        self.dispersion_s: Floats = np.zeros(count)
        self.jain_s: Floats = np.zeros(count)
        self.histogram_s: Floats = np.zeros(BINS)
        self._scarce: Switches = np.zeros(count, dtype=np.bool_)
        self._any = False
        self._changes = -1

    def add(self, world: World, passed_s: float) -> None:
        """Add a piece of time that has passed."""
        if world.changes != self._changes:
            self._changes = world.changes
            self._scarce = _wanted(world).sum(axis=1) > world.hosts.capacity_bytes
            self._any = bool(self._scarce.any())
        if not self._any:
            return
        scarce = self._scarce
        size, needed = world.assigned_bytes[scarce], world.demand_bytes[scarce]
        weight = np.where(world.present, world.hosts.weight, 0.0)[scarce]
        total = np.maximum(weight.sum(axis=1), 1.0)
        pressure = needed / np.maximum(size, 1.0)
        mean = (weight * pressure).sum(axis=1) / total
        spread = np.sqrt((weight * (pressure - mean[:, None]) ** 2).sum(axis=1) / total)
        self.scarce_s += scarce * passed_s
        self.dispersion_s[scarce] += spread * passed_s
        self.jain_s[scarce] += _jain(size, _wanted(world)[scarce]) * passed_s
        bins = np.minimum(spread / TOP * BINS, BINS - 1).astype(np.int64)
        np.add.at(self.histogram_s, bins, passed_s)


def _wanted(world: World) -> Floats:
    wanted: Floats = np.minimum(world.demand_bytes * WANT_RATIO, world.hosts.maximum_bytes)
    return wanted


def _jain(size: Floats, wanted: Floats) -> Floats:
    """Jain, Chiu and Hawe 1984: (sum of shares)^2 / (n * sum of their squares)."""
    wants = wanted > 0
    share = np.where(wants, np.minimum(1.0, size / np.maximum(wanted, 1.0)), 0.0)
    squares = np.maximum((share**2).sum(axis=1) * wants.sum(axis=1), 1e-12)
    index: Floats = share.sum(axis=1) ** 2 / squares
    return index


def highest(histogram_s: Floats, ratio: float) -> float:
    """Give the dispersion that was not exceeded for a share of the time; 0 if there was none."""
    total = histogram_s.sum()
    if total <= 0:
        return 0.0
    place = int(np.searchsorted(np.cumsum(histogram_s), total * ratio))
    return (min(place, BINS - 1) + 0.5) / BINS * TOP
