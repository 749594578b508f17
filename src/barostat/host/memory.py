"""The host's memory as its kernel says it at one moment."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Final

from barostat.errors import HostError
from barostat.host.tree import Tree, field_bytes, number

__all__ = ["Memory", "read_memory"]

PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")

_STALLS: Final = re.compile(r"^some avg10=(\d{1,3}(?:\.\d+)?) ", re.MULTILINE | re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The host's memory. Sizes in bytes.

    Attributes:
        total_bytes: all that the kernel manages.
        available_bytes: what could be used without swapping, as the kernel estimates it.
        hugetlb_bytes: the pools of hugepages, used or not: nobody else can have them.
        swap_total_bytes, swap_free_bytes: its swap.
        swapped_out_bytes: what went to swap since boot.
        ksm_saved_bytes: what same-page merging saves now; a write undoes it, so it is no memory.
        stall_ratio: the share of the last 10 s in which some process waited for memory (PSI);
            None where this kernel does not say.
    """

    total_bytes: int
    available_bytes: int
    hugetlb_bytes: int = 0
    swap_total_bytes: int = 0
    swap_free_bytes: int = 0
    swapped_out_bytes: int = 0
    ksm_saved_bytes: int = 0
    stall_ratio: float | None = None


def read_memory(tree: Tree) -> Memory:
    """Read the host's memory.

    Raises:
        HostError: /proc/meminfo is not there, or does not say what every Linux since 3.14 says.
    """
    info = tree.data("proc/meminfo") or b""
    total, available = field_bytes(info, b"MemTotal"), field_bytes(info, b"MemAvailable")
    if not total or available is None or available > total:
        raise HostError(
            "/proc/meminfo does not say how much memory the host has and has available",
            hint="Barostat needs a Linux host, 3.14 or newer, with /proc mounted",
        )
    counters = tree.data("proc/vmstat") or b""
    return Memory(
        total_bytes=total,
        available_bytes=available,
        hugetlb_bytes=min(_hugetlb_bytes(info), total),
        swap_total_bytes=field_bytes(info, b"SwapTotal") or 0,
        swap_free_bytes=field_bytes(info, b"SwapFree") or 0,
        swapped_out_bytes=_counter(counters, b"pswpout") * PAGE_BYTES,
        ksm_saved_bytes=(number(tree.word("sys/kernel/mm/ksm/pages_sharing")) or 0) * PAGE_BYTES,
        stall_ratio=_stall_ratio(tree.text("proc/pressure/memory")),
    )


def _hugetlb_bytes(info: bytes) -> int:
    """Add up the pools; kernels before 4.16 say only those of the usual page size."""
    every = field_bytes(info, b"Hugetlb")
    if every is not None:
        return every
    pages, size = field_bytes(info, b"HugePages_Total"), field_bytes(info, b"Hugepagesize")
    return (pages or 0) * (size or 0)


def _counter(data: bytes, key: bytes) -> int:
    found = re.search(rb"^" + key + rb" (\d{1,20})$", data, re.MULTILINE)
    return int(found[1]) if found else 0


def _stall_ratio(text: str | None) -> float | None:
    found = _STALLS.search(text or "")
    return min(1.0, float(found[1]) / 100) if found else None
