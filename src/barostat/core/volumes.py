"""What a guest moved to and from its disks for want of memory, in about the last minute.

Counters run since boot; here they become volumes that fade. File pages that a guest dropped and
read again are counted by its kernel, where a program in the guest says so; else major faults beyond
swap-ins let guess.
"""

from __future__ import annotations

import math
from typing import Final

from barostat.core.demand_state import DemandState
from barostat.core.statistics import Inside, Statistics
from barostat.core.usage import PAGING_SEEN_BYTES

__all__ = ["Volumes", "moved"]

PAGE_BYTES: Final = 4096

ROOM_HALF_LIFE_S: Final = 5.0
"""Pages that are in use come back within seconds once there is room: a guest's own swap was seen
to read 36 MiB a second."""

Volumes = tuple[float, float, float, float, int, int]
"""What was swapped in, swapped out, and read back of the page cache, in about the last minute;
how much pages come back (a share); and what was swapped in and out since the look before. Bytes."""


def moved(
    previous: DemandState,
    now: Statistics,
    inside: Inside | None,
    *,
    used_bytes: int,
    elapsed_s: float,
    minute_s: float,
) -> Volumes:
    """Bring the volumes up to date.

    Args:
        previous: as of the look before.
        now: the guest's statistics.
        inside: what a program in it says.
        used_bytes: what it uses now.
        elapsed_s: since the look before.
        minute_s: how fast what was fades.
    """
    before, fade_ratio = previous.statistics, math.exp(-elapsed_s / minute_s)
    swapped_in = max(0, now.swap_in_bytes - before.swap_in_bytes)
    swapped_out = now.swap_out_bytes - before.swap_out_bytes
    if inside is None or inside.refaulted_bytes is None:
        faults = now.major_faults - before.major_faults
        read_back = max(0, faults * PAGE_BYTES - swapped_in)
    else:
        read_back = _refaulted(previous.inside, inside.refaulted_bytes)
    returned = previous.returned_bytes * fade_ratio + swapped_in
    paged_out = previous.paged_out_bytes * fade_ratio + swapped_out
    if paged_out > 0 or returned > 0:
        freed = max(0, previous.used_bytes - used_bytes - swapped_out)
        left_ratio = math.exp2(-elapsed_s / ROOM_HALF_LIFE_S)
        room = now.available_bytes
        paged_out = _still_wanted(paged_out, freed, room, left_ratio)
        if swapped_in < PAGING_SEEN_BYTES:
            returned = _still_wanted(returned, freed, room, left_ratio)
    return (
        returned,
        paged_out,
        previous.refaulted_bytes * fade_ratio + read_back,
        _coming_ratio(previous.coming_ratio, swapped_in, elapsed_s),
        swapped_in,
        swapped_out,
    )


def _still_wanted(volume: float, freed_bytes: int, room_bytes: int, left_ratio: float) -> float:
    """Say how much of what left may still be wanted.

    What the guest freed by itself may have been in its swap; and what has room to come back, and is
    in use, comes back soon. That there is room must not clear it at once: room that was just given
    would be taken back, and given again.
    """
    left = max(0.0, volume - freed_bytes)
    return left - min(left, room_bytes) * (1 - left_ratio)


def _coming_ratio(before: float, swapped_in: int, elapsed_s: float) -> float:
    """Say how much a guest's pages come back: wholly while they do, and less and less after.

    A guest that was given a little more reads nothing for a second. Were that to tell at once, what
    it was given would be taken back, and given again.
    """
    if swapped_in >= PAGING_SEEN_BYTES:
        return 1.0
    return before * math.exp2(-elapsed_s / ROOM_HALF_LIFE_S)


def _refaulted(last: Inside | None, found: int) -> int:
    if last is None or last.refaulted_bytes is None:
        return 0
    return max(0, found - last.refaulted_bytes)
