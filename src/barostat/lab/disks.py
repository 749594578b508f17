"""A guest's disks: sparse files that cost the host only what is written to them.

The swap disk carries its signature before the guest sees it: `mkswap` inside the guest waits a
second for the kernel's first random numbers.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

__all__ = ["make_data_disk", "make_swap_disk"]

PAGE_BYTES: Final = 4096
_SWAP_VERSION: Final = 1
_SWAP_MAGIC: Final = b"SWAPSPACE2"
_SWAP_INFO_AT: Final = 1024  # behind the room for a boot sector (Linux include/linux/swap.h)


def make_data_disk(path: Path, *, size_bytes: int) -> None:
    """Make a disk of zeros to be read through the guest's page cache."""
    with path.open("xb") as disk:
        disk.truncate(size_bytes)


def make_swap_disk(path: Path, *, size_bytes: int) -> None:
    """Make a disk that the guest can `swapon` as it is; its first page is the header."""
    info = struct.pack("<III", _SWAP_VERSION, size_bytes // PAGE_BYTES - 1, 0)
    with path.open("xb") as disk:
        disk.truncate(size_bytes)
        disk.seek(_SWAP_INFO_AT)
        disk.write(info)
        disk.seek(PAGE_BYTES - len(_SWAP_MAGIC))
        disk.write(_SWAP_MAGIC)
