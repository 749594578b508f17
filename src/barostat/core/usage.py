"""What one look at a guest's statistics says: what is used, hidden, outside, and whether it hurts.

Here the guest's words are read; what they mean over time is `demand`'s.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Final

from barostat.core.sizes import Sizes
from barostat.core.statistics import Statistics
from barostat.units import MIB

__all__ = [
    "balloon_floor_bytes",
    "committed_demand_bytes",
    "counters_fell",
    "hidden_bytes",
    "in_distress",
    "kernel_floor_bytes",
    "restarted",
    "returning_bytes",
    "used_bytes",
    "with_last_known",
]

PAGING_SEEN_BYTES: Final = MIB
"""Less swap traffic than this between two looks is a page here and there, not distress."""

MAY_BE_MISSING: Final = (
    "swap_in_bytes",
    "swap_out_bytes",
    "major_faults",
    "disk_caches_bytes",
    "oom_kills",
    "alloc_stalls",
)
"""Figures that a guest may leave out of one answer; they then read 0 or None."""

COUNTERS: Final = tuple(name for name in MAY_BE_MISSING if name != "disk_caches_bytes")
"""Those of them that can only rise while a guest runs."""

SAME_BOOT_RATIO: Final = 0.5
"""What a guest counted since its boot does not double in the moment between two readers."""


@functools.lru_cache(maxsize=256)  # asked for every guest at every look, of few sizes
def balloon_floor_bytes(size_bytes: int) -> int:
    """Say what a Linux guest of this size needs for itself (Linux drivers/hv/hv_balloon.c)."""
    size_mib = size_bytes // MIB
    for above_mib, base_mib, share in (
        (8192, 488, 32),
        (2048, 232, 16),
        (512, 104, 8),
        (128, 40, 4),
    ):
        if size_mib >= above_mib:
            return (base_mib + size_mib // share) * MIB
    return (8 + size_mib // 2) * MIB


def kernel_floor_bytes(sizes: Sizes) -> int:
    """Say what a guest's kernel needs for itself, hidden from the guest's total or not.

    It is that of its base RAM: were it that of what the guest has, demand would follow it.
    """
    return balloon_floor_bytes(sizes.actual_bytes - sizes.plugged_bytes + sizes.balloon_bytes)


def counters_fell(before: Statistics, now: Statistics) -> bool:
    """Say whether a figure that can only rise fell, or one that was there is missing."""
    return (
        now.swap_in_bytes < before.swap_in_bytes
        or now.swap_out_bytes < before.swap_out_bytes
        or now.major_faults < before.major_faults
        or not (now.disk_caches_bytes or not before.disk_caches_bytes)
        or (now.oom_kills or 0) < (before.oom_kills or 0)
        or (now.alloc_stalls or 0) < (before.alloc_stalls or 0)
    )


def with_last_known(before: Statistics, now: Statistics) -> Statistics:
    """Put the last known value where a figure was left out, or was read a little earlier."""
    kept = {name: getattr(before, name) for name in MAY_BE_MISSING if not getattr(now, name)}
    for name in COUNTERS:
        was, found = getattr(before, name), getattr(now, name)
        if found and was and found < was:
            kept[name] = was
    return replace(now, **kept)


def restarted(before: Statistics, now: Statistics) -> bool:
    """Say whether this is another boot: counters run since boot, and one that is there fell.

    The balloon's driver and an agent tell of the same counters, and what is believed to be the
    later of their words may be the earlier by a moment: that is no other boot.
    """
    return any(
        0 < found < was * SAME_BOOT_RATIO
        for was, found in (
            (before.swap_out_bytes, now.swap_out_bytes),
            (before.major_faults, now.major_faults),
        )
    )


def committed_demand_bytes(committed_bytes: int, sizes: Sizes) -> int:
    """Say what a guest needs by what its programs were promised.

    As Linux tells Hyper-V (drivers/hv/hv_balloon.c): committed memory and the kernel's floor. What
    the kernel hides from the guest's total is in that floor.
    """
    return committed_bytes + kernel_floor_bytes(sizes)


def used_bytes(now: Statistics, inside_bytes: int) -> int:
    """Say what is used and cannot simply be dropped.

    Args:
        now: what the guest says.
        inside_bytes: what of its balloon it still counts as its own, and as used.
    """
    return max(0, now.total_bytes - now.available_bytes - inside_bytes)


def hidden_bytes(sizes: Sizes, now: Statistics) -> int:
    """Say what the guest has and does not count, as far as a kernel can explain it."""
    hidden = sizes.actual_bytes + sizes.inside_bytes - now.total_bytes
    # SAFETY: beyond this it is not the kernel's; plugged memory, say, that never came online.
    return max(0, min(hidden, kernel_floor_bytes(sizes)))


def returning_bytes(
    now: Statistics, returned: float, paged_out: float, *, coming_ratio: float
) -> int:
    """Count swapped-out pages, of a guest that has any, that are or may turn out to be in use.

    While pages come back, as many are expected to follow as came within a minute. Those that left
    may be wanted as well. What is freed while it is in swap never comes, and nobody says so.

    Args:
        now: what the guest says.
        returned: what came back within about a minute, in bytes.
        paged_out: what left within about a minute and may still be wanted, in bytes.
        coming_ratio: how much pages come back: 1 while they do, and less the longer they do not.
    """
    outside = now.swap_out_bytes - now.swap_in_bytes
    wanted = max(returned, paged_out) + coming_ratio * min(returned, paged_out)
    return min(outside, int(wanted))


def in_distress(
    before: Statistics,
    now: Statistics,
    *,
    inside_bytes: int,
    swap_bytes: int,
    short_ratio: float,
) -> bool:
    """Say whether the guest pages, stalls or kills for want of memory.

    A kill in a guest that neither stalled nor is short was for a limit that the guest set itself
    (a container's): more memory would not help it.

    Args:
        before: what it said last.
        now: what it says.
        inside_bytes: what of its balloon it still counts as its own.
        swap_bytes: what it moved to and from its swap between the two.
        short_ratio: with less of its memory available than this it is short.
    """
    # Few guests say these: nothing is called for those that do not.
    stalls = before.alloc_stalls is not None and (now.alloc_stalls or 0) > before.alloc_stalls
    kills = before.oom_kills is not None and (now.oom_kills or 0) > before.oom_kills
    if not (stalls or kills or swap_bytes >= PAGING_SEEN_BYTES):
        return False
    short = now.available_bytes < (now.total_bytes - inside_bytes) * short_ratio
    return short or (kills and stalls)
