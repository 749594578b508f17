"""The guests' memory, and how it moves: all guests of all hosts at once, in arrays [host, place].

A guest's memory is its working set (what the trace says it needs), page cache in what is left, and
a reserve that its kernel keeps free. What does not fit is paged out by its own kernel, and comes
back as often as the miss-ratio curve says: a deficit is turned over once in `Habits.turnover_s`.
What was granted is there at the pace of the balloon below the boot size, of virtio-mem above it.
On a host that promised more than it has, the host pages, which costs twice what the guest's own
paging does (VSwapper, ASPLOS 2014).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np

from barostat.simulator.hosts import Hosts
from barostat.simulator.trace import Floats, Switches
from barostat.units import GIB, MIB

__all__ = ["HOST_PAGING_COST", "Habits", "Look", "Rates", "World"]

HOST_PAGING_COST: Final = 2.0
"""What a byte that the host pages is worth of those that a guest pages (estimated by VSwapper)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """How fast a guest's drivers move memory, bytes a second, measured on KVM.

    HyperAlloc (EuroSys 2025): 18 GiB by virtio-balloon in 21.0 s taken, 8.5 s given back, by
    virtio-mem in 0.58 and 0.20 s.
    """

    inflate: float = 0.86 * GIB
    deflate: float = 2.1 * GIB
    unplug: float = 31.0 * GIB
    plug: float = 90.0 * GIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How a guest's kernel treats its memory.

    Attributes:
        turnover_s: the one parameter of the miss-ratio curve: what of the working set is not in
            memory is wanted back once in this time.
        reserve_ratio, reserve_low_bytes: what the kernel keeps free, as a share of what it has.
        cache_ratio: page cache that a guest would fill, as a share of its provisioned size, where
            the trace does not say it.
        lag_s: how old a guest's statistics are when they are read.
    """

    turnover_s: float = 60.0
    reserve_ratio: float = 1 / 128
    reserve_low_bytes: float = 8.0 * MIB
    cache_ratio: float = 0.25
    lag_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What guests said of themselves, and what they had when they said it; [host, place].

    Attributes:
        at_s: when.
        assigned_bytes: what they had.
        available_bytes, free_bytes, cache_bytes: MemAvailable, MemFree, page cache.
        swap_in_bytes, swap_out_bytes: counters.
        paged_bytes: swap in use.
    """

    at_s: float
    assigned_bytes: Floats
    available_bytes: Floats
    free_bytes: Floats
    cache_bytes: Floats
    swap_in_bytes: Floats
    swap_out_bytes: Floats
    paged_bytes: Floats


class World:
    """What is, on all hosts. Policies read it, and write with `ask` alone.

    Attributes:
        hosts: who lives where.
        now_s: the clock.
        changes: how often the guests' demand changed.
        present: whose VM is on.
        demand_bytes: what each guest's programs need; 0 where nobody is on.
        assigned_bytes: what each guest has.
        target_bytes: what it was asked to have.
        cache_bytes: page cache in it.
        paged_bytes: what it needs and its own kernel paged out.
        swap_in_bytes, swap_out_bytes: counters since the beginning.
        host_paged_bytes: what the host pages of each guest because it promised too much.
        host_paging: where a policy has the host page for the guest what the guest lacks.
        arrived_s: when each guest was last switched on.
    """

    def __init__(self, hosts: Hosts, *, rates: Rates, habits: Habits) -> None:
        self.hosts, self.rates, self.habits = hosts, rates, habits
        shape = hosts.vm.shape
        self.now_s = 0.0
        self.changes = 0
        self.present: Switches = np.zeros(shape, dtype=np.bool_)
        self.demand_bytes: Floats = np.zeros(shape)
        self.assigned_bytes: Floats = np.zeros(shape)
        self.target_bytes: Floats = np.zeros(shape)
        self.cache_bytes: Floats = np.zeros(shape)
        self.paged_bytes: Floats = np.zeros(shape)
        self.swap_in_bytes: Floats = np.zeros(shape)
        self.swap_out_bytes: Floats = np.zeros(shape)
        self.host_paged_bytes: Floats = np.zeros(shape)
        self.host_paging: Switches = np.zeros(shape, dtype=np.bool_)
        self.arrived_s: Floats = np.zeros(shape)
        self._cache_wanted: Floats = hosts.maximum_bytes * habits.cache_ratio
        self._lost_bytes: Floats = np.zeros(shape)
        self._looks: deque[Look] = deque()

    # What happens to the guests.

    def need(self, demand_bytes: Floats, cache_bytes: Floats | None = None) -> None:
        """Have guests need other sizes from now on; NaN switches a guest off.

        One that is switched on starts with its startup, or with what its host has left, but with
        no less than its minimum.
        """
        on = ~np.isnan(demand_bytes) & self.hosts.lived_in
        self._leave(self.present & ~on)
        self._arrive(on & ~self.present)
        self.demand_bytes = np.where(on, demand_bytes, 0.0)
        if cache_bytes is not None:
            self._cache_wanted = np.where(on, cache_bytes, 0.0)
        self.changes += 1
        self._settle(0.0)

    def _leave(self, gone: Switches) -> None:
        for held in (self.assigned_bytes, self.target_bytes, self.cache_bytes, self.paged_bytes,
                     self.swap_in_bytes, self.swap_out_bytes, self._lost_bytes):  # fmt: skip
            held[gone] = 0.0
        self.host_paging[gone] = False
        self.present &= ~gone

    def _arrive(self, new: Switches) -> None:
        if not new.any():
            return
        free = np.maximum(0.0, self.hosts.capacity_bytes - self.promised_bytes.sum(axis=1))
        wanted = np.where(new, self.hosts.startup_bytes, 0.0)
        before = np.cumsum(wanted, axis=1) - wanted
        left = np.maximum(self.hosts.minimum_bytes, free[:, None] - before)
        size = np.minimum(self.hosts.startup_bytes, left)
        self.assigned_bytes[new] = self.target_bytes[new] = size[new]
        self.arrived_s[new] = self.now_s
        self.present |= new

    def ask(self, target_bytes: Floats) -> None:
        """Ask guests to have other sizes; what is outside their bounds is not asked."""
        bounds = self.hosts.minimum_bytes, self.hosts.maximum_bytes
        asked = np.floor(np.clip(target_bytes, *bounds) / MIB) * MIB
        self.target_bytes = np.where(self.present, asked, 0.0)

    def advance(self, passed_s: float) -> None:
        """Let time pass."""
        self.now_s += passed_s
        if (self.target_bytes != self.assigned_bytes).any():
            self._move(passed_s)
        self._settle(passed_s)

    @property
    def moving_s(self) -> float:
        """How long the slowest guest that moves takes at its present pace; 0 if nobody does."""
        wanted = self.target_bytes - self.assigned_bytes
        if not wanted.any():
            return 0.0
        down, up = self._paces()
        pace = np.where(wanted < 0, down, up)
        moves = (wanted != 0) & (pace > 0)
        return float((np.abs(wanted[moves]) / pace[moves]).max(initial=0.0))

    def _paces(self) -> tuple[Floats, Floats]:
        """Bytes a second that each guest gives and takes."""
        hosts, rates, size = self.hosts, self.rates, self.assigned_bytes
        plugged = size > hosts.startup_bytes
        down: Floats = np.where(plugged, rates.unplug, rates.inflate) * hosts.pace * hosts.gives
        up: Floats = np.where(size >= hosts.startup_bytes, rates.plug, rates.deflate) * hosts.pace
        return down, up

    def _move(self, passed_s: float) -> None:
        """Go towards what was asked, as fast as the drivers do."""
        hosts, size = self.hosts, self.assigned_bytes
        down, up = self._paces()
        wanted = self.target_bytes - size
        moved = np.clip(wanted, -down * passed_s, up * passed_s)
        self._lost_bytes = np.where(hosts.returns, 0.0, np.maximum(0.0, self._lost_bytes - moved))
        self.assigned_bytes = size + moved

    def _settle(self, passed_s: float) -> None:
        """Say what is in memory, and what had to be paged."""
        room = np.maximum(0.0, self.assigned_bytes - self.reserve_bytes)
        resident = np.minimum(self.demand_bytes, room)
        paged = self.demand_bytes - resident
        self.cache_bytes = np.minimum(room - resident, self._cache_wanted)
        turned = paged * (passed_s / self.habits.turnover_s)
        self.swap_in_bytes += turned
        self.swap_out_bytes += turned + np.maximum(0.0, paged - self.paged_bytes)
        self.paged_bytes = paged
        used = np.where(self.present, self.used_by_host_bytes, 0.0)
        total = used.sum(axis=1)
        over = np.maximum(0.0, total - self.hosts.capacity_bytes)
        self.host_paged_bytes = used * (over / np.maximum(total, 1.0))[:, None]
        if self.habits.lag_s:
            self._looks.append(self._look())

    # What can be seen.

    def look(self) -> Look:
        """Read what guests say of themselves, as old as their statistics are."""
        if not self.habits.lag_s:
            return self._look()
        newest_s = self.now_s - self.habits.lag_s
        while len(self._looks) > 1 and self._looks[1].at_s <= newest_s:
            self._looks.popleft()
        return self._looks[0]

    def _look(self) -> Look:
        return Look(
            at_s=self.now_s,
            assigned_bytes=self.assigned_bytes,
            available_bytes=self.available_bytes,
            free_bytes=self.free_bytes,
            cache_bytes=self.cache_bytes,
            swap_in_bytes=self.swap_in_bytes.copy(),
            swap_out_bytes=self.swap_out_bytes.copy(),
            paged_bytes=self.paged_bytes,
        )

    @property
    def reserve_bytes(self) -> Floats:
        """What each guest's kernel keeps free."""
        habits = self.habits
        kept = habits.reserve_low_bytes + self.assigned_bytes * habits.reserve_ratio
        reserve: Floats = np.where(self.present, np.minimum(kept, self.assigned_bytes), 0.0)
        return reserve

    @property
    def resident_bytes(self) -> Floats:
        """The working set that is in memory."""
        resident: Floats = self.demand_bytes - self.paged_bytes
        return resident

    @property
    def free_bytes(self) -> Floats:
        """MemFree."""
        free: Floats = self.assigned_bytes - self.resident_bytes - self.cache_bytes
        whole: Floats = np.maximum(0.0, free)
        return whole

    @property
    def available_bytes(self) -> Floats:
        """MemAvailable; what a liar says of it is nothing."""
        free = self.assigned_bytes - self.resident_bytes - self.reserve_bytes
        available: Floats = np.where(self.hosts.lies, 0.0, np.maximum(0.0, free))
        return available

    @property
    def used_by_host_bytes(self) -> Floats:
        """The memory of the host that each guest's QEMU really holds (RSS)."""
        used: Floats = self.resident_bytes + self.cache_bytes + self._lost_bytes
        return used

    @property
    def promised_bytes(self) -> Floats:
        """What each guest has, or may take."""
        promised: Floats = np.maximum(self.assigned_bytes, self.target_bytes) + self._lost_bytes
        return promised

    @property
    def host_free_bytes(self) -> Floats:
        """What each host has left of its capacity, MemAvailable; shape [host]."""
        used = np.where(self.present, self.used_by_host_bytes, 0.0).sum(axis=1)
        free: Floats = np.maximum(0.0, self.hosts.capacity_bytes - used)
        return free

    @property
    def short_bytes(self) -> Floats:
        """What each guest needs and does not have, what the host pages counted by its cost."""
        short = np.maximum(0.0, self.demand_bytes - self.assigned_bytes)
        cost = np.where(self.host_paging, HOST_PAGING_COST, 1.0)
        lacking: Floats = short * cost + self.host_paged_bytes * HOST_PAGING_COST
        return lacking
