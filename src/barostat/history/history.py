"""The history of one host, for the daemon: what happened goes in at once, and is read at leisure.

Nothing here waits for a disk in the event loop. What goes in is handed to the writer's thread;
what is asked for is read in other threads, a few at a time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeVar

from barostat.errors import HistoryError
from barostat.history.film import Pass
from barostat.history.reader import DamagedError, Reader
from barostat.history.store import Ended, Looked
from barostat.history.values import (
    AuditEntry,
    Ending,
    FaultKind,
    HistoryFault,
    HostSeries,
    KnownGuest,
    Metering,
    RecordedDecision,
    Replay,
    Series,
)
from barostat.history.writer import Writer

__all__ = ["History"]

READERS: Final = 2
"""Reads are short, and whoever asks for a month must not keep everybody else waiting."""

WAIT_S: Final = 10.0
"""Each read gives up by itself after half of this; the rest is waiting for its turn."""

CLOSE_S: Final = 5.0
"""Stopping waits no longer for a disk; systemd would wait for ten times as long."""

_T = TypeVar("_T")


class History:
    """What happened on this host.

    Args:
        path: the database; its folder is made if it is missing.
        clock: the balancer's monotonic seconds.
        wall: seconds since 1970.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._wall = wall
        self._writer = Writer(path, wall=wall)
        self._reader = Reader(path)
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="history-read")

    @property
    def fault(self) -> HistoryFault | None:
        """What is wrong with the history now, None while all is well."""
        return self._writer.fault

    @property
    def failures(self) -> Mapping[FaultKind, int]:
        """How often what went wrong since the start."""
        return MappingProxyType(self._writer.failures)

    @property
    def dropped(self) -> int:
        """How many entries were lost since the start, because they could not be written in time."""
        return self._writer.dropped

    def record(self, tick: Pass) -> None:
        """Note a pass of the balancer. Waits for nothing."""
        ago_s = self._clock() - tick.snapshot.now_s
        self._writer.hand(Looked(at_s=self._wall() - ago_s, tick=tick))

    def outcome(self, ending: Ending) -> None:
        """Note how a move ended. Waits for nothing."""
        self._writer.hand(Ended(ending=ending))

    def audit(self, entry: AuditEntry) -> None:
        """Note a change that somebody made. Waits for nothing."""
        self._writer.hand(entry)

    async def run(self, stop: asyncio.Event) -> None:
        """Write until told to stop; then what still waits, if that can be done at once."""
        self._writer.start()
        try:
            await stop.wait()
        finally:
            self._threads.shutdown(wait=False, cancel_futures=True)
            await asyncio.to_thread(self._writer.close, timeout_s=CLOSE_S)

    async def settled(self, *, timeout_s: float) -> bool:
        """Wait until all that was noted is written; False if it was not in time."""
        return await asyncio.to_thread(self._writer.settled, timeout_s=timeout_s)

    async def samples(
        self, guest: str, *, since_s: float, until_s: float, points: int = 300
    ) -> Series:
        """Give what a guest had and needed, in at most so many points; see `Reader.samples`."""
        return await self._read(
            partial(
                self._reader.samples,
                guest,
                since_s=since_s,
                until_s=until_s,
                points=points,
                now_s=self._wall(),
            )
        )

    async def host(self, *, since_s: float, until_s: float, points: int = 300) -> HostSeries:
        """Give how the host's memory stood, in at most so many points; see `Reader.host`."""
        return await self._read(
            partial(
                self._reader.host,
                since_s=since_s,
                until_s=until_s,
                points=points,
                now_s=self._wall(),
            )
        )

    async def decisions(
        self, guest: str | None, *, since_s: float, until_s: float, limit: int = 100
    ) -> tuple[RecordedDecision, ...]:
        """Give the newest decisions of one guest or of all; see `Reader.decisions`."""
        return await self._read(
            partial(self._reader.decisions, guest, since_s=since_s, until_s=until_s, limit=limit)
        )

    async def decision_at(self, guest: str | None, when_s: float) -> Replay:
        """Make a past decision again; see `Reader.decision_at`."""
        return await self._read(partial(self._reader.decision_at, guest, when_s))

    async def audits(
        self, *, since_s: float, until_s: float, limit: int = 100
    ) -> tuple[AuditEntry, ...]:
        """Give the newest changes that somebody made; see `Reader.audits`."""
        return await self._read(
            partial(self._reader.audits, since_s=since_s, until_s=until_s, limit=limit)
        )

    async def metering(self, *, since_s: float, until_s: float) -> tuple[Metering, ...]:
        """Give the mean, least and most that every guest had; see `Reader.metering`."""
        return await self._read(
            partial(self._reader.metering, since_s=since_s, until_s=until_s, now_s=self._wall())
        )

    async def guests(self) -> tuple[KnownGuest, ...]:
        """Name every guest of which something is recorded."""
        return await self._read(self._reader.guests)

    async def _read(self, question: Callable[[], _T]) -> _T:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(WAIT_S):
                return await loop.run_in_executor(self._threads, question)
        except TimeoutError as error:
            raise HistoryError(
                f"the history gave no answer within {WAIT_S:g} s",
                hint="too much is asked of it at once; ask again later, or for a shorter time",
            ) from error
        except DamagedError:
            self._writer.suspect()
            raise
