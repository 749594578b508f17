"""Whether more VMs fit, tried out: the busiest day of the last week, played with Barostat.

A row of the history says the most that was needed in minutes, so where one begins, demand jumps as
it did not in life. What is lacking for that alone is lacking on a host with memory for all, too:
the same VMs are played on one, and only what is lacking beyond that counts.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from barostat.core.settings import DEFAULT_BUFFER_PERCENT, DEFAULT_WEIGHT
from barostat.simulator.forecast.recorded import Recorded, days_of
from barostat.simulator.hosts import Hosts
from barostat.simulator.policies.barostat import Barostat
from barostat.simulator.run import run
from barostat.simulator.tally import Tally
from barostat.simulator.trace import Floats, Integers, Trace
from barostat.simulator.workers import play_all
from barostat.simulator.world import World

__all__ = ["CHECKED_DRAWS", "Check", "check", "unchecked"]

CHECKED_DRAWS: Final = 8
WEEK_DAYS: Final = 7
WARM_UP_S: Final = 900.0
"""All start at once with their startup, as they did not in life: so long it is not judged."""

ALONE_GUEST_ROWS: Final = 50_000
"""What one process plays in the time in which others could be started."""

COARSEST_S: Final = 900.0
"""In longer rows, peaks that were not at the same time are taken to have been."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What the replay came to.

    Attributes:
        more: how many more VMs fit, no more than were asked for.
        lacking_ratio: the share of the VMs' minutes in which they lacked memory with so many; at
            least so much, where it is more than may be.
        anyway_ratio: the same on a host with memory for all; None where that was not in question.
        day_s: when the day begins that was played.
        rows: how many rows it has.
        draws: how many hosts were drawn.
    """

    more: int
    lacking_ratio: float
    anyway_ratio: float | None
    day_s: float
    rows: int
    draws: int


def unchecked(recorded: Recorded) -> str:
    """Say why nothing can be tried out; blank if it can."""
    if recorded.unsettled:
        return f"the VMs' settings are not known: {recorded.unsettled}"
    if recorded.step_s > COARSEST_S:
        return f"a sample of so long a time is {recorded.step_s / 60:.0f} min; look back less far"
    if not days_of(recorded):
        return "no whole day was recorded"
    return ""


def check(
    recorded: Recorded,
    drawn: Integers,
    *,
    most: int,
    slo_ratio: float,
) -> Check:
    """Find how many of the VMs that were drawn fit beside those that are here.

    Args:
        recorded: the history; `unchecked` says nothing against it.
        drawn: VMs that come, one after the other, shape [draw, order].
        most: how many are tried at first; fewer, if these are too many.
        slo_ratio: the share of minutes in which memory may lack.
    """
    stage = _Stage(recorded, slo_ratio)
    found = stage.play(drawn, most)
    if _good(found, slo_ratio) or not most:
        return found
    low, high = stage.play(drawn, 0), most  # what fits, and what does not
    while _good(low, slo_ratio) and high - low.more > 1:
        tried = stage.play(drawn, (low.more + high) // 2)
        if _good(tried, slo_ratio):
            low = tried
        else:
            high = tried.more
    return low


def _good(found: Check, slo_ratio: float) -> bool:
    return found.lacking_ratio - (found.anyway_ratio or 0.0) <= slo_ratio


@dataclass(frozen=True, slots=True)
class _Work:
    """Hosts that one process plays: who is on them, and after how much lack it may stop."""

    vm: Integers
    capacity_bytes: Floats
    most_s: float


class _Stage:
    """The day that is played, and who is on it."""

    def __init__(self, recorded: Recorded, slo_ratio: float) -> None:
        self.slo_ratio = slo_ratio
        held = recorded.held_bytes
        total = np.nansum(held[:, recorded.here], axis=1)
        week = [rows for ago, rows in days_of(recorded) if ago < WEEK_DAYS]
        days = week or [days_of(recorded)[-1][1]]
        rows = max(days, key=lambda rows: float(total[rows].max()))
        self.first_s, self.rows = float(recorded.times_s[rows[0]]), len(rows)
        self.warm_up = math.ceil(WARM_UP_S / recorded.step_s)
        rows = np.append(np.full(self.warm_up, rows[0]), rows)
        bounds, last = recorded.bounds, _last(recorded.assigned_bytes)
        # Of a VM that was off when settings were last recorded only its sizes are known.
        fixed = ~bounds.moves | np.isinf(bounds.maximum_bytes)
        self.minimum = np.where(fixed, last, bounds.minimum_bytes)
        self.startup = np.where(fixed, last, bounds.startup_bytes)
        self.maximum = np.where(fixed, last, bounds.maximum_bytes)
        self.moves, self.here = ~fixed, recorded.here
        self.weight, self.buffer_percent = _ranks(recorded)
        self.capacity_bytes = recorded.capacity_bytes
        self.trace = Trace(
            name="the busiest day",
            vms=recorded.vms,
            size_bytes=self.maximum,
            times_s=recorded.times_s[rows],
            step_s=recorded.step_s,
            # What a VM wants beyond its maximum, no host could give it.
            demand_bytes=np.minimum(recorded.demand_bytes[rows], self.maximum),
        )

    def play(self, drawn: Integers, more: int) -> Check:
        """Play the day on hosts with so many more VMs.

        Where more lacks than may, it is played on hosts with memory for all, too, and again with
        what lacks even there allowed for.
        """
        draws = len(drawn)
        vm = np.hstack([np.tile(self.here, (draws, 1)), drawn[:, :more]])
        capacity, slo = np.full(draws, self.capacity_bytes), self.slo_ratio
        lacking, anyway = 1.0, None
        if (self.minimum[vm].sum(axis=1) <= capacity).all():
            lacking = self._lacking(vm, capacity, most_ratio=slo)
            if lacking > slo:
                ample: Floats = self.maximum[vm].sum(axis=1) * 2
                anyway = self._lacking(vm, ample, most_ratio=1.0)
                if anyway:
                    lacking = self._lacking(vm, capacity, most_ratio=anyway + slo)
        return Check(
            more=more,
            lacking_ratio=lacking,
            anyway_ratio=anyway,
            day_s=self.first_s,
            rows=self.rows,
            draws=draws,
        )

    def _lacking(self, vm: Integers, capacity_bytes: Floats, *, most_ratio: float) -> float:
        """Play the day, or as much of it as it takes until more lacks than may."""
        on = ~np.isnan(self.trace.demand_bytes[self.warm_up :])
        on_s = max(float(on.sum(axis=0)[vm].sum()) * self.trace.step_s, 1.0)
        large = vm.size * len(self.trace.times_s) > ALONE_GUEST_ROWS
        pieces = np.array_split(np.arange(len(vm)), len(vm) if large else 1)
        work = [_Work(vm[piece], capacity_bytes[piece], most_ratio * on_s) for piece in pieces]
        return sum(play_all(_bad_s, self, work)) / on_s

    def bad_s(self, work: _Work) -> float:
        """Say in how much of their time the VMs of some hosts lacked memory."""
        hosts = self._hosts(work.vm, work.capacity_bytes)
        tally = Tally(hosts)
        judge = _Judge(tally, first_row=self.warm_up, most_s=work.most_s)
        with contextlib.suppress(_EnoughError):
            tally.end(run(self.trace, hosts, Barostat(), judge))
        return float(tally.guests["bad_s"].sum())

    def _hosts(self, vm: Integers, capacity_bytes: Floats) -> Hosts:
        ones = np.ones(vm.shape)
        return Hosts(
            vm=vm,
            capacity_bytes=capacity_bytes,
            startup_bytes=self.startup[vm],
            minimum_bytes=self.minimum[vm],
            maximum_bytes=self.maximum[vm],
            weight=self.weight[vm],
            buffer_percent=self.buffer_percent[vm],
            gives=self.moves[vm],
            pace=ones,
            lies=ones < 0,
            returns=ones > 0,
        )


def _bad_s(stage: _Stage, work: _Work) -> float:
    return stage.bad_s(work)


class _EnoughError(Exception):
    """What is seen suffices."""


class _Judge:
    """Takes nothing down of the first rows, and ends the run as soon as more lacks than may.

    A host on which memory lacks is looked at every second: to play it to its end takes long.
    """

    def __init__(self, tally: Tally, *, first_row: int, most_s: float) -> None:
        self._tally, self._first_row, self._most_s, self._row = tally, first_row, most_s, 0

    def advance(self, world: World, passed_s: float) -> None:
        """Let time pass."""
        if self._row < self._first_row:
            world.advance(passed_s)
            return
        self._tally.advance(world, passed_s)
        if self._tally.guests["bad_s"].sum() > self._most_s:
            raise _EnoughError

    def end_row(self, world: World, row: int) -> None:
        """Know which row is next."""
        self._row = row + 1
        self._tally.end_row(world, row)


def _ranks(recorded: Recorded) -> tuple[Floats, Floats]:
    """Give the VMs' weights, and buffers in percent."""
    found = [recorded.settings.get(vm) for vm in recorded.vms]
    weights = [item.weight if item else DEFAULT_WEIGHT for item in found]
    buffers = [item.buffer_percent if item else DEFAULT_BUFFER_PERCENT for item in found]
    return np.array(weights, dtype=np.float64), np.array(buffers, dtype=np.float64)


def _last(sizes: Floats) -> Floats:
    """Give the last known number of each column, 0 where none is."""
    known = ~np.isnan(sizes)
    rows = len(sizes) - 1 - np.argmax(known[::-1], axis=0)
    last: Floats = np.where(known.any(axis=0), sizes[rows, np.arange(sizes.shape[1])], 0.0)
    return last
