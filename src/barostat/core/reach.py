"""How far a guest can be grown at once, by what it has free to describe plugged memory in.

A Linux guest describes memory before it can use it, and in its boot RAM alone: what is plugged is
movable, and descriptors are not. One that has hardly a free page cannot take a large plug: it stops
short, or its kernel dies where it does not ask twice. So it is plugged in steps, each of which it
can carry, and each of which frees it for the next.
"""

from __future__ import annotations

from typing import Final

from barostat.core.sizes import Sizes
from barostat.core.statistics import Statistics
from barostat.units import MIB

__all__ = ["SECTION_BYTES", "reach_bytes"]

SECTION_BYTES: Final = 128 * MIB
"""Linux on x86 hot-adds whole sections of this size."""

PAGE_BYTES: Final = 4096
DESCRIPTOR_BYTES: Final = 72
"""Of each page: 64 in its `struct page`, and 8 in the page table of a kernel that maps it without
large pages. They are no part of what is plugged (virtio-mem uses no memmap_on_memory)."""

LEFT_RATIO: Final = 0.5
"""A guest that grows uses up what it has free while it is plugged: so much of it is left to it."""


def reach_bytes(sizes: Sizes, now: Statistics) -> int | None:
    """Say to what size a guest can be grown at once; None if it does not say what it has free.

    What the balloon gives back first comes on top; it may be in use by the time that anything is
    plugged. Without any free page a section is plugged all the same: a kernel reclaims what that
    takes (2.3 MiB), and to be out of memory is worse.

    Args:
        sizes: its devices, measured.
        now: what it says.
    """
    if now.free_bytes is None:
        return None
    least = max(SECTION_BYTES, sizes.granularity_bytes)
    carried = _carried_bytes(now.free_bytes, sizes, now)
    return sizes.actual_bytes + sizes.balloon_bytes + max(least, carried)


def _carried_bytes(free_bytes: int, sizes: Sizes, now: Statistics) -> int:
    """Say how much can be described in what is free.

    The guest says what is free in all of its memory. Of that its boot RAM has its share, as far as
    it is not the kernel's own or describes what is plugged: Linux keeps its zones' free memory in
    proportion to their size.
    """
    # SAFETY: a kernel that cannot describe what it is given may die of it.
    plugged = sizes.plugged_bytes
    described = plugged * DESCRIPTOR_BYTES // PAGE_BYTES
    base = max(0, now.total_bytes - sizes.inside_bytes - plugged - described)
    carrying = free_bytes * base // max(1, base + plugged)
    return int(carrying * LEFT_RATIO) * PAGE_BYTES // DESCRIPTOR_BYTES
