"""Time to move a real guest's memory through the engine, beside the same by bare QMP.

Both are watched over the same bare line, so that "there" means the same: QEMU reports the size.
What the engine adds is the time until it has noticed, and only a move that needs two devices after
each other waits for that: the second begins when the first is noticed to be done.
"""

from __future__ import annotations

import asyncio
import operator
import statistics
import time
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

from barostat.core.moves import Move, MoveKind
from barostat.engine.act import Actor, Outcome
from barostat.hypervisors.qmp import QmpHypervisor
from barostat.lab.fleet import Lab
from barostat.lab.guests import GuestSpec
from barostat.units import MIB
from benchmarks.harness import Cell, Result, ratio
from benchmarks.real import BareQmp, get_kit

ROUNDS = 5
MOVED_MIB = (64, 256)
BOOT_MIB = 512
REST_S = 0.2
"""Before each move: QEMU reports a plug before the guest has made use of all of it."""

WHOLE_S = 120.0

SPEC = GuestSpec(name="vm", boot_bytes=BOOT_MIB * MIB, maximum_bytes=2 * BOOT_MIB * MIB)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One move: below its boot size a guest is moved by its balloon, above by its plug."""

    name: str
    from_bytes: int
    to_bytes: int


@dataclass(slots=True)
class Times:
    """Seconds, a round each: ours until there and until noticed, and bare QMP's."""

    there: list[float] = field(default_factory=list)
    noticed: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)


def steps(moved_mib: int) -> list[Step]:
    """List moves of so much by each device, in a circle from the boot size and back to it."""
    low, boot, high = (mib * MIB for mib in (BOOT_MIB - moved_mib, BOOT_MIB, BOOT_MIB + moved_mib))
    return [
        Step(name="inflate", from_bytes=boot, to_bytes=low),
        Step(name="deflate, then plug", from_bytes=low, to_bytes=high),
        Step(name="unplug", from_bytes=high, to_bytes=boot),
        Step(name="plug", from_bytes=boot, to_bytes=high),
        Step(name="unplug, then inflate", from_bytes=high, to_bytes=low),
        Step(name="deflate", from_bytes=low, to_bytes=boot),
    ]


def run() -> Result:
    times = asyncio.run(measure())
    return Result(
        title="Moving a real guest's memory",
        columns=(
            "move",
            "MiB by each device",
            "there, ms",
            "limit: bare QMP, ms",
            "times the limit",
            "noticed after, ms",
        ),
        rows=tuple(row(name, mib, measured) for (name, mib), measured in times.items()),
        note=f"medians of {ROUNDS} rounds, in turn with the limit. There: QEMU reports the size; "
        "noticed: how much later the engine knew",
        samples={f"{name} {mib} MiB": measured.there for (name, mib), measured in times.items()},
    )


def row(name: str, moved_mib: int, times: Times) -> tuple[Cell, ...]:
    lags = [noticed - there for noticed, there in zip(times.noticed, times.there, strict=True)]
    return (
        name,
        moved_mib,
        statistics.median(times.there) * 1e3,
        statistics.median(times.bare) * 1e3,
        ratio(times.there, times.bare),
        max(0.0, statistics.median(lags)) * 1e3,
    )


async def measure() -> dict[tuple[str, int], Times]:
    kit = get_kit()
    async with asyncio.timeout(WHOLE_S), Lab([SPEC], kit=kit) as lab:
        guest = lab.guests[SPEC.name]
        hypervisor = QmpHypervisor(sockets={SPEC.name: guest.qmp_path})
        try:
            await hypervisor.observe(now_s=time.monotonic())
            async with BareQmp.open(guest.files.lab_qmp) as bare:
                return await measure_rounds(hypervisor, bare)
        finally:
            await hypervisor.close()


async def measure_rounds(hypervisor: QmpHypervisor, bare: BareQmp) -> dict[tuple[str, int], Times]:
    """Go round and round, with the engine and without it in turn; the first round is left out."""
    times = {(step.name, mib): Times() for mib in MOVED_MIB for step in steps(mib)}
    for number in range(ROUNDS + 1):
        for mib in MOVED_MIB:
            for step in steps(mib):
                await asyncio.sleep(REST_S)
                there_s, noticed_s = await by_engine(hypervisor, bare, step)
                if number:
                    times[step.name, mib].there.append(there_s)
                    times[step.name, mib].noticed.append(noticed_s)
            for step in steps(mib):
                await asyncio.sleep(REST_S)
                bare_s = await by_hand(bare, step)
                if number:
                    times[step.name, mib].bare.append(bare_s)
    return times


async def by_engine(hypervisor: QmpHypervisor, bare: BareQmp, step: Step) -> tuple[float, float]:
    """Have the engine move it; say when it was there, and when the engine had noticed."""
    move = Move(
        guest=SPEC.name,
        kind=MoveKind.GROW if step.to_bytes > step.from_bytes else MoveKind.SHRINK,
        from_bytes=step.from_bytes,
        to_bytes=step.to_bytes,
        reasons=(),
    )
    outcomes: list[Outcome] = []
    began_s = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        actor = Actor(hypervisor, tasks, clock=time.perf_counter, on_outcome=outcomes.append)
        actor.perform([move])
        there_s = await bare.until(partial(operator.eq, step.to_bytes))
    if not outcomes[0].arrived:
        raise RuntimeError(f"{step.name}: {outcomes[0]}")
    return there_s - began_s, outcomes[0].took_s


async def by_hand(bare: BareQmp, step: Step) -> float:
    """Move it by bare QMP, one device after the other."""
    boot = SPEC.boot_bytes
    passes_boot = step.from_bytes < boot < step.to_bytes or step.to_bytes < boot < step.from_bytes
    stops = (step.from_bytes, *((boot,) if passes_boot else ()), step.to_bytes)
    began_s = ended_s = time.perf_counter()
    for begin, end in pairwise(stops):
        if min(begin, end) < boot:
            await bare.set_balloon(end)
        else:
            await bare.set_plug(end - boot)
        ended_s = await bare.until(partial(operator.eq, end))
    return ended_s - began_s
