"""Files of a guest, read through its qemu-guest-agent, and what those of /proc say.

A file is one short answer: opened, read once, closed. A handle that could not be closed is kept in
mind and closed first the next time, before another is opened. What a file says is a guest's word:
no more than `FILE_BYTES` of it are taken, and a figure that is none, or out of range, is unknown.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import re
from typing import Annotated, Final, Protocol, TypeVar

import msgspec
from msgspec import Meta, Struct

from barostat.core.statistics import Inside
from barostat.errors import RefusedError
from barostat.guest.protocol import ProtocolError
from barostat.units import KIB

__all__ = ["Ask", "GuestFiles", "Swap", "fitting", "number_in", "read_inside", "read_swap"]

FILE_BYTES: Final = 32 * KIB
"""The largest that is read, /proc/vmstat, has 4 to 6 KiB."""

LARGEST_FIGURE: Final = 2**63 - 1
LONGEST_FIGURE: Final = 20
PAGE_BYTES: Final = 4096

T = TypeVar("T")
Handle = Annotated[int, Meta(ge=0, le=LARGEST_FIGURE)]
Swap = tuple[int | None, int | None]
"""How much swap a guest has, and how much of it is free, in bytes."""


class Ask(Protocol):
    """Have qemu-guest-agent in a guest run one command."""

    async def __call__(
        self, guest: str, command: str, arguments: dict[str, object], /, *, timeout_s: float
    ) -> object:
        """Give what it returns; raises HypervisorError or UnknownGuestError."""
        ...


class _Piece(Struct, rename={"text": "buf-b64"}):
    text: str = ""


class GuestFiles:
    """The files of one guest.

    Args:
        ask: the way to agents.
        guest: whose files.
        deadline_s: how long one answer may take.
        patience_s: how long the opening of a file may take: a handle whose number nobody hears
            can never be closed.
    """

    def __init__(self, ask: Ask, guest: str, *, deadline_s: float, patience_s: float) -> None:
        self._ask = ask
        self._guest = guest
        self._deadline_s = deadline_s
        self._patience_s = patience_s
        self._left_open: list[int] = []

    async def say(self, command: str, shape: type[T], **arguments: object) -> T:
        """Have the agent run a command and check that its answer has the right shape.

        Raises:
            ProtocolError: it has not.
            HypervisorError, UnknownGuestError: there is none.
        """
        opening = command == "guest-file-open"
        timeout_s = self._patience_s if opening else self._deadline_s
        answer = await self._ask(self._guest, command, arguments, timeout_s=timeout_s)
        return fitting(answer, shape)

    async def close_left_open(self) -> None:
        """Close what could not be closed before.

        Raises:
            HypervisorError, UnknownGuestError, ProtocolError.
        """
        for handle in tuple(self._left_open):
            await self._close(handle)

    async def read(self, path: str) -> str:
        """Read the beginning of a file.

        Raises:
            RefusedError: it is not there, or may not be read.
            ProtocolError: the answer does not fit.
            HypervisorError, UnknownGuestError: there is none.
        """
        handle = await self.say("guest-file-open", Handle, path=path, mode="r")
        self._left_open.append(handle)
        try:
            piece = await self.say("guest-file-read", _Piece, handle=handle, count=FILE_BYTES)
        except (RefusedError, ProtocolError):
            await self._close(handle)
            raise
        await self._close(handle)
        return _decoded(piece.text)

    async def _close(self, handle: int) -> None:
        with contextlib.suppress(RefusedError):  # it is of an agent that ended meanwhile
            await self.say("guest-file-close", object, handle=handle)
        self._left_open.remove(handle)


def fitting(answer: object, shape: type[T]) -> T:
    """Check that an answer has the right shape.

    Raises:
        ProtocolError: it has not. Its words are ours alone.
    """
    try:
        return msgspec.convert(answer, shape)
    except msgspec.ValidationError as error:
        raise ProtocolError(
            "an answer of qemu-guest-agent has another shape than its own"
        ) from error


def _decoded(text: str) -> str:
    longest = 4 * (FILE_BYTES // 3 + 1)
    try:
        if len(text) > longest:
            raise ProtocolError("qemu-guest-agent gave more of a file than was asked for")
        return base64.b64decode(text, validate=True).decode("ascii", "replace")
    except (binascii.Error, ValueError) as error:
        raise ProtocolError("qemu-guest-agent gave a file that is not base64") from error


def number_in(text: str | None, *, base: int = 10) -> int | None:
    """Read a figure, None if it is none that can be."""
    try:
        figure = int((text or "").strip()[: LONGEST_FIGURE + 1], base)
    except ValueError:
        return None
    return figure if 0 <= figure <= LARGEST_FIGURE else None


def read_inside(meminfo: str, vmstat: str | None, pressure: str | None, *, at_s: float) -> Inside:
    """Read what a guest's /proc says of its memory, as its agent would say it.

    Args:
        meminfo: /proc/meminfo.
        vmstat: /proc/vmstat.
        pressure: /proc/pressure/memory; None where the kernel has none.
        at_s: when they were read.
    """
    counted = _named(vmstat or "", r"(\w+) (\d+)")
    scans = [counted.get("pgscan_kswapd"), counted.get("pgscan_direct")]
    scanned = [pages for pages in scans if pages is not None]
    stalled = re.search(r"^some .*\btotal=(\d+)$", pressure or "", re.MULTILINE | re.ASCII)
    refaults = counted.get("workingset_refault_file", counted.get("workingset_refault"))
    return Inside(
        at_s=at_s,
        committed_bytes=_kib(meminfo, "Committed_AS"),
        stalled_us=number_in(stalled[1]) if stalled else None,
        refaulted_bytes=_times(refaults, PAGE_BYTES),
        scanned_bytes=_times(sum(scanned), PAGE_BYTES) if scanned else None,
    )


def read_swap(meminfo: str) -> Swap:
    """Read from /proc/meminfo how much swap there is, and how much of it is free."""
    return _kib(meminfo, "SwapTotal"), _kib(meminfo, "SwapFree")


def _kib(meminfo: str, name: str) -> int | None:
    return _times(_named(meminfo, r"(\w+): +(\d+) kB").get(name), KIB)


def _named(text: str, line: str) -> dict[str, int]:
    found = re.finditer(f"^{line}$", text, re.MULTILINE | re.ASCII)
    figures = {match[1]: number_in(match[2]) for match in found}
    return {name: figure for name, figure in figures.items() if figure is not None}


def _times(count: int | None, unit_bytes: int) -> int | None:
    return None if count is None or count * unit_bytes > LARGEST_FIGURE else count * unit_bytes
