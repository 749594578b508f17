"""Play several policies on the same hosts, in several processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np

from barostat.simulator.bound import Bound, lower_bound
from barostat.simulator.figures import Figures, figures_of
from barostat.simulator.hosts import Hosts
from barostat.simulator.policies.catalogue import make_policy
from barostat.simulator.run import run
from barostat.simulator.tally import Tally
from barostat.simulator.totals import GuestSeries, Series, Totals, join, totals_of
from barostat.simulator.trace import Integers, Trace
from barostat.simulator.workers import Progress, play_all
from barostat.simulator.world import World
from barostat.simulator.worst import Moment

__all__ = ["Comparison", "PolicyResult", "simulate", "tolerance_ratio"]

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

    @property
    def worst(self) -> Moment | None:
        """The moment in which most was missing on one host."""
        return self.totals.worst

    @property
    def series(self) -> Series | None:
        """How it was at the end of each row, if that was kept."""
        return self.totals.series


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


def _play(stage: _Stage, work: _Work) -> Totals:
    """Run one policy on some of the hosts."""
    trace, hosts = stage.trace, _some(stage.hosts, work.hosts)
    policy = make_policy(work.policy, equal_inputs=work.equal_inputs)
    tally = Tally(hosts, tolerance_ratio=tolerance_ratio(trace), last=getattr(policy, "last", None))
    first = int(work.hosts[0])
    film = _Film(tally, len(trace.times_s)) if work.keep_series else None
    tally.end(run(trace, hosts, policy, film or tally))
    return totals_of(tally, first_host=first, series=film.series(first) if film else None)


def tolerance_ratio(trace: Trace) -> float:
    """Say what may be missing of a VM's size before it counts as short."""
    return TOLERANCE_RATIO if trace.step_s > SAMPLED_S else 0.0


class _Film:
    """A tally that keeps how it was at the end of each row."""

    def __init__(self, tally: Tally, rows: int) -> None:
        self.tally = tally
        shape = tally.tolerance_bytes.shape
        self._hosts = np.zeros((3, rows, shape[0]))
        self._guests = np.zeros((2, rows, *shape), dtype=np.float32)

    def advance(self, world: World, passed_s: float) -> None:
        self.tally.advance(world, passed_s)

    def end_row(self, world: World, row: int) -> None:
        self.tally.end_row(world, row)
        sizes = world.demand_bytes, world.assigned_bytes, world.short_bytes
        self._hosts[:, row] = [held.sum(axis=1) for held in sizes]
        self._guests[:, row] = sizes[:2]

    def series(self, first_host: int) -> Series:
        """Give what was kept: of all hosts their sums, of the worst its guests."""
        moment = self.tally.worst.moment
        worst = 0 if moment is None else moment.host
        demand, assigned = self._guests[:, :, worst].copy()
        return Series(
            demand_bytes=self._hosts[0],
            assigned_bytes=self._hosts[1],
            missing_bytes=self._hosts[2],
            guests=GuestSeries(
                host=worst + first_host, demand_bytes=demand, assigned_bytes=assigned
            ),
        )


def _some(hosts: Hosts, numbers: Integers) -> Hosts:
    """Keep some of the hosts, by their numbers."""
    kept = {field.name: getattr(hosts, field.name)[numbers] for field in fields(hosts)}
    return replace(hosts, **kept)


def simulate(
    trace: Trace,
    hosts: Hosts,
    policies: Sequence[str],
    *,
    equal_inputs: bool = False,
    workers: int | None = None,
    keep_series: bool = False,
    progress: Progress | None = None,
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
    done = play_all(_play, _Stage(trace, hosts), work, workers=workers, progress=progress)
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
