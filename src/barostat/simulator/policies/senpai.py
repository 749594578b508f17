"""Senpai: trim each guest until it stalls a little."""

from __future__ import annotations

from typing import Final

import numpy as np

from barostat.simulator.trace import Floats
from barostat.simulator.world import World
from barostat.units import MIB

__all__ = ["Senpai"]

TARGET_S: Final = 0.010
TICK_S: Final = 1.0
QUIET_TICKS: Final = 6
GROW_COEFFICIENT: Final = 20.0
TRIM_COEFFICIENT: Final = 10.0
MOST_GROWTH_RATIO: Final = 1.0
MOST_TRIM_RATIO: Final = 0.01
SWAP_BYTES_S: Final = 36 * MIB
"""What a guest swaps in a second when it does nothing else (measured on one of 256 MiB)."""


class Senpai:
    """Grow a guest at once when it stalled over 10 ms in 6 s; else trim it by up to 1 %.

    Every second, a guest's stall time is added up. When it is over the target, its size grows by
    the square of how much it is over (divided by 20), at most to twice. After 6 quiet seconds it is
    trimmed by the square of how much it is under (divided by 10), at most 1 %. Nobody looks at the
    host: guests together may be given more than there is, and then the host pages.

    Source: facebookincubator/senpai, senpai.py, 2019: the loop of its README's numbers. The stall
    is worked out of what the guest swaps in, by 36 MiB a second.

    Args:
        equal_inputs: changes nothing: it reads nothing but stalls.
    """

    name = "senpai"
    period_s = TICK_S

    def __init__(self, *, equal_inputs: bool = False) -> None:
        del equal_inputs
        self._stalled_s: Floats | None = None
        self._swapped: Floats = np.zeros(0)
        self._quiet: Floats = np.zeros(0)
        self._seen_s = 0.0

    def act(self, world: World) -> float | None:
        """Add up stalls; grow those who stalled, trim those who did not."""
        size = world.assigned_bytes
        if self._stalled_s is None:
            self._stalled_s, self._quiet = np.zeros(size.shape), np.zeros(size.shape)
            self._swapped, self._seen_s = world.swap_in_bytes.copy(), world.now_s
        passed_s = max(world.now_s - self._seen_s, TICK_S)
        read = np.maximum(0.0, world.swap_in_bytes - self._swapped)
        self._swapped, self._seen_s = world.swap_in_bytes.copy(), world.now_s
        stalled_s = np.minimum(passed_s, read / SWAP_BYTES_S)
        self._stalled_s = np.minimum(self._stalled_s + stalled_s, passed_s * QUIET_TICKS)
        self._quiet = self._quiet + 1
        over = self._stalled_s > TARGET_S
        excess = (self._stalled_s / TARGET_S / GROW_COEFFICIENT) ** 2
        growth = np.minimum(excess, 1.0) * MOST_GROWTH_RATIO
        trims = ~over & (self._quiet >= QUIET_TICKS)
        calm = TARGET_S / np.maximum(self._stalled_s, 1e-6) / TRIM_COEFFICIENT
        trim = np.minimum(calm**2, 1.0) * MOST_TRIM_RATIO
        wanted = np.where(over, size * (1 + growth), np.where(trims, size * (1 - trim), size))
        world.ask(np.where(over | trims, wanted, world.target_bytes))
        self._stalled_s = np.where(over | trims, 0.0, self._stalled_s)
        self._quiet = np.where(over | trims, 0.0, self._quiet)
        return TICK_S if _probes(world) else None


def _probes(world: World) -> bool:
    """Say whether anybody can be trimmed still; it stops where all are at their minimums."""
    above = world.present & (world.assigned_bytes > world.hosts.minimum_bytes + MIB)
    return bool(above.any()) or world.moving_s > 0
