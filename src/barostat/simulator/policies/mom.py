"""oVirt's Memory Overcommitment Manager."""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np

from barostat.simulator.trace import Floats
from barostat.simulator.world import World

__all__ = ["Mom"]

PRESSURE_RATIO: Final = 0.20
CRITICAL_RATIO: Final = 0.05
GUEST_FREE_RATIO: Final = 0.20
MOST_CHANGE_RATIO: Final = 0.05
LEAST_CHANGE_RATIO: Final = 0.0025
SAMPLES: Final = 10
ALIKE_BYTES: Final = 1.0


class Mom:
    """All guests shrink by at most 5 % while the host has under 20 % free; else all grow by 5 %.

    Every 10 s, by means of the last ten samples, one every 5 s. A guest's use is its size less its
    MemFree: page cache is use. While the host is short, a guest keeps its use and as large a share
    free as the host has, less than nothing below 5 %. Guests are never compared with each other.

    Source: oVirt/mom 0.6.5, doc/balloon.rules.

    Args:
        equal_inputs: read MemAvailable of guests where the rule reads MemFree.
    """

    name = "mom"
    period_s = 5.0

    def __init__(self, *, equal_inputs: bool = False) -> None:
        self._equal_inputs = equal_inputs
        self._samples: deque[tuple[Floats, Floats, Floats]] = deque(maxlen=SAMPLES)
        self._looks = 0

    def act(self, world: World) -> float | None:
        """Take a sample; at every second one, resize."""
        free = world.available_bytes if self._equal_inputs else world.free_bytes
        sample = world.host_free_bytes, world.assigned_bytes, free
        still = len(self._samples) == SAMPLES and all(_alike(old, sample) for old in self._samples)
        self._samples.append(sample)
        self._looks += 1
        if self._looks % 2:
            return self.period_s
        new = self._sizes(world)
        rests = still and np.array_equal(new, world.target_bytes)
        world.ask(new)
        return None if rests and world.moving_s == 0 else self.period_s

    def _sizes(self, world: World) -> Floats:
        hosts, now = world.hosts, world.assigned_bytes
        host_free, size, free = (
            np.mean([sample[part] for sample in self._samples], axis=0) for part in range(3)
        )
        ratio = host_free / hosts.capacity_bytes
        short = ratio < PRESSURE_RATIO
        kept = np.where(ratio <= CRITICAL_RATIO, ratio - CRITICAL_RATIO, ratio)
        kept = np.where(short, kept, GUEST_FREE_RATIO)
        needed = np.maximum(hosts.minimum_bytes, size - free + kept[:, None] * now)
        smaller = np.maximum(now * (1 - MOST_CHANGE_RATIO), needed)
        larger = np.maximum(now * (1 + MOST_CHANGE_RATIO), needed)
        larger = np.minimum(larger, hosts.maximum_bytes)
        new = np.where(short[:, None], np.minimum(smaller, now), larger)
        counts = np.abs(new - now) > LEAST_CHANGE_RATIO * now
        wanted: Floats = np.where(counts, new, world.target_bytes)
        return wanted


def _alike(one: tuple[Floats, ...], other: tuple[Floats, ...]) -> bool:
    return all(bool((np.abs(a - b) <= ALIKE_BYTES).all()) for a, b in zip(one, other, strict=True))
