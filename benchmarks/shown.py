"""Time of the processor for deciding on n guests and showing all of it, beside deciding alone.

Once a second a pass is decided on, told to twenty listeners of the live stream, and recorded; every
five seconds metrics are scraped and every guest is asked for, over the UNIX socket. The limit is
the same passes, decided on and shown to nobody. How guests are looked at is left out: `observe` and
`domains` measure that.
"""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import socket
import statistics
import tempfile
import time
from collections.abc import Callable
from multiprocessing.synchronize import Event
from pathlib import Path

from barostat.config.sections import HistorySection, ServiceSection
from barostat.config.settings_file import SettingsFolder
from barostat.core.decide import decide
from barostat.daemon.api import api_of, history_of
from barostat.engine.control import Control
from barostat.engine.loop import Balancer, Tick
from barostat.engine.observe import FixedCapacity
from barostat.hypervisors.simulated import SimulatedHypervisor
from barostat.service.metrics import Metrics
from barostat.service.stream import TickStream
from barostat.units import GIB
from benchmarks.harness import Cell, Result
from benchmarks.history import Liveliness, Village

GUESTS = (30, 300, 1_000)
LISTENERS = 20
SECONDS = 15
SETTLING = 30
PASSES = 8
EVERY_S = 5


def run() -> Result:
    rows: list[tuple[Cell, ...]] = []
    samples: dict[str, list[float]] = {}
    for count in GUESTS:
        ticks = passes(count)
        alone = asyncio.run(shown_to_nobody(ticks))
        whole = asyncio.run(shown(ticks))
        rows.append(
            (
                count,
                100 * statistics.mean(whole),
                100 * statistics.median(whole),
                100 * statistics.mean(alone),
                1e6 * statistics.mean(whole) / count,
            )
        )
        samples |= {f"all {count}": whole, f"limit {count}": alone}
    return Result(
        title="Deciding, and showing it",
        columns=(
            "guests",
            "core, %",
            "median",
            "limit: shown to nobody, %",
            "a guest, us a second",
        ),
        rows=tuple(rows),
        note=f"processor time of the whole process, all its threads, at one pass a second, over "
        f"{SECONDS} s; {LISTENERS} listeners, a scrape and a list of all guests every {EVERY_S} s. "
        "Each guest's use swings by 10 % a second",
        samples=samples,
    )


def passes(count: int) -> list[Tick]:
    """Make passes over guests that have found their sizes."""
    village = Village(count, Liveliness.BUSY)
    for _ in range(SETTLING):
        village.tick()
    return [village.tick() for _ in range(PASSES)]


def decided_anew(tick: Tick) -> Tick:
    """Do again what a daemon does in a pass, when it has looked."""
    decision = decide(tick.snapshot, tick.state, tick.policy)
    return Tick(
        snapshot=tick.snapshot,
        state=tick.state,
        policy=tick.policy,
        decision=decision,
        observe_s=0.0,
        decide_s=0.0,
    )


async def every_second(ticks: list[Tick], tell: Callable[[Tick], None]) -> list[float]:
    """Tell of a pass each second; give the processor time that each second took."""
    used: list[float] = []
    for tick in itertools.islice(itertools.cycle(ticks), SECONDS):
        began_s, before_s = time.monotonic(), time.process_time()
        tell(decided_anew(tick))
        await asyncio.sleep(began_s + 1 - time.monotonic())
        used.append(time.process_time() - before_s)
    return used


async def shown_to_nobody(ticks: list[Tick]) -> list[float]:
    return await every_second(ticks, lambda _: None)


def idle_control(folder: Path) -> Control:
    """Make a control of no guests, to be told of passes by hand."""
    hypervisor, settings = SimulatedHypervisor(time.monotonic), SettingsFolder(folder)
    return Control(Balancer(hypervisor, settings, FixedCapacity(GIB)), hypervisor, settings)


async def shown(ticks: list[Tick]) -> list[float]:
    """Serve all that there is to listeners in a process of their own."""
    stop = asyncio.Event()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        control = idle_control(folder)
        history = history_of(HistorySection.model_validate({"path": f"{name}/history.sqlite3"}))
        assert history is not None
        stream, metrics = TickStream(control), Metrics()
        service = ServiceSection.model_validate(
            {"socket": f"{name}/socket", "tokens": f"{name}/tokens.json"}
        )
        api = api_of(service, control, history=history, stream=stream, metrics=metrics)

        def tell(tick: Tick) -> None:
            control.on_tick(tick)
            metrics.tick(tick)
            stream.on_tick(tick)
            history.record(tick)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(api.run(stop))
            tasks.create_task(history.run(stop))
            await api.ready.wait()
            tell(decided_anew(ticks[0]))
            try:
                return await with_listeners(folder / "socket", stream, ticks, tell)
            finally:
                stop.set()
                stream.close()


async def with_listeners(
    path: Path, stream: TickStream, ticks: list[Tick], tell: Callable[[Tick], None]
) -> list[float]:
    spawn = multiprocessing.get_context("spawn")
    ended = spawn.Event()
    process = spawn.Process(target=listen, args=(str(path), ended), daemon=True)
    process.start()
    try:
        async with asyncio.timeout(60):
            while stream.listeners < LISTENERS:  # noqa: ASYNC110 - counted, not signalled
                await asyncio.sleep(0.05)
        return await every_second(ticks, tell)
    finally:
        ended.set()
        await asyncio.to_thread(process.join, 10)


def listen(path: str, ended: Event) -> None:
    """Be all the listeners, and who asks now and then."""
    asyncio.run(listen_all(path, ended))


async def listen_all(path: str, ended: Event) -> None:
    jobs = [asyncio.create_task(follow(path)) for _ in range(LISTENERS)]
    jobs.append(asyncio.create_task(ask_now_and_then(path)))
    await asyncio.to_thread(ended.wait)
    for job in jobs:
        job.cancel()
    await asyncio.gather(*jobs, return_exceptions=True)


async def follow(path: str) -> None:
    reader, _ = await connect(path, "/v1/stream")
    while await reader.read(2**16):
        pass


async def ask_now_and_then(path: str) -> None:
    while True:
        for what in ("/metrics", "/v1/guests"):
            reader, writer = await connect(path, what, "Connection: close\r\n")
            await reader.read(-1)
            writer.close()
        await asyncio.sleep(EVERY_S)


async def connect(
    path: str, what: str, more: str = ""
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    connection = socket.socket(socket.AF_UNIX)
    connection.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connection, path)
    reader, writer = await asyncio.open_unix_connection(sock=connection)
    writer.write(f"GET {what} HTTP/1.1\r\nHost: barostat\r\n{more}\r\n".encode())
    await writer.drain()
    return reader, writer
