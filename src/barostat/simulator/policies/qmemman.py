"""Qubes OS' qmemman."""

from __future__ import annotations

from typing import Final

import numpy as np

from barostat.simulator.trace import Floats, Integers, Switches
from barostat.simulator.world import World
from barostat.units import KIB, MIB

__all__ = ["Qmemman"]

PREFERRED_RATIO: Final = 1.3
PREFERRED_LEAST_BYTES: Final = 200 * MIB
KEPT_RATIO: Final = 0.999
DONOR_BYTES: Final = 10 * MIB
REPORT_BYTES: Final = 30_000 * KIB
TIGHT_RATIO: Final = 10 / 13
HOST_FREE_BYTES: Final = 50 * MIB
HOST_LEAST_BYTES: Final = 0.9 * HOST_FREE_BYTES
HOST_SHORT_BYTES: Final = 15 * MIB
GAIN_BYTES: Final = 15 * MIB
MOVED_BYTES: Final = 150 * MIB
FORGIVEN_BYTES: Final = 25 * MIB
WAITS: Final = 5


class Qmemman:
    """Every guest gets memory in proportion to what it uses; all of the host is handed out.

    A guest reports its use (without page cache, with swap) when it changed by 30,000 KiB, half of
    that when memory is tight in it. It is preferred to have 1.3 times that. What the host has
    beyond all preferences is shared out in proportion to them; when it has less, guests above
    theirs go down to it, and those below share what there is. Donors first; the others wait for
    half a second, and get what there is then. A donor that did not move at all is left out until
    it wants more or is where it should be. Small changes are left alone. There are no weights.

    Source: QubesOS/qubes-core-admin, qubes/qmemman/algo.py and systemstate.py, 2026; the guest's
    part in qubes-linux-utils, qmemman/meminfo-writer.c. In life what donors gave too late is handed
    out at the next report of anybody; as traces have none between two rows, it is tried again here.

    Args:
        equal_inputs: what a guest uses is its size less MemAvailable, and swap.
    """

    name = "qmemman"
    period_s = 0.1

    def __init__(self, *, equal_inputs: bool = False) -> None:
        self._equal_inputs = equal_inputs
        self._began = False

    def _begin(self, world: World) -> None:
        shape = world.present.shape
        self._began, self._arrived_s = True, np.full(shape, -np.inf)
        self._present: Switches = np.zeros(shape, dtype=np.bool_)
        self._stuck: Switches = np.zeros(shape, dtype=np.bool_)
        self._reported, self._plan, self._before = (np.zeros(shape) for _ in range(3))
        self._waits: Integers = np.zeros(shape[0], dtype=np.int64)
        self._open: Switches = np.zeros(shape[0], dtype=np.bool_)
        self._again: Switches = np.zeros(shape[0], dtype=np.bool_)

    def act(self, world: World) -> float | None:
        """Take in reports, plan anew where there are any, and carry out what is planned."""
        if not self._began:
            self._begin(world)
        due = self._take_reports(world) | self._again
        self._again = np.zeros_like(due)
        if due.any():
            self._plan_anew(world, due)
        if self._open.any():
            self._carry_out(world)
        busy = bool((self._open | self._again).any()) or world.moving_s > 0
        return self.period_s if busy else None

    def _take_reports(self, world: World) -> Switches:
        """Say on which hosts a guest reported, was started or stopped."""
        size = world.assigned_bytes
        free = world.available_bytes if self._equal_inputs else world.cache_bytes + world.free_bytes
        used = np.maximum(0.0, size - free) + world.paged_bytes
        new = world.present & (~self._present | (world.arrived_s != self._arrived_s))
        step = np.where(used > size * TIGHT_RATIO, REPORT_BYTES / 2, REPORT_BYTES)
        told = new | (world.present & (np.abs(used - self._reported) > step))
        self._reported = np.where(told, used, self._reported)
        self._stuck &= ~new
        self._plan = np.where(new, world.target_bytes, self._plan)
        due: Switches = (told | (world.present != self._present)).any(axis=1)
        self._present, self._arrived_s = world.present.copy(), world.arrived_s.copy()
        return due

    def _plan_anew(self, world: World, due: Switches) -> None:
        """Plan the sizes of all guests of a host, and ask those that are to give."""
        size, target = world.assigned_bytes, world.target_bytes
        preferred = _preferred(world, self._reported)
        self._stuck &= (size > target + FORGIVEN_BYTES) & (preferred <= size)
        counted = world.present & ~self._stuck
        wanted = np.floor(_balance(world, preferred, counted) / MIB) * MIB
        worth = (due & _is_worth(world, preferred, np.where(counted, wanted, size)))[:, None]
        wanted = np.where(counted, np.minimum(wanted, world.hosts.maximum_bytes), target)
        self._plan = np.where(worth, wanted, self._plan)
        self._before = np.where(worth, size, self._before)
        self._open |= worth[:, 0]
        self._waits[worth[:, 0]] = 0
        world.ask(np.where(worth & (wanted < target), wanted, target))

    def _carry_out(self, world: World) -> None:
        """Let guests grow once there is room; when they waited long enough, into what there is."""
        target, size = world.target_bytes, world.assigned_bytes
        active = self._open[:, None] & world.present
        lacks = np.where(active, np.maximum(0.0, self._plan - target), 0.0)
        total, free = lacks.sum(axis=1), _free(world)
        fits = self._open & (total <= free - HOST_LEAST_BYTES)
        self._waits += self._open & ~fits
        late = self._open & (self._waits >= WAITS)
        room = np.maximum(0.0, free - HOST_FREE_BYTES) / np.maximum(total, 1.0)
        part = np.where(fits, 1.0, np.where(late, np.minimum(1.0, room), 0.0))
        world.ask(target + lacks * part[:, None])
        owes = active & late[:, None] & (size > target + FORGIVEN_BYTES) & ~self._stuck
        blamed = owes & (size == self._before)
        comes = (owes & ~blamed).any(axis=1)
        self._stuck |= blamed
        self._again = blamed.any(axis=1)
        self._waits[late], self._before = 0, np.where(late[:, None], size, self._before)
        self._open &= ~fits & (~late | comes)


def _free(world: World) -> Floats:
    """Give what no domain holds or may take, shape [host]: Xen counts what is given, not used."""
    held = np.where(world.present, world.promised_bytes, 0.0).sum(axis=1)
    free: Floats = world.hosts.capacity_bytes - held
    return free


def _preferred(world: World, used: Floats) -> Floats:
    hosts = world.hosts
    low = np.maximum(PREFERRED_LEAST_BYTES, hosts.minimum_bytes)
    preferred: Floats = np.minimum(np.maximum(PREFERRED_RATIO * used, low), hosts.maximum_bytes)
    return preferred


def _balance(world: World, preferred: Floats, counted: Switches) -> Floats:
    """Give the sizes that those who count should have."""
    actual = np.maximum(world.assigned_bytes, world.target_bytes)
    free = _free(world) - HOST_FREE_BYTES
    needs = np.where(counted, preferred - actual, 0.0)
    spare = free - needs.sum(axis=1)
    shared = _in_proportion(np.where(counted, preferred, 0.0), world.hosts.maximum_bytes, spare)
    gives = needs <= -DONOR_BYTES
    taken = -np.where(gives, needs, 0.0).sum(axis=1)
    acceptors = np.where(counted & (needs >= 0), preferred, 0.0)
    pool = KEPT_RATIO * np.maximum(0.0, free + taken) / np.maximum(acceptors.sum(axis=1), 1.0)
    held = np.where(acceptors > 0, actual + pool[:, None] * acceptors, world.target_bytes)
    little = np.where(gives, preferred, held)
    wanted: Floats = np.where((spare > 0)[:, None], shared, little)
    return wanted


def _in_proportion(preferred: Floats, maximum: Floats, spare: Floats) -> Floats:
    """Hand all out in proportion; what those at their maximum leave goes to the others evenly."""
    total = np.maximum(preferred.sum(axis=1), 1.0)
    raw = KEPT_RATIO * preferred * (1.0 + np.maximum(0.0, spare) / total)[:, None]
    given: Floats = np.minimum(raw, maximum)
    left = (raw - given).sum(axis=1)
    for _ in range(preferred.shape[1]):
        below = (given < maximum) & (preferred > 0)
        count = below.sum(axis=1)
        if not ((left >= MIB) & (count > 0)).any():
            break
        bonus = KEPT_RATIO * np.maximum(0.0, left) / np.maximum(count, 1)
        more = np.where(below, given + bonus[:, None], given)
        given = np.minimum(more, maximum)
        left = (more - given).sum(axis=1)
    return given


def _is_worth(world: World, preferred: Floats, wanted: Floats) -> Switches:
    """Say on which hosts the change is worth its while, shape [host]."""
    size = world.assigned_bytes
    change = wanted - size
    short = _free(world) < HOST_FREE_BYTES - HOST_SHORT_BYTES
    gains = ((change > GAIN_BYTES) & (size < preferred)).any(axis=1)
    worth: Switches = short | gains | (np.abs(change).sum(axis=1) > MOVED_BYTES)
    return worth
