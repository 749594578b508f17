"""Time of the processor for ticks and the fast lane over n guests, beside ticks alone.

Nine guests in ten are calm, one in ten grows without end and begins anew: it is looked at up to ten
times a second and decided on between two ticks. The guests are simulated and live in real time, in
the same process: what that takes by itself is the limit. How long a real guest takes to answer, and
what a look at it costs, is not in it: `observe` and `domains` have that.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from barostat.core.settings import MemorySettings
from barostat.engine.lane import Pace
from barostat.engine.loop import Balancer, Tick
from barostat.engine.observe import FixedCapacity, FixedSettings
from barostat.hypervisors.simulated import SimulatedGuest, SimulatedHypervisor, SimulatedSpec
from barostat.units import GIB, MIB
from benchmarks.harness import Cell, Result

GUESTS = (100, 300, 1_000)
ROUNDS = 2
SECONDS = 4
WARMING_S = 1.2

CALM_BYTES, GROWING_BYTES, MAXIMUM_BYTES = 4 * GIB, 512 * MIB, 8 * GIB
STEP_S, STEP_BYTES = 0.1, 20 * MIB
MOST_BYTES = 1536 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What a second took: a share of a core, looks at single guests, and decisions of each kind."""

    core_ratio: float
    looks: float = 0.0
    hurried: float = 0.0
    decide_s: float = 0.0


def run() -> Result:
    rows: list[tuple[Cell, ...]] = []
    samples: dict[str, Sequence[float]] = {}
    for count in GUESTS:
        spent: dict[str, list[Spent]] = {"lane": [], "ticks": [], "limit": []}
        for _ in range(ROUNDS):
            spent["lane"].append(asyncio.run(balanced(count, Pace())))
            spent["ticks"].append(asyncio.run(balanced(count, Pace(on=False))))
            spent["limit"].append(asyncio.run(unbalanced(count)))
        rows.append(row(count, spent))
        samples |= {
            f"{name} {count}": [one.core_ratio for one in measured]
            for name, measured in spent.items()
        }
    return Result(
        title="Looking at who cannot wait",
        columns=(
            "guests",
            "that grow",
            "ticks and lane, %",
            "ticks alone, %",
            "limit: guests alone, %",
            "lane: looks a second",
            "decisions out of turn",
            "one takes, ms",
        ),
        rows=tuple(rows),
        note=f"shares of one core: processor time of the whole process over {SECONDS} s, the mean "
        f"of {ROUNDS} rounds, in turn. The guests' own lives are in all three",
        samples=samples,
    )


def row(count: int, spent: dict[str, list[Spent]]) -> tuple[Cell, ...]:
    lane = spent["lane"]
    cores = (
        100 * statistics.mean(one.core_ratio for one in measured) for measured in spent.values()
    )
    return (
        count,
        count // 10,
        *cores,
        statistics.mean(one.looks for one in lane),
        statistics.mean(one.hurried for one in lane),
        1e3 * statistics.mean(one.decide_s for one in lane),
    )


def populate(
    count: int,
) -> tuple[SimulatedHypervisor, dict[str, MemorySettings], list[SimulatedGuest]]:
    """Power on guests; the last tenth of them will grow."""
    hypervisor = SimulatedHypervisor(time.monotonic)
    settings: dict[str, MemorySettings] = {}
    growing: list[SimulatedGuest] = []
    for number in range(count):
        grows = number >= count - count // 10
        spec = SimulatedSpec(
            name=f"vm{number:04}",
            boot_bytes=GROWING_BYTES if grows else CALM_BYTES,
            maximum_bytes=MAXIMUM_BYTES,
            boot_s=0.0,
        )
        guest = hypervisor.add(spec)
        settings[spec.name] = MemorySettings(
            startup_bytes=spec.boot_bytes,
            minimum_bytes=spec.boot_bytes,
            maximum_bytes=MAXIMUM_BYTES,
        )
        guest.use(256 * MIB if grows else GIB)
        if grows:
            growing.append(guest)
    return hypervisor, settings, growing


async def live(growing: Sequence[SimulatedGuest]) -> None:
    """Have guests grow, each from another moment on, and begin anew."""
    steps = (MOST_BYTES - GROWING_BYTES // 2) // STEP_BYTES
    step = 0
    while True:
        for number, guest in enumerate(growing):
            guest.use(GROWING_BYTES // 2 + (step + 7 * number) % steps * STEP_BYTES)
        step += 1
        await asyncio.sleep(STEP_S)


async def balanced(count: int, pace: Pace) -> Spent:
    hypervisor, settings, growing = populate(count)
    hurried: list[float] = []

    def note(tick: Tick) -> None:
        if tick.snapshot.hurried:
            hurried.append(tick.decide_s)

    balancer = Balancer(
        hypervisor,
        FixedSettings(settings),
        FixedCapacity(count * MAXIMUM_BYTES),
        on_tick=note,
        pace=pace,
    )
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(balancer.run(stop))
        living = tasks.create_task(live(growing))
        await asyncio.sleep(WARMING_S)
        looks, passes = balancer.lane.looks, len(hurried)
        spent = await measured()
        stop.set()
        living.cancel()
    return replace(
        spent,
        looks=(balancer.lane.looks - looks) / SECONDS,
        hurried=(len(hurried) - passes) / SECONDS,
        decide_s=statistics.median(hurried) if hurried else 0.0,
    )


async def unbalanced(count: int) -> Spent:
    """Let the guests live, looked at by nobody."""
    _, _, growing = populate(count)
    living = asyncio.create_task(live(growing))
    await asyncio.sleep(WARMING_S)
    spent = await measured()
    living.cancel()
    return spent


async def measured() -> Spent:
    began_s, before_s = time.monotonic(), time.process_time()
    await asyncio.sleep(SECONDS)
    used_s = time.process_time() - before_s
    return Spent(core_ratio=used_s / (time.monotonic() - began_s))
