"""Time redis' answers while its data grows past its guest's boot size, with memory in three ways.

The same real redis in the same guest with a real userland, in turn: in a guest that has all the
memory it will ever need from its boot on, in one of 256 MiB that Barostat balances, and in one of
256 MiB that stays so and has a swap disk. A client stores values at a steady rate until the
data is larger than that boot size; another reads random keys all the while, and each of its answers
is timed. Both are on the host, beyond an emulated network card, and so is what they cost.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from barostat.core.settings import MemorySettings
from barostat.engine.lane import Pace
from barostat.hypervisors.qmp import QmpHypervisor
from barostat.lab.fleet import Lab
from barostat.lab.guests import GuestSpec
from barostat.lab.machine import LabGuest
from barostat.units import GIB, MIB
from benchmarks.harness import Cell, Result, percentile
from benchmarks.real import Way, balancing, get_kit

SMALL_BYTES, LARGE_BYTES = 256 * MIB, 1 * GIB
MAXIMUM_BYTES = SMALL_BYTES + GIB
ROUNDS = 2
DATA_BYTES = 320 * MIB
VALUE_BYTES = 16 * 1024
RATE_BYTES_PER_S = 16 * MIB
READ_EVERY_S = 0.005
PORT = 6379
ANSWER_S = 30.0
WHOLE_S = 900.0
WATCHED_S = 3.0

SETTINGS = MemorySettings(
    startup_bytes=SMALL_BYTES, minimum_bytes=SMALL_BYTES, maximum_bytes=MAXIMUM_BYTES
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """How a guest has its memory; where nobody sees it, it keeps what it booted with."""

    boot_bytes: int
    maximum_bytes: int
    seen: Way | None = None


WAYS: Mapping[str, Memory] = {
    "all of it from the start": Memory(boot_bytes=LARGE_BYTES, maximum_bytes=LARGE_BYTES),
    "by Barostat, with its agent": Memory(
        boot_bytes=SMALL_BYTES,
        maximum_bytes=MAXIMUM_BYTES,
        seen=Way(pace=Pace(), agent=True),
    ),
    "by Barostat, on demand": Memory(
        boot_bytes=SMALL_BYTES,
        maximum_bytes=MAXIMUM_BYTES,
        seen=Way(pace=Pace(), agent=False),
    ),
    "256 MiB for good": Memory(boot_bytes=SMALL_BYTES, maximum_bytes=SMALL_BYTES),
}


@dataclass(slots=True, kw_only=True)
class Run:
    """All rounds of one way: answers, storings, and what its guests swapped in and waited."""

    answers_s: list[float] = field(default_factory=list)
    stored_s: list[float] = field(default_factory=list)
    swapped_bytes: int = 0
    stalled_s: float = 0.0


def run() -> Result:
    runs = asyncio.run(measure())
    limit = percentile(next(iter(runs.values())).answers_s, 99)
    return Result(
        title="redis: reads while 320 MiB are stored",
        columns=(
            "memory",
            "reads",
            "p50, ms",
            "p99, ms",
            "max, ms",
            "p99 to the first's",
            "all stored, s",
            "swapped in, MiB",
            "stalled, s",
        ),
        rows=tuple(row(way, found, limit) for way, found in runs.items()),
        note="the first is the limit: nothing ever has to be given. Swapped in and stalled as the "
        "guest's own kernel counts",
        samples={way: found.answers_s for way, found in runs.items()},
    )


def row(way: str, found: Run, limit_s: float) -> tuple[Cell, ...]:
    late = percentile(found.answers_s, 99)
    return (
        way,
        len(found.answers_s),
        statistics.median(found.answers_s) * 1000,
        late * 1000,
        max(found.answers_s) * 1000,
        late / limit_s,
        statistics.mean(found.stored_s),
        found.swapped_bytes / MIB,
        found.stalled_s,
    )


async def measure() -> dict[str, Run]:
    kit = get_kit(userland=True)
    runs = {name: Run() for name in WAYS}
    async with asyncio.timeout(WHOLE_S):
        for name, way in [*WAYS.items()] * ROUNDS:
            spec = GuestSpec(
                name="db",
                boot_bytes=way.boot_bytes,
                maximum_bytes=way.maximum_bytes,
                swap_bytes=GIB,
                userland=True,
                forwards=(PORT,),
            )
            async with Lab([spec], kit=kit) as lab:
                guest = lab.guests[spec.name]
                await guest.run(
                    [
                        *("redis-server", "--daemonize", "yes", "--bind", "0.0.0.0"),
                        *("--protected-mode", "no", "--save", "", "--appendonly", "no"),
                    ],
                    timeout_s=ANSWER_S,
                )
                async with balanced(guest, way.seen):
                    await load(guest, runs[name])
    return runs


@asynccontextmanager
async def balanced(guest: LabGuest, way: Way | None) -> AsyncIterator[None]:
    """Have a balancer look after the guest, if it is to be seen by one."""
    if way is None:
        yield
        return
    name = guest.spec.name
    hypervisor = QmpHypervisor(sockets={name: guest.qmp_path})
    try:
        async with balancing(hypervisor, {name: SETTINGS}, way, capacity_bytes=2 * MAXIMUM_BYTES):
            await asyncio.sleep(WATCHED_S)
            yield
    finally:
        await hypervisor.close()


async def load(guest: LabGuest, found: Run) -> None:
    """Store at a steady rate and read all the while."""
    host, port = guest.forward(PORT)
    stored = [0]
    before = await guest.ping()
    async with (
        redis(host, port) as writer,
        redis(host, port) as reader,
        asyncio.TaskGroup() as tasks,
    ):
        reading = tasks.create_task(read(reader, stored, found))
        began_s = time.perf_counter()
        await store(writer, stored)
        found.stored_s.append(time.perf_counter() - began_s)
        reading.cancel()
    after = await guest.ping()
    found.swapped_bytes += after.swap_in_bytes - before.swap_in_bytes
    found.stalled_s += (after.psi_some_us - before.psi_some_us) / 1e6


Redis = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def redis(host: str, port: int) -> AsyncIterator[Redis]:
    async with asyncio.timeout(ANSWER_S):
        while True:
            reader, writer = await asyncio.open_connection(host, port)
            try:
                await ask((reader, writer), b"PING")
                break
            except (ConnectionError, asyncio.IncompleteReadError):  # it does not listen yet
                writer.close()
                await asyncio.sleep(0.1)
    try:
        yield reader, writer
    finally:
        writer.close()


async def ask(connection: Redis, *words: bytes) -> None:
    """Send one command and take its answer in."""
    reader, writer = connection
    parts = [b"*%d\r\n" % len(words), *(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)]
    writer.write(b"".join(parts))
    async with asyncio.timeout(ANSWER_S):
        line = await reader.readuntil(b"\r\n")
        if line[:1] == b"$" and line != b"$-1\r\n":
            await reader.readexactly(int(line[1:]) + 2)
        elif line[:1] == b"-":
            raise RuntimeError(f"redis says: {line.decode(errors='replace').strip()}")


async def store(connection: Redis, stored: list[int]) -> None:
    began_s = time.perf_counter()
    for number in range(DATA_BYTES // VALUE_BYTES):
        await ask(connection, b"SET", b"key:%d" % number, random.randbytes(VALUE_BYTES))
        stored[0] = number + 1
        due_s = began_s + stored[0] * VALUE_BYTES / RATE_BYTES_PER_S
        await asyncio.sleep(max(0.0, due_s - time.perf_counter()))


async def read(connection: Redis, stored: list[int], found: Run) -> None:
    while True:
        await asyncio.sleep(READ_EVERY_S)
        key = b"key:%d" % random.randrange(max(1, stored[0]))
        began_s = time.perf_counter()
        await ask(connection, b"GET", key)
        found.answers_s.append(time.perf_counter() - began_s)
