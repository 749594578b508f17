"""VMware ESX: proportional shares with an idle memory tax."""

from __future__ import annotations

from typing import Final

import numpy as np

from barostat.simulator.trace import Floats, Switches
from barostat.simulator.world import World
from barostat.units import GIB, MIB

__all__ = ["Esx"]

IDLE_PRICE: Final = 4.0
"""What an idle page costs of an active one: 1 / (1 - tax), with the default tax of 75 %."""
BALLOON_RATIO: Final = 0.65
FIRST_BYTES: Final = 28 * GIB
FIRST_FREE_BYTES: Final = 899 * MIB
FREE_RATIO: Final = 0.01
LOW_RATIO: Final = 0.16
"""Of the memory that is to be free: below it, no guest is given any (vSphere 6)."""
LEAST_HOST_RATIO: Final = 0.06
"""What is to be free at most, of a small host (Waldspurger's highest threshold)."""
SAMPLE_S: Final = 60.0
LOOK_S: Final = 5.0
POLL_S: Final = 1.0
FAST: Final = 0.5
SLOW: Final = 0.1
HALVINGS: Final = 26


class Esx:
    """Memory goes to whoever pays most for it: shares over pages, of which idle ones are taxed.

    A guest pays shares / (active + 4 x idle pages). Who pays least is taken from, who pays most is
    given to, until all pay alike, within minimum and maximum. Active is the largest of a slow
    average, a fast one, and the newest sample; samples are taken every 60 s. What is free on the
    host goes out at once, what is taken only when it is there. 899 MiB for the first 28 GiB and 1 %
    of the rest are to be free. The balloon takes 65 % of a guest's size at most; what is taken
    beyond that, the host pages.

    Source: Waldspurger, OSDI 2002; periods, free memory, balloon and shares (so many for each MiB
    of a VM's size) of vSphere 6. The weights of the averages are not published: 1/2 and 1/10 here,
    and a look every 5 s. Samples are exact: active is the part of a guest's need that is in its
    memory, and what its kernel keeps. A guest that pages touches all it is given: its pages are
    active however many they become. What the host pages is counted where it is most of what a
    guest lacks; pages that it takes by chance from one that lacks nothing cost nothing here.

    Args:
        equal_inputs: active is what a guest uses, its swap included, as its own statistics say.
    """

    name = "esx"
    period_s = LOOK_S

    def __init__(self, *, equal_inputs: bool = False) -> None:
        self._equal_inputs = equal_inputs
        self._known: Switches | None = None
        self._fast: Floats = np.zeros(0)
        self._slow: Floats = np.zeros(0)
        self._sampled_s = 0.0

    def act(self, world: World) -> float | None:
        """Sample, find the price, and give each guest what it can pay for."""
        now = world.resident_bytes + world.reserve_bytes
        full = world.paged_bytes > 0
        if self._equal_inputs:
            now, full = now + world.paged_bytes, np.zeros_like(full)
        self._sample(world, now)
        asked = world.target_bytes
        active = np.maximum(now, np.maximum(self._fast, self._slow))
        active = np.where(full, np.inf, active)  # it touches whatever it is given
        world.ask(_affordable(world, _sizes(world, active)))
        world.host_paging = _paged_by_host(world)
        if world.moving_s > 0:
            return POLL_S
        calm = (np.abs(self._fast - now) < MIB) & (np.abs(self._slow - now) < MIB)
        return None if calm.all() and np.array_equal(asked, world.target_bytes) else LOOK_S

    def _sample(self, world: World, now: Floats) -> None:
        """Bring the averages up to date, if it is time; who is new begins with what it uses."""
        old = np.zeros(now.shape, dtype=np.bool_) if self._known is None else self._known
        kept = old & world.present
        self._known = world.present.copy()
        self._fast, self._slow = (
            np.where(kept, average, now)
            for average in (self._fast if old.any() else now, self._slow if old.any() else now)
        )
        if world.now_s - self._sampled_s >= SAMPLE_S:
            self._sampled_s = world.now_s
            self._fast = self._fast + FAST * (now - self._fast)
            self._slow = self._slow + SLOW * (now - self._slow)


def _free_bytes(world: World) -> Floats:
    """Say what is to be free on each host."""
    capacity = world.hosts.capacity_bytes
    beyond = np.maximum(0.0, capacity - FIRST_BYTES)
    free: Floats = np.minimum(FIRST_FREE_BYTES, LEAST_HOST_RATIO * capacity) + FREE_RATIO * beyond
    return free


def _sizes(world: World, active: Floats) -> Floats:
    """Bisect for the price at which all memory is sold; it is worked with its reciprocal."""
    hosts = world.hosts
    shares = np.where(world.present, hosts.weight * hosts.maximum_bytes, 0.0)
    low_bytes = np.where(world.present, hosts.minimum_bytes, 0.0)
    high_bytes = np.where(world.present, hosts.maximum_bytes, 0.0)
    for_sale = hosts.capacity_bytes - _free_bytes(world)
    most = IDLE_PRICE * high_bytes / np.maximum(shares, 1.0)
    low, high = np.zeros(len(for_sale)), most.max(axis=1)
    taxed = (IDLE_PRICE - 1.0) * active
    sizes = high_bytes
    for step in range(HALVINGS):
        middle = high if step == 0 else (low + high) / 2  # all may have all they can
        paid = shares * middle[:, None]
        pages = np.where(paid < active, paid, (paid + taxed) / IDLE_PRICE)
        sizes = np.minimum(np.maximum(pages, low_bytes), high_bytes)
        fits = sizes.sum(axis=1) <= for_sale
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    return sizes


def _affordable(world: World, sizes: Floats) -> Floats:
    """Give only what is free; those that are to have less give first."""
    size = np.where(world.present, world.assigned_bytes, 0.0)
    free = world.hosts.capacity_bytes - world.promised_bytes.sum(axis=1)
    pledged = np.maximum(0.0, world.target_bytes - world.assigned_bytes)
    room = free + pledged.sum(axis=1) - LOW_RATIO * _free_bytes(world)
    grows = np.maximum(0.0, sizes - size)
    part = np.clip(room / np.maximum(grows.sum(axis=1), 1.0), 0.0, 1.0)
    affordable: Floats = np.minimum(sizes, size) + grows * part[:, None]
    return affordable


def _paged_by_host(world: World) -> Switches:
    """Say of whom most that is missing is beyond what its balloon takes."""
    ballooned_bytes = (1.0 - BALLOON_RATIO) * world.hosts.maximum_bytes
    beyond = ballooned_bytes - world.target_bytes
    lacks = np.maximum(0.0, world.demand_bytes - world.target_bytes)
    paged: Switches = world.present & (beyond > 0) & (2.0 * beyond >= lacks)
    return paged
