"""Time to simulate a second of n guests on one core: the engine alone, a peer, the real brain.

The same hosts are played by fixed sizes, which is the engine alone, by the rule of a peer, and by
the real brain; what happens is taken down as in a comparison. Needs change every second, so all of
them look every second, or as often as they do in life.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field

import numpy as np

from barostat.simulator.hosts import Hosts, lay_out
from barostat.simulator.policies.catalogue import make_policy
from barostat.simulator.run import run as play
from barostat.simulator.tally import Tally
from barostat.simulator.trace import Trace
from barostat.simulator.world import World
from barostat.units import GIB, MIB
from benchmarks.harness import Cell, Result

SIZES = ((1, 20), (1, 100), (1, 1_000), (1, 10_000), (100, 20), (1_000, 20))
"""Hosts, and guests on each."""
POLICIES = ("static", "proxmox", "barostat")
WARMING_ROWS = 12
"""Not timed: guests are left alone for 10 s after they were started."""
TIMED_GUESTS = 40_000
MOST_ROWS, LEAST_ROWS = 200, 10
"""Rows that are timed: as many as make so many guests. A peer looks every 10 s."""
CHANGED_RATIO = 0.1
ARRAYS = 60
"""Operations on arrays of a float a guest that the engine and its tally do at least, a second."""


@dataclass(slots=True)
class Timed:
    """A tally that knows how long each row took."""

    tally: Tally
    ended_s: list[float] = field(default_factory=list)

    def advance(self, world: World, passed_s: float) -> None:
        self.tally.advance(world, passed_s)

    def end_row(self, world: World, row: int) -> None:
        self.tally.end_row(world, row)
        self.ended_s.append(time.perf_counter())

    @property
    def rows_s(self) -> list[float]:
        """Of the rows after those that warm up."""
        took: list[float] = np.diff(self.ended_s).tolist()
        return took[WARMING_ROWS - 1 :]


def run() -> Result:
    rows, samples = measured()
    return Result(
        title="Simulating",
        columns=(
            "hosts",
            "guests each",
            "policy",
            "a second of all, ms",
            "guest-seconds a second",
            "times a tenth",
            "limit: numpy alone",
            "share of it",
        ),
        rows=tuple(rows),
        note=f"means of rows of one second, one core; in each, {CHANGED_RATIO:.0%} of the guests "
        f"need another size and hosts are short. The limit does {ARRAYS} additions of arrays, and "
        "nothing else. `times a tenth`: of the time for a tenth of the guests; 10 is linear",
        samples=samples,
    )


def measured() -> tuple[list[tuple[Cell, ...]], dict[str, list[float]]]:
    rows: list[tuple[Cell, ...]] = []
    samples: dict[str, list[float]] = {}
    for hosts, guests in SIZES:
        trace, laid = made(hosts, guests)
        limit_s = limit(hosts * guests)
        for policy in POLICIES:
            key = f"{policy} {hosts}x{guests}"
            samples[key] = played(policy, trace, laid)
            fewer = samples.get(f"{policy} {fewer_of(hosts, guests)}")
            rows.append(row((hosts, guests), policy, samples[key], fewer, limit_s))
    return rows, samples


def fewer_of(hosts: int, guests: int) -> str:
    """Name the size that is a tenth."""
    return f"{hosts}x{guests // 10}" if hosts == 1 else f"{hosts // 10}x{guests}"


def row(
    size: tuple[int, int],
    policy: str,
    took_s: list[float],
    fewer_s: list[float] | None,
    limit_s: float,
) -> tuple[Cell, ...]:
    hosts, guests = size
    second_s = statistics.fmean(took_s)
    return (
        hosts,
        guests,
        policy,
        second_s * 1e3,
        hosts * guests / second_s,
        "" if fewer_s is None else f"{second_s / statistics.fmean(fewer_s):.1f}",
        hosts * guests / limit_s,
        f"{limit_s / second_s:.2%}",
    )


def played(policy: str, trace: Trace, hosts: Hosts) -> list[float]:
    """Play a policy; give the seconds that each row took."""
    timed = Timed(Tally(hosts))
    play(trace, hosts, make_policy(policy), timed)
    if policy != "static" and not timed.tally.guests["moves"].any():
        raise RuntimeError(f"{policy} moved nobody: that is not what is to be timed")
    return timed.rows_s


def made(hosts: int, guests: int) -> tuple[Trace, Hosts]:
    """Make hosts that are short, and guests some of which need another size in each row."""
    vms = hosts * guests
    rows = WARMING_ROWS + min(MOST_ROWS, max(LEAST_ROWS, TIMED_GUESTS // vms))
    chance = np.random.default_rng(vms)
    demand = np.empty((rows, vms))
    demand[0] = chance.uniform(200, 1800, vms)
    for number in range(1, rows):
        changed = chance.random(vms) < CHANGED_RATIO
        demand[number] = np.where(changed, chance.uniform(200, 1800, vms), demand[number - 1])
    trace = Trace(
        name="made",
        vms=tuple(f"vm{number}" for number in range(vms)),
        size_bytes=np.full(vms, 2.0 * GIB),
        times_s=np.arange(rows, dtype=np.float64),
        step_s=1.0,
        demand_bytes=demand * MIB,
    )
    return trace, lay_out(trace, np.arange(vms).reshape(hosts, guests), capacity_ratio=0.5)


def limit(guests: int) -> float:
    """Give the seconds that numpy needs for the arithmetic of one simulated second."""
    held, took_s = np.ones(guests), []
    for _ in range(50):
        began_s = time.perf_counter()
        for _ in range(ARRAYS):
            held = held + 1.0
        took_s.append(time.perf_counter() - began_s)
    return statistics.median(took_s)
