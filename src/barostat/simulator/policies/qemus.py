"""The controller of qemus' QEMU container: one process a VM, by the host's free memory."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from barostat.simulator.policies.stalls import stalled_ratio
from barostat.simulator.trace import Floats, Switches
from barostat.simulator.world import World
from barostat.units import MIB

__all__ = ["Qemus"]

FREE_RATIO: Final = 0.20
SHORT_RATIO: Final = 0.10
PROPORTIONAL: Final = 0.5
INTEGRAL: Final = 0.05
MOST_INTEGRAL: Final = 1.0
LEAST_CHANGE_BYTES: Final = 128 * MIB
STALL_BEGINS: Final = 0.10
STALL_ENDS: Final = 0.50
STALL_S: Final = 10.0


class Qemus:
    """A controller for each guest holds the host at 20 % free, no guest below what it uses.

    Every 5 s: error = 20 % less the free share of the host; its integral stays within -1 and 1, and
    is set back where a bound holds the size. The size changes by (0.5 x error + 0.05 x integral) of
    the maximum, the other way. It is at least what the guest uses, but when under 10 % of the host
    is free its minimum; at most its maximum, and less, down to the minimum, as the host itself
    stalls from 10 % to 50 % of the last 10 s. Changes under 128 MiB wait, but for those to a bound.

    The controllers know nothing of each other, and the host's free memory is what is not used, not
    what is not promised: guests together may be granted more than there is.

    Source: qemus/qemu, src/balloon.py, 2026. Minimums are the guests', not its default of 33 %. The
    host stalls by what it reads back of the memory that it paged (`stalls`). There is no limit of a
    container.

    Args:
        equal_inputs: changes nothing: what it reads is MemAvailable.
    """

    name = "qemus"
    period_s = 5.0

    def __init__(self, *, equal_inputs: bool = False) -> None:
        del equal_inputs
        self._integral: Floats = np.zeros(0)
        self._stalled: Floats = np.zeros(0)
        self._seen_s = 0.0

    def act(self, world: World) -> float | None:
        """Go one step of each guest's controller."""
        hosts, size = world.hosts, world.assigned_bytes
        ratio = world.host_free_bytes / hosts.capacity_bytes
        before = self._integral if self._integral.size else np.zeros(size.shape)
        error = np.broadcast_to((FREE_RATIO - ratio)[:, None], size.shape)
        summed = np.clip(before + error * self.period_s, -MOST_INTEGRAL, MOST_INTEGRAL)
        high = self._highest(world)
        used = np.maximum(hosts.minimum_bytes, size - world.available_bytes)
        low = np.where((ratio < SHORT_RATIO)[:, None], hosts.minimum_bytes, used)
        wanted = size - (PROPORTIONAL * error + INTEGRAL * summed) * hosts.maximum_bytes
        target = np.minimum(high, np.maximum(low, wanted))
        bound: Switches = ((target == low) & (error > 0)) | ((target == high) & (error < 0))
        integral = np.where(bound, _held(world, target, error), summed)
        self._integral = np.where(world.present, integral, 0.0)
        asked = world.target_bytes
        worth = np.abs(target - asked) >= LEAST_CHANGE_BYTES
        world.ask(np.where(worth | (target == low) | (target == high), target, asked))
        return self.period_s if self._goes_on(world, before, asked) else None

    def _highest(self, world: World) -> Floats:
        """Lower the maximum towards the minimum as the host itself stalls."""
        hosts = world.hosts
        now = stalled_ratio(world.host_paged_bytes.sum(axis=1) / world.habits.turnover_s)
        before = self._stalled if self._stalled.size else np.zeros_like(now)
        kept = math.exp(-(world.now_s - self._seen_s) / STALL_S)
        self._stalled, self._seen_s = kept * before + (1.0 - kept) * now, world.now_s
        part = np.clip((self._stalled - STALL_BEGINS) / (STALL_ENDS - STALL_BEGINS), 0.0, 1.0)
        spans = hosts.maximum_bytes - hosts.minimum_bytes
        high: Floats = hosts.maximum_bytes - part[:, None] * spans
        return high

    def _goes_on(self, world: World, before: Floats, asked: Floats) -> bool:
        """Say whether anything would be otherwise at the next look."""
        still = np.array_equal(before, self._integral) and np.array_equal(asked, world.target_bytes)
        stalls = (self._stalled > STALL_BEGINS).any() or world.host_paged_bytes.any()
        return not still or bool(stalls) or world.moving_s > 0


def _held(world: World, target: Floats, error: Floats) -> Floats:
    """Give the integral by which the size would be just what its bound makes it."""
    change = (world.assigned_bytes - target) / np.maximum(world.hosts.maximum_bytes, 1.0)
    held: Floats = (change - PROPORTIONAL * error) / INTEGRAL
    return np.clip(held, -MOST_INTEGRAL, MOST_INTEGRAL)
