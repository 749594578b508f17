"""Time how soon eight real guests are served that all jump at once, and in which order.

Eight guests, each with about what it should have, are told at the same moment to hold 96 MiB more.
Once the pool has enough for all of them, and once for two: then those of the highest weight come
first. When a guest was first granted more is the moment of that decision; when it could use it, the
first report of more memory from within. No decision may have promised more than there is. The limit
is the same without a balancer: how long eight guests take to be told and to report, all at once.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from barostat.core.moves import MoveKind
from barostat.core.settings import MemorySettings
from barostat.engine.lane import Pace
from barostat.engine.loop import Tick
from barostat.hypervisors.qmp import QmpHypervisor
from barostat.lab.fleet import Lab
from barostat.lab.guests import GuestSpec
from barostat.lab.machine import LabGuest
from barostat.lab.witness import Witness
from barostat.units import MIB, format_size
from benchmarks.harness import Cell, Result
from benchmarks.real import Way, balancing, get_kit

GUESTS = 8
BOOT_BYTES, MAXIMUM_BYTES = 256 * MIB, 512 * MIB
BUFFER_PERCENT = 20
JUMP_BYTES = 96 * MIB
SEEN_MORE_BYTES = 4 * MIB
WATCHED = 12
"""Looks until eight guests are calm: they boot, and fill what they should."""

WATCH_S = 4.0
"""After the jump; memory may come from the pool for the first of them, from others later."""

PING_EVERY_S = 0.05
WHOLE_S = 300.0

NAMES = tuple(f"vm{number}" for number in range(GUESTS))
WEIGHTS = {name: 10000 if number % 2 else 1000 for number, name in enumerate(NAMES)}
HEAVY = frozenset(name for name, weight in WEIGHTS.items() if weight > 1000)
AGENTS = Way(pace=Pace(), agent=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One guest after the jump, in seconds since all were told; None: not while it was watched.

    Attributes:
        granted_s: a decision granted it more.
        usable_s: it had more.
        granted_bytes: how much it had been granted after a second.
    """

    granted_s: float | None
    usable_s: float | None
    granted_bytes: int


def run() -> Result:
    kit = get_kit(userland=True)
    del kit  # what takes its time is done before anything is timed
    rows: list[tuple[Cell, ...]] = []
    samples: dict[str, list[float]] = {}
    for what, pool_jumps in (("enough for all", 2 * GUESTS), ("enough for two", 2)):
        told_s, served, most = asyncio.run(measure(pool_jumps * JUMP_BYTES))
        for who, names in (("weight 10000", HEAVY), ("weight 1000", frozenset(NAMES) - HEAVY)):
            rows.append(row(what, who, [served[name] for name in sorted(names)]))
        rows.append((what, "promised at most", "", "", "", f"{most:.1%} of the capacity"))
        rows.append((what, "limit: told and heard", GUESTS, told_s, "", ""))
        samples[what] = [one.granted_s for one in served.values() if one.granted_s is not None]
    return Result(
        title="Eight guests jump by 96 MiB at once",
        columns=("the pool has", "who", "served", "first, s", "last, s", "granted in 1 s, a guest"),
        rows=tuple(rows),
        note="served: granted more at all, of four; first and last: when it could be used",
        samples=samples,
    )


def row(what: str, who: str, served: Sequence[Served]) -> tuple[Cell, ...]:
    usable = [one.usable_s for one in served if one.usable_s is not None]
    mean = statistics.mean(one.granted_bytes for one in served)
    times = (f"{min(usable):.2f}", f"{max(usable):.2f}") if usable else ("", "")
    granted = sum(one.granted_s is not None for one in served)
    return (what, who, granted, *times, format_size(int(mean)))


async def measure(pool_bytes: int) -> tuple[float, Mapping[str, Served], float]:
    """Say how long telling takes, how each was served, and the most that was ever promised."""
    specs = [
        GuestSpec(
            name=name,
            boot_bytes=BOOT_BYTES,
            maximum_bytes=MAXIMUM_BYTES,
            swap_bytes=256 * MIB,
            userland=True,
        )
        for name in NAMES
    ]
    settings = {
        name: MemorySettings(
            startup_bytes=BOOT_BYTES,
            minimum_bytes=BOOT_BYTES,
            maximum_bytes=MAXIMUM_BYTES,
            buffer_percent=BUFFER_PERCENT,
            weight=WEIGHTS[name],
        )
        for name in NAMES
    }
    async with asyncio.timeout(WHOLE_S), Lab(specs, kit=get_kit(userland=True)) as lab:
        guests = lab.guests
        await asyncio.gather(*(fill(guest) for guest in guests.values()))
        told_s = await tell(guests)
        hypervisor = QmpHypervisor(directory=lab.folder)
        ticks: list[tuple[float, Tick]] = []
        watched = asyncio.Event()

        def note(tick: Tick) -> None:
            ticks.append((time.perf_counter(), tick))
            if sum(not tick.snapshot.hurried for _, tick in ticks) >= WATCHED:
                watched.set()

        capacity_bytes = GUESTS * BOOT_BYTES + pool_bytes
        try:
            async with balancing(
                hypervisor, settings, AGENTS, capacity_bytes=capacity_bytes, on_tick=note
            ):
                await watched.wait()
                served = await burst(guests, ticks)
        finally:
            await hypervisor.close()
    most = max(tick.decision.promised_bytes for _, tick in ticks) / capacity_bytes
    return told_s, served, most


async def fill(guest: LabGuest) -> None:
    """Have the workload hold so much that the guest has about what it should."""
    seen = await guest.ping()
    wanted_bytes = BOOT_BYTES * 100 // (100 + BUFFER_PERCENT)
    await guest.hold(max(0, wanted_bytes - (BOOT_BYTES - seen.available_bytes)))
    await guest.wait_held()


async def tell(guests: Mapping[str, LabGuest]) -> float:
    """Tell all what they hold already, and say how long that took."""
    began_s = time.perf_counter()
    await asyncio.gather(*(guest.ping() for guest in guests.values()))
    return time.perf_counter() - began_s


async def burst(
    guests: Mapping[str, LabGuest], ticks: Sequence[tuple[float, Tick]]
) -> dict[str, Served]:
    before = {name: await guest.ping() for name, guest in guests.items()}
    began_s = time.perf_counter()
    await asyncio.gather(
        *(guest.hold(before[name].held_bytes + JUMP_BYTES) for name, guest in guests.items())
    )
    usable = await asyncio.gather(
        *(more(guest, before[name], began_s) for name, guest in guests.items())
    )
    return {
        name: Served(
            granted_s=granted(name, ticks, began_s),
            usable_s=usable_s,
            granted_bytes=granted_bytes(name, ticks, began_s),
        )
        for name, usable_s in zip(guests, usable, strict=True)
    }


async def more(guest: LabGuest, before: Witness, began_s: float) -> float | None:
    """Say when a guest first has more, None if not while it is watched."""
    while (passed_s := time.perf_counter() - began_s) < WATCH_S:
        now = await guest.ping()
        if now.total_bytes >= before.total_bytes + SEEN_MORE_BYTES:
            return passed_s
        await asyncio.sleep(PING_EVERY_S)
    return None


def granted(name: str, ticks: Sequence[tuple[float, Tick]], began_s: float) -> float | None:
    return next(
        (
            at_s - began_s
            for at_s, tick in ticks
            for move in tick.decision.moves
            if at_s >= began_s and move.guest == name and move.kind is MoveKind.GROW
        ),
        None,
    )


def granted_bytes(name: str, ticks: Sequence[tuple[float, Tick]], began_s: float) -> int:
    """Say how much more a guest was granted within a second."""
    sizes = [
        move.to_bytes
        for at_s, tick in ticks
        for move in tick.decision.moves
        if began_s <= at_s < began_s + 1 and move.guest == name and move.kind is MoveKind.GROW
    ]
    return max((size - BOOT_BYTES for size in sizes), default=0)
