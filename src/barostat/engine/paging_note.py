"""What Smart Paging is to put back, noted on disk before anything is changed.

The note outlives a daemon that is killed, but no restart of the host: cgroups do not either. It is
believed only as far as a guest's QEMU is still where it was. Written whole or not at all.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Final

import msgspec

from barostat.errors import HostError

__all__ = ["Before", "PagingNote"]

LONGEST_BYTES: Final = 2**20

_log = logging.getLogger(__name__)


class Before(msgspec.Struct, frozen=True, kw_only=True):
    """One guest's limits before the host paged for it.

    Attributes:
        pid: its QEMU.
        folder: that QEMU's cgroup.
        high_bytes: its `memory.high`, None where there was none.
        swap_bytes: its `memory.swap.max`, None where there was none.
        swapped_bytes: what was swapped out of it already.
    """

    pid: int
    folder: str
    high_bytes: int | None
    swap_bytes: int | None
    swapped_bytes: int


class PagingNote:
    """The note, and what stands in it.

    Attributes:
        kept: what is to be put back, by guest.
    """

    def __init__(self, path: Path) -> None:
        self.kept: dict[str, Before] = {}
        self._path = path

    async def read(self) -> None:
        """Take up what a daemon before left; what makes no sense is told of and left."""
        try:
            data = await asyncio.to_thread(_read, self._path)
            self.kept = msgspec.json.decode(data, type=dict[str, Before]) if data else {}
        except (OSError, ValueError) as error:
            _log.warning("%s cannot be read (%s): limits that it named stay", self._path, error)

    async def keep(self, guest: str, before: Before) -> None:
        """Note what is to be put back for a guest.

        Raises:
            HostError: it cannot be noted; nothing must be changed then.
        """
        await self._write(self.kept | {guest: before})

    async def forget(self, guest: str) -> None:
        """Take note that a guest's limits are as they were.

        Raises:
            HostError: it cannot be noted; they are put back once more then.
        """
        await self._write({name: item for name, item in self.kept.items() if name != guest})

    async def _write(self, kept: dict[str, Before]) -> None:
        try:
            await asyncio.to_thread(_write, self._path, msgspec.json.encode(kept) if kept else b"")
        except OSError as error:
            raise HostError(
                f"{self._path} cannot be written: {error.strerror}",
                hint="without that note a daemon that is killed would leave a limit behind",
            ) from error
        self.kept = kept


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(LONGEST_BYTES)
    except FileNotFoundError:
        return b""


def _write(path: Path, data: bytes) -> None:
    if not data:
        path.unlink(missing_ok=True)
        return
    fresh = path.with_name(path.name + ".new")
    fresh.write_bytes(data)
    fresh.replace(path)
