"""What a guest says of its memory, believed only as far as it can be true.

Everything that a guest says of itself is untrusted: `read_statistics` is the only way from a
balloon driver's words to a `Statistics`, and it answers None where they cannot be true.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from barostat.units import MIB

__all__ = ["Inside", "Statistics", "read_statistics"]

UNKNOWN: Final = 2**64 - 1
"""How QEMU says "the guest never told me": -1 in an unsigned 64-bit field."""

TOTAL_TOLERANCE_RATIO: Final = 1.01
"""A guest's total is below its configured size; above it by more than this it is a lie."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """What a guest said of its memory, after `read_statistics` looked it over.

    Counters run since the guest's boot. None means that this guest's driver or QEMU does not
    know the figure. What is free is in whole MiB: it changes all the time, and nothing is decided
    by less.
    """

    total_bytes: int
    available_bytes: int
    free_bytes: int | None = None
    disk_caches_bytes: int | None = None
    swap_in_bytes: int = 0
    swap_out_bytes: int = 0
    major_faults: int = 0
    oom_kills: int | None = None
    alloc_stalls: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """What only a program inside the guest can say, after it was looked over.

    Counters run since the guest's boot. None means that this guest's kernel does not say.

    Attributes:
        at_s: when it was said.
        committed_bytes: what its programs were promised (Committed_AS).
        stalled_us: how long something in it waited for memory (PSI "some", total), microseconds.
        refaulted_bytes: file pages that were dropped and had to be read again
            (workingset_refault_file).
        scanned_bytes: what its kernel looked over to reclaim memory for the whole guest, by itself
            or for who waited (pgscan_kswapd, pgscan_direct); a container's own limit is not in it.
    """

    at_s: float
    committed_bytes: int | None = None
    stalled_us: int | None = None
    refaulted_bytes: int | None = None
    scanned_bytes: int | None = None


def read_statistics(raw: Mapping[str, object], *, limit_bytes: int) -> Statistics | None:
    """Turn a guest's balloon statistics into figures that can be true.

    Args:
        raw: keys as QEMU names them ("stat-total-memory", ...); bytes, or counts for faults.
        limit_bytes: the most that this guest can have (base RAM plus what is or may be plugged).

    Returns:
        The statistics, or None if a needed figure is missing or they contradict themselves:
        nonsense is "no data", never "rich".
    """

    def known(key: str) -> int | None:
        value = raw.get(f"stat-{key}")
        if isinstance(value, bool) or not isinstance(value, int):
            return None
        return value if 0 <= value < UNKNOWN else None

    total, free = known("total-memory"), known("free-memory")
    caches = known("disk-caches")
    available = known("available-memory")
    if total is None or not 0 < total <= limit_bytes * TOTAL_TOLERANCE_RATIO:
        return None
    if free is not None and free > total:
        return None
    if available is None and free is not None:
        # Kernels before 4.6 say no "available": most, not all, of the cache can be dropped.
        available = min(total, free + (7 * min(caches or 0, total)) // 10)
    if available is None or available > total:
        return None
    return Statistics(
        total_bytes=total,
        available_bytes=available,
        free_bytes=None if free is None else free // MIB * MIB,
        disk_caches_bytes=None if caches is None else min(caches, total),
        swap_in_bytes=known("swap-in") or 0,
        swap_out_bytes=known("swap-out") or 0,
        major_faults=known("major-faults") or 0,
        oom_kills=known("oom-kills"),
        alloc_stalls=known("alloc-stalls"),
    )
