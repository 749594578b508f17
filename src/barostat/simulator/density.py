"""How many VMs a host carries, at the same quality, under each policy.

VMs come to a host in an order drawn by chance, the same for all policies. The density is the
largest number of them of which this and every smaller number that was tried are well: bad minutes
are a small share of the VMs' time. More VMs are usually worse, but not always, as policies are
rules of thumb: so the neighbours of what a bisection finds are tried too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from barostat.errors import InputError
from barostat.simulator.bootstrap import RESAMPLES, Interval, mean_interval, ratio_interval
from barostat.simulator.ceiling import Ceiling, holdable_bytes
from barostat.simulator.hosts import EMPTY, Sizing, draw, lay_out
from barostat.simulator.policies.catalogue import make_policy
from barostat.simulator.run import run
from barostat.simulator.tally import Tally
from barostat.simulator.trace import Floats, Integers, Trace
from barostat.simulator.workers import Progress, play_all
from barostat.simulator.world import Habits

__all__ = ["CLAIRVOYANT", "RIGHT_SIZED", "Densities", "Density", "Search", "density"]

RIGHT_SIZED: Final = "right-sized"
"""Each VM is fixed at its own peak, which nobody knows in advance."""
CLAIRVOYANT: Final = "clairvoyant"
SLO_RATIO: Final = 0.001
NEIGHBOURS: Final = 3
"""How many smaller numbers are tried beside the one that was found."""
MOST_DRAWS: Final = 5
"""Draws that one piece of work has at most."""
STRIDE: Final = 1.5
"""By what numbers are stepped up until one is too large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Density:
    """One policy.

    Attributes:
        policy: its name, or `RIGHT_SIZED`, or `CLAIRVOYANT`.
        counts: VMs on the host, a draw each.
        vms: their mean.
        gain: how many times as many as when each is fixed at its own peak; None if none was.
    """

    policy: str
    counts: tuple[int, ...]
    vms: Interval
    gain: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Densities:
    """All policies on the same host.

    Attributes:
        capacity_bytes: what the host may hand out.
        slo_ratio: the share of the VMs' time that may be bad.
        most: VMs that could run at all, by their minimums, or by how many the trace has; a draw
            each. A policy that reaches this could have carried more of a longer trace.
        results: each VM at its own peak, the policies in the order asked for, the clairvoyant.
    """

    capacity_bytes: float
    slo_ratio: float
    most: tuple[int, ...]
    results: tuple[Density, ...]


class Search:
    """Looks for the largest number of VMs that is well, and so is each smaller one that was tried.

    Args:
        most: no more is possible.
        guess: what to try first.
    """

    def __init__(self, *, most: int, guess: int) -> None:
        self._most, self._guess = most, min(max(guess, 1), most)
        self._well: set[int] = {0}
        self._high = most + 1

    @property
    def best(self) -> int:
        """What was found so far."""
        return max(number for number in self._well if number < self._high)

    def next(self) -> int | None:
        """Say what to try; None when it is found."""
        low, high = self.best, self._high
        if high > self._most and low < self._most:  # nothing was too large yet
            stepped = max(low + 1, round(low * STRIDE))
            return min(stepped, self._most) if low else self._guess
        if high - low > 1:
            return (low + high) // 2
        below = range(low - 1, max(0, low - 1 - NEIGHBOURS), -1)
        return next((number for number in below if number not in self._well), None)

    def tell(self, number: int, *, well: bool) -> None:
        """Take down what came of trying a number."""
        if well:
            self._well.add(number)
        else:
            self._high = min(self._high, number)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stage:
    """What all pieces of work share. `order` and bounds have the shape [draw, vm]."""

    trace: Trace
    order: Integers
    capacity_bytes: float
    slo_ratio: float
    grace_s: float
    sizing: Sizing
    equal_inputs: bool
    most: tuple[int, ...]
    guess: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Work:
    policy: str
    draws: tuple[int, ...]


def density(
    trace: Trace,
    policies: Sequence[str],
    *,
    capacity_bytes: float,
    draws: int,
    slo_ratio: float = SLO_RATIO,
    grace_s: float = 0.0,
    seed: int = 0,
    equal_inputs: bool = False,
    sizing: Sizing = Sizing(),  # noqa: B008 - frozen
    workers: int | None = None,
    resamples: int = RESAMPLES,
    progress: Progress | None = None,
) -> Densities:
    """Look how many VMs a host carries under each policy.

    What a VM needs beyond what it can hold at its maximum no host can give: it is cut off for all.

    Args:
        trace: what VMs need.
        policies: names of `catalogue.NAMES`.
        capacity_bytes: what the host may hand out.
        draws: how many orders of VMs are drawn.
        slo_ratio: the share of the VMs' time that may be bad.
        grace_s: minutes that are over this soon after needs changed are not bad (see `Tally`).
        seed: of the draws, and of the intervals.
        equal_inputs: give all policies the same inputs, instead of what they read in life.
        sizing: the VMs' settings.
        workers: processes; as many as there are processors unless it is said.
        resamples: how often draws are drawn anew for the intervals.
        progress: told the share that is done.

    Raises:
        InputError: a policy is not known, or no VM fits.
    """
    for name in policies:
        make_policy(name)
    trace = replace(
        trace,
        demand_bytes=np.minimum(trace.demand_bytes, holdable_bytes(trace.size_bytes, Habits())),
    )
    order = draw(trace, hosts=draws, guests=len(trace.vms), seed=seed)
    ceilings = _ceilings(trace, order, capacity_bytes, sizing, grace_s)
    stage = _Stage(
        trace=trace,
        order=order,
        capacity_bytes=capacity_bytes,
        slo_ratio=slo_ratio,
        grace_s=grace_s,
        sizing=sizing,
        equal_inputs=equal_inputs,
        most=tuple(ceiling.by_minimums() for ceiling in ceilings),
        guess=tuple(ceiling.by_peaks() for ceiling in ceilings),
    )
    counts = {RIGHT_SIZED: list(stage.guess)}
    counts |= _search_all(stage, list(dict.fromkeys(policies)), workers, progress)
    counts[CLAIRVOYANT] = [ceiling.by_foresight(slo_ratio) for ceiling in ceilings]
    return Densities(
        capacity_bytes=capacity_bytes,
        slo_ratio=slo_ratio,
        most=stage.most,
        results=tuple(
            _density(name, numbers, stage.guess, resamples, seed)
            for name, numbers in counts.items()
        ),
    )


def _ceilings(
    trace: Trace, order: Integers, capacity_bytes: float, sizing: Sizing, grace_s: float
) -> list[Ceiling]:
    bounds = lay_out(trace, order, sizing=sizing)  # with room for all: only their bounds are used
    ceilings = [
        Ceiling(
            trace=trace,
            order=order[number],
            minimum_bytes=bounds.minimum_bytes[number],
            maximum_bytes=bounds.maximum_bytes[number],
            capacity_bytes=capacity_bytes,
            habits=Habits(),
            grace_s=grace_s,
        )
        for number in range(len(order))
    ]
    if not all(ceiling.by_minimums() for ceiling in ceilings):
        raise InputError(
            "the host could not hold the minimum of a single VM in some draws",
            hint="give it more capacity",
        )
    return ceilings


def _density(
    name: str, counts: Sequence[int], fixed: Sequence[int], resamples: int, seed: int
) -> Density:
    ours, theirs = np.array(counts, dtype=np.float64), np.array(fixed, dtype=np.float64)
    return Density(
        policy=name,
        counts=tuple(counts),
        vms=mean_interval(ours, resamples=resamples, seed=seed),
        gain=ratio_interval(ours, theirs, resamples=resamples, seed=seed) if any(fixed) else None,
    )


def _search_all(
    stage: _Stage, policies: Sequence[str], workers: int | None, progress: Progress | None
) -> dict[str, list[int]]:
    """Find the densities of policies, by name, a draw each."""
    draws = np.arange(len(stage.order))
    work = [
        _Work(name, tuple(block.tolist()))
        for name in reversed(policies)  # the slow ones first: the last piece is a short one
        for block in np.array_split(draws, -(-len(draws) // MOST_DRAWS))
    ]
    counts: dict[str, list[int]] = {name: [] for name in policies}
    found = play_all(_search, stage, work, workers=workers, progress=progress)
    for piece, numbers in zip(work, found, strict=True):
        counts[piece.policy] += numbers
    return counts


def _search(stage: _Stage, work: _Work) -> list[int]:
    """Find the density of some draws, all at once."""
    searches = {
        number: Search(most=stage.most[number], guess=stage.guess[number]) for number in work.draws
    }
    while True:
        tries = {number: search.next() for number, search in searches.items()}
        counts = {number: count for number, count in tries.items() if count is not None}
        if not counts:
            return [search.best for search in searches.values()]
        for number, bad_ratio in zip(counts, _play(stage, work.policy, counts), strict=True):
            searches[number].tell(counts[number], well=bad_ratio <= stage.slo_ratio)


def _play(stage: _Stage, policy: str, counts: dict[int, int]) -> Floats:
    """Play a policy on a host for each draw; give the share of bad time, shape [draw]."""
    place = np.arange(max(counts.values()))
    numbers = np.array(list(counts))
    lived = place < np.array(list(counts.values()))[:, None]
    vm = np.where(lived, stage.order[numbers][:, place], EMPTY)
    hosts = lay_out(stage.trace, vm, capacity_bytes=stage.capacity_bytes, sizing=stage.sizing)
    tally = Tally(hosts, grace_s=stage.grace_s)
    tally.end(run(stage.trace, hosts, make_policy(policy, equal_inputs=stage.equal_inputs), tally))
    sums = tally.guests
    share: Floats = sums["bad_s"].sum(axis=1) / np.maximum(sums["on_s"].sum(axis=1), 1.0)
    return share
