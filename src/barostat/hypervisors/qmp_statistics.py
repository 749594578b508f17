"""A guest's balloon statistics, asked for at the moment they are wanted.

QEMU asks the guest at once when its polling interval is set from 0 to N; the same N again would do
nothing. Whether an answer is new shows in its figures and in its stamp, which has whole seconds
only. An idle guest may answer the same figures within the same second: then nothing tells a new
answer from none, and the older time counts.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from barostat.core.observation import Devices
from barostat.core.statistics import Statistics, read_statistics
from barostat.hypervisors.qmp_anatomy import GuestStatistics, read_statistics_of
from barostat.hypervisors.qmp_link import QmpLink

__all__ = ["StatisticsReader"]

INTERVAL_S: Final = 2
"""QEMU goes on asking in this interval while we do not."""

PATIENCE_S: Final = 0.1
"""A guest answers in 1 to 10 ms. One that got no processor in this time is not waited for."""

SHORT_PATIENCE_S: Final = 0.03
"""While the last answer is of this very second, an unchanged one cannot be told from none; and a
guest whose driver never spoke most likely has none yet."""

PAUSES_S: Final = (0.001, 0.007, 0.022)
LAST_PAUSE_S: Final = 0.035
"""Most answers are there at the first or second look; each costs a third of a millisecond."""


class StatisticsReader:
    """One guest's statistics.

    Attributes:
        statistics: what it last said, None if it said nothing that can be true.
        at_s: when that was new, on the event loop's clock.
    """

    def __init__(self, link: QmpLink, balloon_path: str) -> None:
        self.statistics: Statistics | None = None
        self.at_s = 0.0
        self._link = link
        self._path = balloon_path
        self._last: GuestStatistics | None = None
        self._unread = False
        self._unasked_from_s = 0.0  # from then on an answer may come that we did not ask for

    async def ask(self) -> bool:
        """Have the guest asked, and wait a moment for its answer.

        Returns:
            Whether there is an answer, asked for or not, that was not seen before.

        Raises:
            DeadlineError, UnreachableError, RefusedError, GuestGoneError.
        """
        loop = asyncio.get_running_loop()
        await self._set_interval(0)
        before = self._last
        if before is None or loop.time() >= self._unasked_from_s:
            before = await read_statistics_of(self._link, self._path)
        self._unasked_from_s = 0.0
        asked_s = loop.time()
        await self._set_interval(INTERVAL_S)
        answer = await self._answer(before)
        seen_s = loop.time()
        if answer != before:  # no other can come before QEMU asks by itself
            self._unasked_from_s = asked_s + INTERVAL_S
        if answer == self._last:
            return False
        if answer == before:  # it came unasked, some time after our last look
            seen_s = max(self.at_s, seen_s - max(0.0, time.time() - answer.last_update))
        self._last, self.at_s, self._unread = answer, seen_s, True
        return answer.last_update > 0

    async def _set_interval(self, seconds: int) -> None:
        await self._link.ask(
            "qom-set",
            object,
            path=self._path,
            property="guest-stats-polling-interval",
            value=seconds,
        )

    async def _answer(self, before: GuestStatistics) -> GuestStatistics:
        """Poll until there is a newer answer than the one before, or patience is at its end."""
        loop = asyncio.get_running_loop()
        hopeless = before.last_update in {0, int(time.time())}
        until_s = loop.time() + (SHORT_PATIENCE_S if hopeless else PATIENCE_S)
        tries = 0
        while True:
            await asyncio.sleep(PAUSES_S[tries] if tries < len(PAUSES_S) else LAST_PAUSE_S)
            tries += 1
            answer = await read_statistics_of(self._link, self._path)
            if answer != before or loop.time() >= until_s:
                return answer

    def read(self, devices: Devices) -> None:
        """Judge the newest answer, with the sizes that the guest had at about that moment."""
        if self._unread and self._last is not None:
            limit_bytes = devices.boot_bytes + sum(
                max(plug.requested_bytes, plug.size_bytes) for plug in devices.plugs
            )
            spoken = self._last.last_update > 0
            stats = self._last.stats
            self.statistics = read_statistics(stats, limit_bytes=limit_bytes) if spoken else None
            self._unread = False
