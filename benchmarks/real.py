"""What the benchmarks with real guests share: a kit, bare QMP, and a balancer of a kind.

Bare QMP speaks on the lab's own monitor, so that it can be beside Barostat's connection to the same
guest. It is the limit of what we measure: nothing lies between it and QEMU but a socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from barostat.core.settings import MemorySettings
from barostat.engine.lane import Pace
from barostat.engine.loop import Balancer, Tick
from barostat.engine.observe import FixedCapacity, FixedSettings
from barostat.guest.agents import Agents
from barostat.guest.base import Insight
from barostat.hypervisors.base import Hypervisor
from barostat.lab.fleet import Kit, ensure_kit

__all__ = ["PLUG", "BareQmp", "Way", "balancing", "get_kit"]

PLUG = "/machine/peripheral/vmem0"
"""Where the lab's guests have their virtio-mem device."""

ANSWER_S = 10.0
SIZE_S = 60.0
"""Under emulation and load, 256 MiB have been seen to take 20 s."""

LOOK_EVERY_S = 0.002
NUDGES, NUDGE_S = 20, 3.0


def get_kit(*, userland: bool = False) -> Kit:
    """Get all that real guests need; says on stderr what takes its time."""
    return ensure_kit(progress=lambda text: print(text, file=sys.stderr), userland=userland)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How guests are seen: at every tick, also in between, also by what their agents say."""

    pace: Pace
    agent: bool


@asynccontextmanager
async def balancing(
    guests: Hypervisor,
    settings: Mapping[str, MemorySettings],
    way: Way,
    *,
    capacity_bytes: int,
    on_tick: Callable[[Tick], None] = lambda _: None,
) -> AsyncIterator[Balancer]:
    """Balance guests while the block lasts; afterwards they keep what they have."""

    def hear(guest: str) -> None:
        balancer.lane.hear(guest)

    agents = Agents(sockets=lambda: guests.agents, on_report=hear)
    insight = Insight([agents]) if way.agent else None
    balancer = Balancer(
        guests,
        FixedSettings(settings),
        FixedCapacity(capacity_bytes),
        on_tick=on_tick,
        insight=insight,
        pace=way.pace,
    )
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(balancer.run(stop))
        if insight is not None:
            tasks.create_task(insight.run(stop))
        try:
            yield balancer
        finally:
            stop.set()


class BareQmp:
    """One QMP connection without anything around it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path) -> AsyncIterator[BareQmp]:
        async with asyncio.timeout(ANSWER_S):
            reader, writer = await asyncio.open_unix_connection(str(path), limit=2**20)
        try:
            bare = cls(reader, writer)
            await reader.readline()  # the greeting
            await bare.ask("qmp_capabilities")
            yield bare
        finally:
            writer.close()

    async def ask(self, command: str, /, **arguments: Any) -> Any:
        """Run a command; "_" in the names of arguments stands for "-".

        Raises:
            RuntimeError: QEMU says no.
            TimeoutError: it says nothing.
        """
        plain = {name.replace("_", "-"): value for name, value in arguments.items()}
        self._writer.write(msgspec.json.encode({"execute": command, "arguments": plain}) + b"\n")
        async with asyncio.timeout(ANSWER_S):
            while True:  # events may lie before the answer
                answer = msgspec.json.decode(await self._reader.readuntil(b"\n"))
                if "return" in answer:
                    return answer["return"]
                if "error" in answer:
                    raise RuntimeError(f"{command}: {answer['error']}")

    async def balloon(self) -> int:
        """Ask what the balloon leaves of the base RAM."""
        size: int = (await self.ask("query-balloon"))["actual"]
        return size

    async def plugged(self) -> int:
        """Ask how much is plugged."""
        size: int = await self.ask("qom-get", path=PLUG, property="size")
        return size

    async def set_balloon(self, actual_bytes: int) -> None:
        await self.ask("balloon", value=actual_bytes)

    async def set_plug(self, size_bytes: int) -> None:
        await self.ask("qom-set", path=PLUG, property="requested-size", value=size_bytes)

    async def assigned(self) -> int:
        """Ask what the guest has: base RAM, less its balloon, and what is plugged."""
        return await self.balloon() + await self.plugged()

    async def unplug_all(self) -> None:
        """Have the guest give back all that is plugged.

        Asked once, a guest that had not a page to spare at the wrong moment waits for a minute
        before it goes on; asked again it goes on at once.

        Raises:
            TimeoutError: it did not, however often it was asked.
        """
        for _ in range(NUDGES):
            await self.set_plug(0)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(NUDGE_S):
                    while await self.plugged():  # noqa: ASYNC110 - as in `until`
                        await asyncio.sleep(LOOK_EVERY_S)
                    return
        raise TimeoutError(f"{await self.plugged()} bytes stay plugged")

    async def until(self, fits: Callable[[int], bool]) -> float:
        """Wait until what the guest has fits.

        Returns:
            When it was seen to, on `time.perf_counter`'s clock.

        Raises:
            TimeoutError: it did not within a minute.
        """
        async with asyncio.timeout(SIZE_S):
            while not fits(await self.assigned()):  # noqa: ASYNC110 - QEMU tells once a second
                await asyncio.sleep(LOOK_EVERY_S)
        return time.perf_counter()
