"""Time of one look at n domains of libvirt's test driver, and our processor's, beside a bare list.

The driver answers from memory, so what a look takes is our own work and the binding's. A list of
all domains with their statistics, in one call, is what no look can do without.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from barostat.hypervisors.libvirt import LibvirtHypervisor
from barostat.hypervisors.libvirt_api import libvirt, open_connection
from benchmarks.harness import Cell, Result, percentile, ratio

DOMAINS = (1, 50, 200, 1_000)
LOOKS = 15
PAUSE_S = 1.0
"""Between two looks: the balancer looks once a second."""
SETTLING_LOOKS = 3
WHOLE_S = 120.0

DOMAIN = """
<domain type="test">
  <name>vm{number}</name>
  <memory unit="MiB">1024</memory>
  <os><type>hvm</type></os>
  <devices><memballoon model="virtio"><stats period="1"/></memballoon></devices>
</domain>"""


@dataclass(slots=True, kw_only=True)
class Times:
    """Seconds, a look each."""

    look: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)


def run() -> Result:
    times = asyncio.run(measure_all())
    return Result(
        title="Looking at libvirt's domains",
        columns=(
            "domains",
            "first look, ms",
            "look, ms",
            "p95, ms",
            "our CPU a domain, us",
            "limit: one bare list, ms",
            "times the limit",
        ),
        rows=tuple(row(count, first_s, measured) for count, (first_s, measured) in times.items()),
        note=f"medians of {LOOKS} looks a second apart, in turn with the list; the first look asks "
        "each domain by itself, later ones about every tenth of them",
        samples={f"look at {count}": measured.look for count, (_, measured) in times.items()},
    )


def row(count: int, first_s: float, times: Times) -> tuple[Cell, ...]:
    return (
        count,
        first_s * 1e3,
        statistics.median(times.look) * 1e3,
        percentile(times.look, 95) * 1e3,
        statistics.median(times.processor) / count * 1e6,
        statistics.median(times.bare) * 1e3,
        ratio(times.look, times.bare),
    )


async def measure_all() -> dict[int, tuple[float, Times]]:
    async with asyncio.timeout(WHOLE_S):
        with tempfile.TemporaryDirectory(prefix="barostat-bench-") as folder:
            return {count: await measure(count, Path(folder)) for count in DOMAINS}


async def measure(count: int, folder: Path) -> tuple[float, Times]:
    node = folder / f"{count}.xml"
    domains = "".join(DOMAIN.format(number=number) for number in range(count))
    node.write_text(f"<node>{domains}</node>")
    times = Times()
    hypervisor = LibvirtHypervisor(f"test://{node}")
    try:
        bare = open_connection(f"test://{node}")
        first_s = await look(hypervisor, expected=count)
        for _ in range(SETTLING_LOOKS):
            await look(hypervisor, expected=count)
        for _ in range(LOOKS):
            used_s = time.process_time()
            times.look.append(await look(hypervisor, expected=count))
            times.processor.append(time.process_time() - used_s)
            times.bare.append(list_all(bare))
            await asyncio.sleep(PAUSE_S)
        bare.close()
    finally:
        await hypervisor.close()
    return first_s, times


async def look(hypervisor: LibvirtHypervisor, *, expected: int) -> float:
    began_s = time.perf_counter()
    seen = await hypervisor.observe(now_s=time.monotonic())
    took_s = time.perf_counter() - began_s
    if len(seen) != expected:
        raise RuntimeError(f"{expected} domains were to be seen, not {len(seen)}")
    return took_s


def list_all(bare: Any) -> float:
    began_s = time.perf_counter()
    bare.getAllDomainStats(
        libvirt.VIR_DOMAIN_STATS_STATE | libvirt.VIR_DOMAIN_STATS_BALLOON,
        libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT,
    )
    return time.perf_counter() - began_s
