"""Play several policies on the same hosts, in several processes."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np

from barostat.simulator.bound import Bound, lower_bound
from barostat.simulator.figures import Figures, figures_of
from barostat.simulator.hosts import Hosts
from barostat.simulator.policies.catalogue import make_policy
from barostat.simulator.run import run
from barostat.simulator.tally import Tally
from barostat.simulator.totals import Series, Totals, join, totals_of
from barostat.simulator.trace import Floats, Integers, Trace
from barostat.simulator.world import World

__all__ = ["Comparison", "PolicyResult", "simulate"]

STATIC: Final = "static"
MOST_HOSTS: Final = 8
"""Hosts that one piece of work has at most, so that progress can be seen."""
SAMPLED_S: Final = 60.0
"""Rows longer than this come of samples, which are not exact."""
TOLERANCE_RATIO: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyResult:
    """One policy.

    Attributes:
        name: as `--policy` takes it.
        figures: over all hosts.
        totals: the sums they come of, a host apart.
    """

    name: str
    figures: Figures
    totals: Totals


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All policies on the same hosts.

    Attributes:
        trace, hosts: what they were played on.
        results: a policy each, in the order asked for.
        bound: what nobody could avoid.
    """

    trace: Trace
    hosts: Hosts
    results: tuple[PolicyResult, ...]
    bound: Bound


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    policy: str
    hosts: Integers
    equal_inputs: bool
    keep_series: bool


@dataclass(frozen=True, slots=True)
class _Stage:
    """What all processes play on."""

    trace: Trace
    hosts: Hosts

    def play(self, work: _Work) -> Totals:
        """Run one policy on some of the hosts."""
        hosts = _some(self.hosts, work.hosts)
        policy = make_policy(work.policy, equal_inputs=work.equal_inputs)
        tolerance = tolerance_ratio(self.trace)
        tally = Tally(hosts, tolerance_ratio=tolerance, last=getattr(policy, "last", None))
        film = _Film(tally, len(self.trace.times_s) if work.keep_series else 0, len(work.hosts))
        world = run(self.trace, hosts, policy, film)
        tally.end(world)
        return totals_of(tally, first_host=int(work.hosts[0]), series=film.series)


def tolerance_ratio(trace: Trace) -> float:
    """Say what may be missing of a VM's size before it counts as short."""
    return TOLERANCE_RATIO if trace.step_s > SAMPLED_S else 0.0


class _Film:
    """A tally that keeps how it was at the end of each row."""

    def __init__(self, tally: Tally, rows: int, hosts: int) -> None:
        self.tally, self.rows = tally, rows
        self._kept: Floats = np.zeros((3, rows, hosts))

    @property
    def series(self) -> Series | None:
        demand, assigned, missing = self._kept
        if not self.rows:
            return None
        return Series(demand_bytes=demand, assigned_bytes=assigned, missing_bytes=missing)

    def advance(self, world: World, passed_s: float) -> None:
        self.tally.advance(world, passed_s)

    def end_row(self, world: World, row: int) -> None:
        if self.rows:
            sizes = world.demand_bytes, world.assigned_bytes, world.short_bytes
            self._kept[:, row] = [held.sum(axis=1) for held in sizes]


def _some(hosts: Hosts, numbers: Integers) -> Hosts:
    kept = {field.name: getattr(hosts, field.name)[numbers] for field in fields(hosts)}
    return replace(hosts, **kept)


_stage: _Stage | None = None


def _prepare(stage: _Stage) -> None:
    """Make a process ready: it is given the trace once, and ends at Ctrl-C without a word."""
    global _stage  # noqa: PLW0603 - what a process of the pool works on
    _stage = stage
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _play(work: _Work) -> Totals:
    assert _stage is not None, "prepared when the process began"  # noqa: S101
    return _stage.play(work)


def simulate(
    trace: Trace,
    hosts: Hosts,
    policies: Sequence[str],
    *,
    equal_inputs: bool = False,
    workers: int | None = None,
    keep_series: bool = False,
    progress: Callable[[float], object] | None = None,
) -> Comparison:
    """Play policies on the same hosts.

    Args:
        trace: what VMs need.
        hosts: who lives where.
        policies: names of `catalogue.NAMES`.
        equal_inputs: give all policies the same inputs, instead of what they read in life.
        workers: processes; as many as there are processors unless it is said.
        keep_series: keep how it was at the end of each row.
        progress: told the share that is done.

    Raises:
        InputError: a policy is not known.
    """
    names = list(dict.fromkeys((STATIC, *policies)))
    for name in names:
        make_policy(name)
    pieces = max(1, -(-len(hosts.vm) // MOST_HOSTS))
    blocks = np.array_split(np.arange(len(hosts.vm)), pieces)
    work = [
        _Work(policy=name, hosts=block, equal_inputs=equal_inputs, keep_series=keep_series)
        for name in reversed(names)  # the slow ones first: the last piece is a short one
        for block in blocks
    ]
    done = _play_all(_Stage(trace, hosts), work, workers, progress or (lambda _share: None))
    parts = dict(zip(((item.policy, int(item.hosts[0])) for item in work), done, strict=True))
    totals = {name: join([parts[name, int(block[0])] for block in blocks]) for name in names}
    bound = lower_bound(trace, hosts, tolerance_ratio=tolerance_ratio(trace))
    results = tuple(
        PolicyResult(
            name=name,
            figures=figures_of(totals[name], static=totals[STATIC], bound=bound),
            totals=totals[name],
        )
        for name in dict.fromkeys(policies)
    )
    return Comparison(trace=trace, hosts=hosts, results=results, bound=bound)


def _play_all(
    stage: _Stage, work: Sequence[_Work], workers: int | None, progress: Callable[[float], object]
) -> list[Totals]:
    count = min(workers or os.cpu_count() or 1, len(work))
    if count == 1:
        done = []
        for number, item in enumerate(work, start=1):
            done.append(stage.play(item))
            progress(number / len(work))
        return done
    pool = concurrent.futures.ProcessPoolExecutor(
        count,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_prepare,
        initargs=(stage,),
    )
    try:
        futures = [pool.submit(_play, item) for item in work]
        for number, _ in enumerate(concurrent.futures.as_completed(futures), start=1):
            progress(number / len(work))
        return [future.result() for future in futures]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
