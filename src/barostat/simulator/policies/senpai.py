"""Senpai: trim each guest until it stalls a little."""

from __future__ import annotations

from typing import Final

import numpy as np

from barostat.simulator.policies.stalls import stalled_ratio
from barostat.simulator.trace import Floats, Switches
from barostat.simulator.world import World

__all__ = ["Senpai"]

TICK_S: Final = 1.0
TARGET_S: Final = 0.010
"""Stall time that a guest may come to in `QUIET_TICKS`."""
QUIET_TICKS: Final = 6
GROW_COEFFICIENT: Final = 20.0
TRIM_COEFFICIENT: Final = 10.0
MOST_GROWTH_RATIO: Final = 1.0
MOST_TRIM_RATIO: Final = 0.01
LEAST_STALL_S: Final = 1e-6


class Senpai:
    """Each guest is trimmed by 1 % every 6 s, and grown at once when it stalls over 10 ms.

    Every second the stall time of each guest is added to a sum. When that is over the target, the
    guest's limit grows by the square of sum / target / 20, at most to twice. At the sixth second
    without that it is cut by 1 % x the square of target / sum / 10, at most 1 %. Either begins a
    new sum.

    Nobody looks at the host, in the published rule and here: guests together may be granted more
    than there is. That is a breach, and the host pages what it really lacks.

    Source: facebookincubator/senpai, senpai.py, 2019, with its default numbers. The limit is the
    guest's size and stays within its minimum and maximum, where senpai has 100 MiB and 100 GiB. A
    stall is worked out of what the guest swaps in (`stalls`).

    Args:
        equal_inputs: changes nothing: it reads nothing but stalls.
    """

    name = "senpai"
    period_s = TICK_S

    def __init__(self, *, equal_inputs: bool = False) -> None:
        del equal_inputs
        self._stalled_s: Floats = np.zeros(0)
        self._swap_in_bytes: Floats = np.zeros(0)
        self._ticks: Floats = np.zeros(0)
        self._seen_s = 0.0

    def act(self, world: World) -> float | None:
        """Add up stalls; grow those who stalled, trim those who did not."""
        self._add(world)
        stalled_s, limit = self._stalled_s, world.target_bytes
        over: Switches = stalled_s > TARGET_S
        trims: Switches = ~over & (self._ticks >= QUIET_TICKS)
        growth = np.minimum(1.0, (stalled_s / TARGET_S / GROW_COEFFICIENT) ** 2) * MOST_GROWTH_RATIO
        calm = TARGET_S / np.maximum(stalled_s, LEAST_STALL_S) / TRIM_COEFFICIENT
        trim = np.minimum(1.0, calm**2) * MOST_TRIM_RATIO
        changed = over | trims
        if changed.any():
            world.ask(limit * (1.0 + np.where(over, growth, 0.0) - np.where(trims, trim, 0.0)))
            self._stalled_s = np.where(changed, 0.0, stalled_s)
            self._ticks = np.where(changed, 0.0, self._ticks)
        return TICK_S if _goes_on(world) else None

    def _add(self, world: World) -> None:
        """Count the tick, and how long each guest stalled in it."""
        if not self._ticks.size:
            shape = world.present.shape
            self._stalled_s, self._ticks, self._swap_in_bytes = (np.zeros(shape) for _ in range(3))
        passed_s = max(world.now_s - self._seen_s, 0.0)
        read = np.maximum(0.0, world.swap_in_bytes - self._swap_in_bytes)
        self._swap_in_bytes, self._seen_s = world.swap_in_bytes.copy(), world.now_s
        stalled_s = self._stalled_s + stalled_ratio(read / max(passed_s, TICK_S)) * passed_s
        self._stalled_s = np.where(world.present, stalled_s, 0.0)
        self._ticks = np.where(world.present, self._ticks + 1.0, 0.0)


def _goes_on(world: World) -> bool:
    """Say whether anybody can still be trimmed, or stalls."""
    above = world.present & (world.target_bytes > world.hosts.minimum_bytes)
    return bool(above.any()) or world.moving_s > 0 or bool(world.paged_bytes.any())
