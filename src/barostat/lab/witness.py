"""What a guest's witness reports, and the port on which it is heard and told what to do.

A guest is untrusted even here: a line has a bounded length, and a line that is no report is
counted and passed over. The port belongs to one reader at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import msgspec

from barostat.errors import LabError

__all__ = ["ControlPort", "Witness"]

LONGEST_LINE_BYTES: Final = 8192
"""A report has 700 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """One report: what the guest itself felt. Counters run since its boot.

    Attributes:
        sequence: counts reports; one that nobody took is missing.
        uptime_us: the guest's clock.
        command: the newest command that was understood.
        wished_bytes: what the holder was told to hold.
        hot_permille: the share of it that is touched all the time.
        held_bytes: what the holder has really touched.
        passes: how often all of the hot share was touched.
        last_pass_us: how long that took the last time.
        worst_pass_us: how long that took at worst since the last `hold`.
        stalled_us: how long the holder waited for memory or swap.
        cache_read_bytes: what was read through the page cache for the last `cache`.
        holder_deaths: how often the holder was killed and began again, empty.
        bad_commands: lines that were not understood.
        total_bytes: MemTotal.
        available_bytes: MemAvailable.
        free_bytes: MemFree.
        cached_bytes: Buffers and Cached together.
        swap_total_bytes: SwapTotal.
        swap_free_bytes: SwapFree.
        swap_in_bytes: pages that came from swap.
        swap_out_bytes: pages that went to swap.
        major_faults: faults that had to wait for a disk.
        oom_kills: by the guest's kernel.
        psi_some_us: time in which some task waited for memory.
        psi_full_us: time in which all tasks did.
    """

    sequence: int
    uptime_us: int
    command: int
    wished_bytes: int
    hot_permille: int
    held_bytes: int
    passes: int
    last_pass_us: int
    worst_pass_us: int
    stalled_us: int
    cache_read_bytes: int
    holder_deaths: int
    bad_commands: int
    total_bytes: int
    available_bytes: int
    free_bytes: int
    cached_bytes: int
    swap_total_bytes: int
    swap_free_bytes: int
    swap_in_bytes: int
    swap_out_bytes: int
    major_faults: int
    oom_kills: int
    psi_some_us: int
    psi_full_us: int


class ControlPort(asyncio.Protocol):
    """The host's end of a workload's control port.

    `witness` is the newest report, `bad_lines` counts what was no report, `open` says whether the
    other end is still there.
    """

    def __init__(self) -> None:
        self.witness: Witness | None = None
        self.bad_lines = 0
        self.open = False
        self._transport: asyncio.WriteTransport | None = None
        self._buffer = bytearray()
        self._news = asyncio.Event()
        self._decoder = msgspec.json.Decoder(Witness)
        self._last_command = 0

    @classmethod
    async def connect(cls, path: Path) -> ControlPort:
        """Connect to the port's socket.

        Raises:
            OSError: nobody listens there.
        """
        loop = asyncio.get_running_loop()
        _, port = await loop.create_unix_connection(cls, str(path))
        return port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin (called by asyncio)."""
        self._transport = cast("asyncio.WriteTransport", transport)
        self.open = True

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that QEMU has closed its end (called by asyncio)."""
        del exc
        self.open = False
        self._announce()

    def data_received(self, data: bytes) -> None:
        """Take reports out of what arrived (called by asyncio)."""
        self._buffer += data
        *lines, rest = self._buffer.split(b"\n")
        self._buffer = rest
        for line in lines:
            self._take(line)
        if len(rest) > LONGEST_LINE_BYTES:
            self._buffer.clear()
            self.bad_lines += 1

    def _take(self, line: bytearray) -> None:
        try:
            self.witness = self._decoder.decode(line)
        except msgspec.MsgspecError:
            self.bad_lines += 1
            return
        self._announce()

    def _announce(self) -> None:
        """Wake all who wait; those who look again wait for the next news."""
        self._news.set()
        self._news = asyncio.Event()

    async def tell(self, command: str, *, timeout_s: float) -> Witness:
        """Send a command and wait until the workload says that it has understood it.

        Raises:
            TimeoutError: it did not in time.
            LabError: the port was closed.
        """
        async with asyncio.timeout(timeout_s):
            seen = await self.until(lambda _: True, timeout_s=timeout_s)
            self._last_command = number = max(self._last_command, seen.command) + 1
            if self._transport is not None and self.open:
                self._transport.write(f"{number} {command}\n".encode())
            return await self.until(lambda witness: witness.command >= number, timeout_s=timeout_s)

    async def until(self, fits: Callable[[Witness], bool], *, timeout_s: float) -> Witness:
        """Wait for a report that fits; the newest one may fit already.

        Raises:
            TimeoutError: none came in time.
            LabError: the port was closed.
        """
        async with asyncio.timeout(timeout_s):
            while self.witness is None or not fits(self.witness):
                if not self.open:
                    raise LabError(
                        "the workload's control port was closed",
                        hint="did the guest end? its console log says why",
                    )
                await self._news.wait()
        return self.witness

    def close(self) -> None:
        """Let go of the port."""
        if self._transport is not None:
            self._transport.close()
