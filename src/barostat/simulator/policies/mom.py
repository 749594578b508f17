"""oVirt's Memory Overcommitment Manager."""

from __future__ import annotations

from typing import Final

import numpy as np

from barostat.simulator.trace import Floats
from barostat.simulator.world import Look, World

__all__ = ["Mom"]

PRESSURE_RATIO: Final = 0.20
CRITICAL_RATIO: Final = 0.05
GUEST_FREE_RATIO: Final = 0.20
MOST_CHANGE_RATIO: Final = 0.05
LEAST_CHANGE_RATIO: Final = 0.0025
SAMPLES: Final = 10
SAMPLE_S: Final = 5.0


class Mom:
    """All guests shrink by at most 5 % while the host has under 20 % free; else all grow by 5 %.

    Every 10 s, by means of the last ten samples, one every 5 s. A guest's use is its size less its
    MemFree: page cache is use. While the host is short, a guest keeps its use and as large a share
    free as the host has, less than nothing below 5 %; else it has its use and a fifth free, if that
    is more than 5 % on top. Changes under 0.25 % wait. Guests are never compared with each other.

    Source: oVirt/mom 0.6.5, doc/balloon.rules; oVirt's own variant grows guests further.

    Args:
        equal_inputs: read MemAvailable of guests where the rule reads MemFree.
    """

    name = "mom"
    period_s = 10.0

    def __init__(self, *, equal_inputs: bool = False) -> None:
        self._equal_inputs = equal_inputs
        self._samples: _Samples | None = None
        self._decides = True

    def act(self, world: World) -> float | None:
        """Take a sample; at every second one, resize."""
        if self._samples is None:
            self._samples = _Samples(world.present.shape)
        look, before = world.look(), world.target_bytes
        free = self._free(look)
        self._samples.take(world, look.assigned_bytes - free)
        decides, self._decides = self._decides, not self._decides
        if not decides:
            return SAMPLE_S
        world.ask(_sizes(world, *self._samples.means()))
        moves = not np.array_equal(world.target_bytes, before) or world.moving_s > 0
        if moves or not self._samples.alike or not np.array_equal(free, self._free(world)):
            return SAMPLE_S
        self._decides = True  # the samples of a rest are those that it had already
        return None

    def _free(self, seen: Look | World) -> Floats:
        return seen.available_bytes if self._equal_inputs else seen.free_bytes


class _Samples:
    """The last samples of what hosts have free and guests use, a guest's since it was started."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._host_free: Floats = np.zeros((SAMPLES, shape[0]))
        self._used: Floats = np.zeros((SAMPLES, *shape))
        self._counts: Floats = np.zeros(shape)
        self._taken = 0
        self._arrived_s: Floats = np.full(shape, -np.inf)

    def take(self, world: World, used: Floats) -> None:
        """Add one of now; forget what a place held before its guest was started."""
        new = ~world.present | (world.arrived_s != self._arrived_s)
        if new.any():
            self._used[:, new], self._counts[new] = 0.0, 0.0
        number = self._taken % SAMPLES
        self._used[number] = np.where(world.present, used, 0.0)
        self._host_free[number] = world.host_free_bytes
        self._counts = np.minimum(self._counts + 1, SAMPLES)
        self._taken, self._arrived_s = self._taken + 1, world.arrived_s.copy()

    def means(self) -> tuple[Floats, Floats]:
        """Give what hosts have free, shape [host], and what guests use."""
        free = self._host_free.sum(axis=0) / min(self._taken, SAMPLES)
        used: Floats = self._used.sum(axis=0) / self._counts
        return free, used

    @property
    def alike(self) -> bool:
        """Say whether one more of the same changes nothing."""
        held = self._host_free, self._used
        full = self._taken >= SAMPLES
        return full and all(bool((each == each[0]).all()) for each in held)


def _sizes(world: World, host_free: Floats, used: Floats) -> Floats:
    """Give what each guest is to have; who is not changed keeps what it was asked for."""
    hosts, now = world.hosts, world.assigned_bytes
    ratio = host_free / hosts.capacity_bytes
    short = ratio < PRESSURE_RATIO
    kept = np.where(ratio <= CRITICAL_RATIO, ratio - CRITICAL_RATIO, ratio)
    kept = np.where(short, kept, GUEST_FREE_RATIO)
    needed = np.maximum(hosts.minimum_bytes, used + kept[:, None] * now)
    smaller = np.minimum(np.maximum(now * (1 - MOST_CHANGE_RATIO), needed), now)
    larger = np.maximum(now * (1 + MOST_CHANGE_RATIO), needed)
    new = np.where(short[:, None], smaller, np.minimum(larger, hosts.maximum_bytes))
    changes = np.abs(new - now) > LEAST_CHANGE_RATIO * now
    sizes: Floats = np.where(changes, new, world.target_bytes)
    return sizes
