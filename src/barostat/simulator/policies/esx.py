"""VMware ESX: proportional shares with an idle memory tax."""

from __future__ import annotations

from typing import Final

import numpy as np

from barostat.simulator.trace import Floats
from barostat.simulator.world import World
from barostat.units import GIB, MIB

__all__ = ["Esx"]

IDLE_PRICE: Final = 4.0
"""What an idle page costs of an active one: 1 / (1 - tax), with the default tax of 75 %."""
BALLOON_RATIO: Final = 0.65
LOW_BYTES: Final = 28 * GIB
LOW_FREE_BYTES: Final = 899 * MIB
FREE_RATIO: Final = 0.01
SAMPLE_S: Final = 30.0
SOON_S: Final = 5.0
FAST: Final = 0.5
SLOW: Final = 0.1
HALVINGS: Final = 40


class Esx:
    """Memory goes to who pays most for it: shares over pages, idle ones taxed.

    A guest's price is its shares over (active pages + 4 x idle ones): what it has is such that all
    prices are alike, within minimum and maximum. Active is the largest of a slow average, a fast
    one, and the newest sample, every 30 s; a change of host state or a guest that uses all it has
    has it looked at after 5 s. The balloon takes 65 % of a guest's size at most; what is to be
    taken beyond that, the host pages. 899 MiB of the first 28 GiB and 1 % of the rest stay free.

    Source: Waldspurger, OSDI 2002; the sizes of balloon and free memory of vSphere 6. What a guest
    touches counts as sampled without error. It keeps no pages above its part between two looks.

    Args:
        equal_inputs: read what guests need, instead of what of it is in their memory.
    """

    name = "esx"
    period_s = SOON_S

    def __init__(self, *, equal_inputs: bool = False) -> None:
        self._equal_inputs = equal_inputs
        self._fast: Floats | None = None
        self._slow: Floats = np.zeros(0)
        self._sampled_s = 0.0

    def act(self, world: World) -> float | None:
        """Sample, set prices, and give each guest what its price buys."""
        now = world.demand_bytes if self._equal_inputs else world.resident_bytes
        if self._fast is None:
            self._fast, self._slow, self._sampled_s = now, now, world.now_s
        if world.now_s - self._sampled_s >= SAMPLE_S:
            self._sampled_s = world.now_s
            self._fast = self._fast + FAST * (now - self._fast)
            self._slow = self._slow + SLOW * (now - self._slow)
        active = np.maximum(now, np.maximum(self._fast, self._slow))
        sizes = _sizes(world, np.where(world.present, active, 0.0))
        changes = np.abs(sizes - world.target_bytes) >= MIB
        world.ask(np.where(changes, sizes, world.target_bytes))
        hosts = world.hosts
        deep = world.target_bytes < (1 - BALLOON_RATIO) * hosts.maximum_bytes
        world.host_paging = world.present & deep
        full = world.present & (world.paged_bytes > 0)
        if changes.any():
            return SOON_S if full.any() else SAMPLE_S
        still = (np.abs(self._fast - now) < MIB) & (np.abs(self._slow - now) < MIB)
        return None if still.all() and world.moving_s == 0 else SAMPLE_S


def _sizes(world: World, active: Floats) -> Floats:
    """Find the price at which all memory is sold: its logarithm is bisected."""
    hosts = world.hosts
    share = np.where(world.present, hosts.weight, 0.0)
    beyond = np.maximum(0.0, hosts.capacity_bytes - LOW_BYTES)
    kept = np.minimum(LOW_FREE_BYTES, 0.1 * hosts.capacity_bytes) + FREE_RATIO * beyond
    for_sale = np.maximum(hosts.capacity_bytes - kept, 0.0)
    low, high = np.full(len(for_sale), -60.0), np.full(len(for_sale), 20.0)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        fits = _bought(world, share, active, middle).sum(axis=1) <= for_sale
        high, low = np.where(fits, middle, high), np.where(fits, low, middle)
    return _bought(world, share, active, high)


def _bought(world: World, share: Floats, active: Floats, log_price: Floats) -> Floats:
    """Give the pages P of `price = S / (active + 4 (P - active))`, within the bounds."""
    hosts = world.hosts
    worth = share / np.exp(log_price)[:, None]
    pages = (worth + (IDLE_PRICE - 1) * active) / IDLE_PRICE
    bought: Floats = np.clip(pages, hosts.minimum_bytes, hosts.maximum_bytes)
    return np.where(world.present, bought, 0.0)
