"""Time of one look at n real guests, and our processor's, beside one bare QMP command.

A look asks each guest for its statistics and waits for the answer, so what it takes is mostly the
guests' own time. It is done once a second, as the balancer does: statistics are stamped in whole
seconds, and looks within the same second would measure our patience with that instead.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from dataclasses import dataclass, field

from barostat.hypervisors.qmp import QmpHypervisor
from barostat.lab.fleet import Lab
from barostat.lab.guests import GuestSpec
from barostat.lab.machine import LabGuest
from barostat.units import MIB
from benchmarks.harness import Cell, Result, percentile
from benchmarks.real import BareQmp, get_kit

GUESTS = (1, 3, 8)
LOOKS = 10
COMMANDS_A_LOOK = 20
"""Bare commands between two looks: each takes a fraction of a millisecond."""

WHOLE_S = 120.0


@dataclass(slots=True, kw_only=True)
class Times:
    """Seconds, a look each; of bare commands, one each."""

    look: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)


def run() -> Result:
    times = asyncio.run(measure_all())
    return Result(
        title="Looking at real guests",
        columns=(
            "guests",
            "looks",
            "look, ms",
            "p95, ms",
            "our CPU a guest, ms",
            "limit: one QMP command, ms",
            "times the limit",
        ),
        rows=tuple(row(count, measured) for count, measured in times.items()),
        note="medians. A look is at least six commands a guest, of all guests side by side, and "
        "the guest's own answer, which under emulation takes 1 to 10 ms",
        samples={f"look at {count}": measured.look for count, measured in times.items()},
    )


def row(count: int, times: Times) -> tuple[Cell, ...]:
    look_s, bare_s = statistics.median(times.look), statistics.median(times.bare)
    return (
        count,
        len(times.look),
        look_s * 1e3,
        percentile(times.look, 95) * 1e3,
        statistics.median(times.processor) / count * 1e3,
        bare_s * 1e3,
        look_s / bare_s,
    )


async def measure_all() -> dict[int, Times]:
    specs = [
        GuestSpec(name=f"vm{i}", boot_bytes=128 * MIB, maximum_bytes=512 * MIB)
        for i in range(max(GUESTS))
    ]
    async with asyncio.timeout(WHOLE_S), Lab(specs, kit=get_kit()) as lab:
        guests = list(lab.guests.values())
        return {count: await measure(guests[:count]) for count in GUESTS}


async def measure(guests: list[LabGuest]) -> Times:
    times = Times()
    hypervisor = QmpHypervisor(sockets={guest.spec.name: guest.qmp_path for guest in guests})
    try:
        async with BareQmp.open(guests[0].files.lab_qmp) as bare:
            await hypervisor.observe(now_s=time.monotonic())  # connects, and finds the devices
            for _ in range(LOOKS):
                await asyncio.sleep(1.0)
                await look(hypervisor, times, expected=len(guests))
                for _ in range(COMMANDS_A_LOOK):
                    began_s = time.perf_counter()
                    await bare.ask("query-balloon")
                    times.bare.append(time.perf_counter() - began_s)
    finally:
        await hypervisor.close()
    return times


async def look(hypervisor: QmpHypervisor, times: Times, *, expected: int) -> None:
    began_s, used_s = time.perf_counter(), time.process_time()
    seen = await hypervisor.observe(now_s=time.monotonic())
    times.look.append(time.perf_counter() - began_s)
    times.processor.append(time.process_time() - used_s)
    if sum(guest.statistics is not None for guest in seen) != expected:
        raise RuntimeError(f"{expected} guests were to be seen and to speak: {seen}")
