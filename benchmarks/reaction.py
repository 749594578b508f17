"""Time from a jump in a real guest to memory that it can use: seen once a second, on demand, told.

A guest that has about what it should (its demand and its buffer) is told to hold 400 MiB more. It
is seen in three ways: by its statistics at every look, once a second; by looks in between, when it
is near its limit or grows; and by Barostat's agent in it, which speaks by itself. The ways take
turns, and jumps fall evenly over the second between two looks, in random order. All times are the
guest's own: from the moment at which its workload was told, to the first report of more MemTotal.
"""

from __future__ import annotations

import asyncio
import operator
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from barostat.core.policy import Policy
from barostat.core.settings import MemorySettings
from barostat.engine.lane import Pace
from barostat.engine.loop import Tick
from barostat.hypervisors.qmp import QmpHypervisor
from barostat.lab.fleet import Lab
from barostat.lab.guests import GuestSpec
from barostat.lab.machine import LabGuest
from barostat.lab.witness import Witness
from barostat.units import GIB, MIB
from benchmarks.harness import Cell, Result, percentile
from benchmarks.real import BareQmp, Way, balancing, get_kit

JUMPS = 20
JUMP_BYTES = 400 * MIB
SEEN_MORE_BYTES = 8 * MIB
"""What is plugged appears in larger pieces; this is none of the kernel's own small changes."""

WATCHED = 3
"""Looks at the calm guest before a jump."""

PING_EVERY_S = 0.01
WHOLE_S = 1500.0

BOOT_BYTES, MAXIMUM_BYTES = 256 * MIB, 256 * MIB + GIB
SPEC = GuestSpec(
    name="vm",
    boot_bytes=BOOT_BYTES,
    maximum_bytes=MAXIMUM_BYTES,
    swap_bytes=512 * MIB,
    userland=True,
)
SETTINGS = MemorySettings(
    startup_bytes=BOOT_BYTES, minimum_bytes=BOOT_BYTES, maximum_bytes=MAXIMUM_BYTES
)
TICK_S = Policy().tick_s

WAYS: Mapping[str, Way] = {
    "once a second": Way(pace=Pace(on=False), agent=False),
    "on demand": Way(pace=Pace(), agent=False),
    "the agent": Way(pace=Pace(), agent=True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Jump:
    """One jump as the guest felt it.

    Attributes:
        more_s: until there was more memory.
        held_s: until the workload held it all.
        swapped_bytes: what had come back from swap by then.
        stalled_s: how long something in it had waited for memory by then (PSI).
    """

    more_s: float
    held_s: float
    swapped_bytes: int
    stalled_s: float


def run() -> Result:
    plugs, jumps = asyncio.run(measure())
    return Result(
        title="From a jump of 400 MiB to more memory in the guest",
        columns=(
            "seen",
            "n",
            "p50, s",
            "p95, s",
            "max, s",
            "p95 less the plug, s",
            "holds all p50, s",
            "swapped in, MiB",
            "stalled, s",
        ),
        rows=(*(row(way, found, plugs) for way, found in jumps.items()), limit(plugs)),
        note="the plug: 400 MiB plugged by hand into the same calm guest, from the command to more "
        "MemTotal; its median is what is taken off. Swapped in and stalled: all jumps together, as "
        "the guest's own kernel counts",
        samples={
            **{f"{way}: more": [jump.more_s for jump in found] for way, found in jumps.items()},
            **{f"{way}: held": [jump.held_s for jump in found] for way, found in jumps.items()},
            "the plug": plugs,
        },
    )


def row(way: str, jumps: Sequence[Jump], plugs: Sequence[float]) -> tuple[Cell, ...]:
    more = [jump.more_s for jump in jumps]
    late = percentile(more, 95)
    return (
        way,
        len(jumps),
        statistics.median(more),
        late,
        max(more),
        f"{late - statistics.median(plugs):.3f}",
        f"{statistics.median(jump.held_s for jump in jumps):.2f}",
        f"{sum(jump.swapped_bytes for jump in jumps) / MIB:.1f}",
        f"{sum(jump.stalled_s for jump in jumps):.2f}",
    )


def limit(plugs: Sequence[float]) -> tuple[Cell, ...]:
    times = (statistics.median(plugs), percentile(plugs, 95), max(plugs))
    return ("limit: the plug", len(plugs), *times, "", "", "", "")


async def measure() -> tuple[list[float], dict[str, list[Jump]]]:
    """Take the plug and every way in turn."""
    phases = [(number + random.random()) / JUMPS for number in range(JUMPS)]
    random.shuffle(phases)
    plugs: list[float] = []
    jumps: dict[str, list[Jump]] = {way: [] for way in WAYS}
    kit = get_kit(userland=True)
    async with asyncio.timeout(WHOLE_S), Lab([SPEC], kit=kit) as lab:
        guest = lab.guests[SPEC.name]
        hypervisor = QmpHypervisor(sockets={SPEC.name: guest.qmp_path})
        try:
            async with BareQmp.open(guest.files.lab_qmp) as bare:
                base_bytes = await fill(guest)
                for phase in phases:
                    plugs.append(await plug(guest, bare))
                    for name, way in WAYS.items():
                        await calm_down(guest, bare, base_bytes)
                        seen = await watched_jump(guest, hypervisor, way, phase, base_bytes)
                        jumps[name].append(seen)
                    await calm_down(guest, bare, base_bytes)
        finally:
            await hypervisor.close()
    return plugs, jumps


async def fill(guest: LabGuest) -> int:
    """Have the workload hold so much that the guest has about what it should, and say how much."""
    seen = await guest.ping()
    wanted_bytes = BOOT_BYTES * 100 // (100 + SETTINGS.buffer_percent)
    held_bytes = max(0, wanted_bytes - (BOOT_BYTES - seen.available_bytes))
    await guest.hold(held_bytes)
    await guest.wait_held()
    return held_bytes


async def calm_down(guest: LabGuest, bare: BareQmp, base_bytes: int) -> None:
    """Have the guest at its boot size again, and calm."""
    await guest.hold(base_bytes)
    await guest.wait_held()
    await bare.unplug_all()


async def plug(guest: LabGuest, bare: BareQmp) -> float:
    before = await guest.ping()
    began_s = time.perf_counter()
    await bare.set_plug(JUMP_BYTES)
    await until(guest, partial(has_more, before))
    took_s = time.perf_counter() - began_s
    await bare.until(partial(operator.eq, BOOT_BYTES + JUMP_BYTES))
    return took_s


def has_more(before: Witness, now: Witness) -> bool:
    return now.total_bytes >= before.total_bytes + SEEN_MORE_BYTES


async def until(guest: LabGuest, fits: Callable[[Witness], bool]) -> Witness:
    """Ask the guest until what it says fits."""
    while not fits(seen := await guest.ping()):  # noqa: ASYNC110 - the guest tells when asked
        await asyncio.sleep(PING_EVERY_S)
    return seen


async def watched_jump(
    guest: LabGuest, hypervisor: QmpHypervisor, way: Way, phase: float, base_bytes: int
) -> Jump:
    """Let a fresh balancer watch, jump at a phase of its tick, and see what happens."""
    ticks: list[Tick] = []
    watched = asyncio.Event()

    def note(tick: Tick) -> None:
        ticks.append(tick)
        if len(ticks) >= WATCHED:
            watched.set()

    async with balancing(
        hypervisor,
        {SPEC.name: SETTINGS},
        way,
        capacity_bytes=2 * MAXIMUM_BYTES,
        on_tick=note,
    ):
        await watched.wait()
        await asyncio.sleep(phase * TICK_S)
        return await jump(guest, base_bytes)


async def jump(guest: LabGuest, base_bytes: int) -> Jump:
    before = await guest.ping()
    told = await guest.hold(base_bytes + JUMP_BYTES)
    more = await until(guest, partial(has_more, before))
    held = await until(guest, holds_all)
    return Jump(
        more_s=(more.uptime_us - told.uptime_us) / 1e6,
        held_s=(held.uptime_us - told.uptime_us) / 1e6,
        swapped_bytes=held.swap_in_bytes - before.swap_in_bytes,
        stalled_s=(held.psi_some_us - before.psi_some_us) / 1e6,
    )


def holds_all(now: Witness) -> bool:
    return now.held_bytes >= now.wished_bytes
