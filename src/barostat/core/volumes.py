"""What a guest moved to and from its disks for want of memory, in about the last minute.

Counters run since boot; here they become volumes that fade. File pages that a guest dropped and
read again are counted by its kernel, where a program in the guest says so; else major faults beyond
swap-ins let guess.
"""

from __future__ import annotations

from typing import Final

from barostat.core.demand_state import DemandState
from barostat.core.statistics import Inside, Statistics

__all__ = ["Volumes", "moved"]

PAGE_BYTES: Final = 4096

Volumes = tuple[float, float, float, int, int]
"""What was swapped in, swapped out, and read back of the page cache, in about the last minute;
and what was swapped in and out since the look before. Bytes."""


def moved(
    previous: DemandState, now: Statistics, inside: Inside | None, fade_ratio: float
) -> Volumes:
    """Bring the volumes up to date.

    Args:
        previous: as of the look before.
        now: the guest's statistics.
        inside: what a program in it says.
        fade_ratio: how much of what was lately is of now.
    """
    before = previous.statistics
    swapped_in = max(0, now.swap_in_bytes - before.swap_in_bytes)
    swapped_out = now.swap_out_bytes - before.swap_out_bytes
    if inside is None or inside.refaulted_bytes is None:
        faults = now.major_faults - before.major_faults
        read_back = max(0, faults * PAGE_BYTES - swapped_in)
    else:
        read_back = _refaulted(previous.inside, inside.refaulted_bytes)
    return (
        previous.returned_bytes * fade_ratio + swapped_in,
        previous.paged_out_bytes * fade_ratio + swapped_out,
        previous.refaulted_bytes * fade_ratio + read_back,
        swapped_in,
        swapped_out,
    )


def _refaulted(last: Inside | None, found: int) -> int:
    if last is None or last.refaulted_bytes is None:
        return 0
    return max(0, found - last.refaulted_bytes)
