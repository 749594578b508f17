"""Time from a real guest's jump in use to memory granted, beside plugging the same by hand.

A workload jumps by 400 MiB in a guest of 256 MiB, with memory in the pool and the default policy,
which looks once a second. The jumps fall evenly over the tick, in random order: when the next look
comes is most of what there is to wait for. Before each the guest is idle again at its boot size,
and a fresh balancer has watched it.
"""

from __future__ import annotations

import asyncio
import operator
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from barostat.core.moves import MoveKind
from barostat.core.policy import Policy
from barostat.core.settings import MemorySettings
from barostat.engine.loop import Balancer, Tick
from barostat.engine.observe import FixedCapacity, FixedSettings
from barostat.hypervisors.qmp import QmpHypervisor
from barostat.lab.fleet import Lab
from barostat.lab.guests import GuestSpec
from barostat.lab.machine import LabGuest
from barostat.units import GIB, MIB
from benchmarks.harness import Cell, Result, percentile
from benchmarks.real import BareQmp, get_kit

JUMPS = 12
JUMP_BYTES = 400 * MIB
WATCHED = 3
"""Looks at the idle guest before a jump."""

AIM_S = 1.5
WHOLE_S = 180.0

BOOT_BYTES, MAXIMUM_BYTES = 256 * MIB, 256 * MIB + GIB
SPEC = GuestSpec(
    name="vm", boot_bytes=BOOT_BYTES, maximum_bytes=MAXIMUM_BYTES, swap_bytes=512 * MIB
)
SETTINGS = MemorySettings(
    startup_bytes=BOOT_BYTES, minimum_bytes=BOOT_BYTES, maximum_bytes=MAXIMUM_BYTES
)
CAPACITY = FixedCapacity(2 * MAXIMUM_BYTES)
POLICY = Policy()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """Without a balancer, in seconds: plugging it by hand, and then holding what is there."""

    plug_s: float
    hold_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Jump:
    """One jump, in seconds since the workload was told: what was first and what was all.

    Attributes:
        seen_s: a look decided to grow the guest.
        first_s: the first of it was plugged.
        decided_s: a look decided on all of it.
        whole_s: all of it was plugged.
        held_s: the workload held it.
    """

    seen_s: float
    first_s: float
    decided_s: float
    whole_s: float
    held_s: float


class Log:
    """What a balancer saw and decided, and when."""

    def __init__(self) -> None:
        self.ticks: list[tuple[float, Tick]] = []
        self.watched = asyncio.Event()

    def add(self, tick: Tick) -> None:
        self.ticks.append((time.perf_counter(), tick))
        if len(self.ticks) >= WATCHED:
            self.watched.set()

    @property
    def demand_bytes(self) -> int:
        """What the guest needs, as of the last look."""
        return self.ticks[-1][1].decision.guests[0].demand_bytes or 0

    def first(self, fits: Callable[[int], bool]) -> float:
        """Say when it was first decided to grow the guest to a size that fits."""
        return next(
            at_s
            for at_s, tick in self.ticks
            for move in tick.decision.moves
            if move.kind is MoveKind.GROW and fits(move.to_bytes)
        )


def run() -> Result:
    limits, jumps = asyncio.run(measure())
    whole = [jump.whole_s for jump in jumps]
    waited = statistics.median(jump.decided_s / jump.whole_s for jump in jumps)
    plug, hold = [limit.plug_s for limit in limits], [limit.hold_s for limit in limits]
    measured = {
        "a look decides to grow it": ([jump.seen_s for jump in jumps], None),
        "the first byte is granted": ([jump.first_s for jump in jumps], None),
        "a look decides on all": ([jump.decided_s for jump in jumps], None),
        "all is granted": (whole, plug),
        "(of it, after that look)": ([jump.whole_s - jump.decided_s for jump in jumps], plug),
        "the workload holds all": ([jump.held_s for jump in jumps], hold),
    }
    return Result(
        title="From a jump of 400 MiB to memory granted",
        columns=("until", "n", "p50, s", "p95, s", "max, s", "in 1.5 s", "limit, s"),
        rows=tuple(row(what, ours, limit) for what, (ours, limit) in measured.items()),
        note="limit: the median of the same by hand in the same idle guest, plugging 400 MiB and "
        "then holding them. Granted: QEMU reports the size. Until a look has seen enough to decide "
        f"on all, {waited:.0%} of the time until all is granted pass (median)",
        samples={
            **{what: ours for what, (ours, _) in measured.items()},
            "limit: plugged by hand": plug,
            "limit: held what is there": hold,
        },
    )


def row(what: str, ours: Sequence[float], limit: Sequence[float] | None) -> tuple[Cell, ...]:
    return (
        what,
        len(ours),
        statistics.median(ours),
        percentile(ours, 95),
        max(ours),
        sum(took_s <= AIM_S for took_s in ours),
        "" if limit is None else f"{statistics.median(limit):.3f}",
    )


async def measure() -> tuple[list[Limit], list[Jump]]:
    """Take limit and jump in turn."""
    phases = [(number + random.random()) / JUMPS for number in range(JUMPS)]
    random.shuffle(phases)
    kit = get_kit()
    limits, jumps = [], []
    async with asyncio.timeout(WHOLE_S), Lab([SPEC], kit=kit) as lab:
        guest = lab.guests[SPEC.name]
        hypervisor = QmpHypervisor(sockets={SPEC.name: guest.qmp_path})
        try:
            async with BareQmp.open(guest.files.lab_qmp) as bare:
                for phase in phases:
                    limits.append(await measure_limit(guest, bare))
                    await calm_down(guest, bare)
                    jumps.append(await measure_jump(guest, bare, hypervisor, phase))
                    await calm_down(guest, bare)
        finally:
            await hypervisor.close()
    return limits, jumps


async def calm_down(guest: LabGuest, bare: BareQmp) -> None:
    """Have the guest idle at its boot size again."""
    await guest.hold(0)
    await guest.wait_held()
    await bare.unplug_all()


async def measure_limit(guest: LabGuest, bare: BareQmp) -> Limit:
    began_s = time.perf_counter()
    await bare.set_plug(JUMP_BYTES)
    plugged_s = await bare.until(partial(operator.eq, BOOT_BYTES + JUMP_BYTES))
    told_s = time.perf_counter()
    await guest.hold(JUMP_BYTES)
    await guest.wait_held()
    return Limit(plug_s=plugged_s - began_s, hold_s=time.perf_counter() - told_s)


async def measure_jump(
    guest: LabGuest, bare: BareQmp, hypervisor: QmpHypervisor, phase: float
) -> Jump:
    """Let a fresh balancer watch, jump at a phase of its tick, and see what happens."""
    log, stop = Log(), asyncio.Event()
    balancer = Balancer(
        hypervisor, FixedSettings({SPEC.name: SETTINGS}), CAPACITY, policy=POLICY, on_tick=log.add
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(balancer.run(stop))
        try:
            await log.watched.wait()
            await asyncio.sleep(phase * POLICY.tick_s)
            return await jump(guest, bare, log)
        finally:
            stop.set()


async def jump(guest: LabGuest, bare: BareQmp, log: Log) -> Jump:
    needed_bytes = log.demand_bytes + JUMP_BYTES
    began_s = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        held = tasks.create_task(hold(guest))
        first_s = await bare.until(partial(operator.lt, BOOT_BYTES))
        whole_s = await bare.until(partial(operator.le, needed_bytes))
    return Jump(
        seen_s=log.first(partial(operator.lt, 0)) - began_s,
        first_s=first_s - began_s,
        decided_s=log.first(partial(operator.le, needed_bytes)) - began_s,
        whole_s=whole_s - began_s,
        held_s=held.result() - began_s,
    )


async def hold(guest: LabGuest) -> float:
    """Have the workload jump; say when it held all."""
    await guest.hold(JUMP_BYTES)
    await guest.wait_held()
    return time.perf_counter()
