"""One run: a trace, hosts, and one policy, from the first row to the last.

Demand changes at a row and stays until the next: nothing is made up in between. Within a row the
policy looks as often as it does in life, and what it asks arrives as fast as guests move memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from barostat.simulator.hosts import Hosts
from barostat.simulator.policies.base import SizingPolicy
from barostat.simulator.trace import Floats, Trace
from barostat.simulator.world import Habits, Rates, World

__all__ = ["Recorder", "run"]

MINUTE_S: Final = 60.0
LEAST_S: Final = 0.01
MOST_S: Final = 1.0
"""The pieces that time is cut into while memory moves."""
SHORTEST_S: Final = 1e-6
"""What is left of a row after so many additions of floats is none of it."""


class Recorder(Protocol):
    """Takes down what happens in a run."""

    def advance(self, world: World, passed_s: float) -> None:
        """Let time pass by `world.advance`, and take down what it brought."""
        ...

    def end_row(self, world: World, row: int) -> None:
        """Take down how a row of the trace ended."""
        ...


def run(
    trace: Trace,
    hosts: Hosts,
    policy: SizingPolicy,
    recorder: Recorder,
    *,
    rates: Rates = Rates(),  # noqa: B008 - frozen
    habits: Habits = Habits(),  # noqa: B008 - frozen
    progress: Callable[[int], object] | None = None,
) -> World:
    """Play a trace through.

    Args:
        trace: what VMs need.
        hosts: which of them live where.
        policy: who sizes them; made for this run.
        recorder: takes down what happens.
        rates: how fast guests move memory.
        habits: how their kernels treat it.
        progress: told how many rows are done.

    Returns:
        How it is at the end.
    """
    world = World(hosts, rates=rates, habits=habits)
    demand = _by_place(trace.demand_bytes, hosts)
    cache = None if trace.cache_bytes is None else _by_place(trace.cache_bytes, hosts)
    pace = _Pace()
    for row in range(len(trace.times_s)):
        world.need(demand(row), None if cache is None else cache(row))
        pace.play_row(world, policy, recorder, trace.step_s)
        recorder.end_row(world, row)
        if progress is not None:
            progress(row + 1)
    return world


def _by_place(rows: Floats, hosts: Hosts) -> Callable[[int], Floats]:
    lived_in = hosts.lived_in

    def of(row: int) -> Floats:
        return np.where(lived_in, rows[row][hosts.vm], np.nan)

    return of


@dataclass(slots=True)
class _Pace:
    """When a policy acts: as often as it does in life, however short the rows of the trace are."""

    act_s: float = math.inf

    def play_row(
        self, world: World, policy: SizingPolicy, recorder: Recorder, step_s: float
    ) -> None:
        """Let one row's time pass, in pieces that end where the policy acts.

        Who waits for a change sees it after half of the time between two looks, on average. While
        guests are short, no piece goes over the end of a minute: minutes are judged one by one. Nor
        does one go on after memory has arrived: within a piece, all sizes are on a line.
        """
        end_s = world.now_s + step_s
        if math.isinf(self.act_s):  # nothing was to be looked for before this change
            self.act_s = world.now_s + policy.period_s / 2
        while (left_s := end_s - world.now_s) > SHORTEST_S:
            span_s = min(left_s, max(self.act_s - world.now_s, SHORTEST_S))
            if world.short_bytes.any():
                span_s = min(span_s, MINUTE_S - math.fmod(world.now_s, MINUTE_S))
            if (moving_s := world.moving_s) > 0:
                span_s = min(span_s, max(LEAST_S, min(moving_s, MOST_S)))
            recorder.advance(world, span_s)
            if world.now_s >= self.act_s - SHORTEST_S:
                wait_s = policy.act(world)
                self.act_s = math.inf if wait_s is None else world.now_s + wait_s
