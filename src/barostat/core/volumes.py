"""What a guest moved to and from its disks for want of memory, in about the last minute.

Counters run since boot; here they become volumes that fade. File pages that a guest dropped and
read again are counted by its kernel, where a program in the guest says so; else major faults beyond
swap-ins let guess.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from barostat.core.demand_state import DemandState
from barostat.core.policy import Policy
from barostat.core.statistics import Inside, Statistics
from barostat.core.usage import returning_bytes

__all__ = ["Volumes", "moved"]

PAGE_BYTES: Final = 4096


class Volumes(NamedTuple):
    """What moved. The first two since the look before, the others in about the last minute."""

    swapped_in_bytes: int
    swapped_bytes: int  # in and out
    returned_bytes: float
    paged_out_bytes: float
    refaulted_bytes: float

    def outside_bytes(self, now: Statistics) -> int:
        """Say how much of what is not in memory is needed there."""
        returning = returning_bytes(
            now, self.returned_bytes, self.paged_out_bytes, arriving_bytes=self.swapped_in_bytes
        )
        return returning + min(now.disk_caches_bytes or 0, int(self.refaulted_bytes))


def moved(
    previous: DemandState,
    now: Statistics,
    inside: Inside | None,
    elapsed_s: float,
    policy: Policy,
) -> Volumes:
    """Bring the volumes up to date.

    Args:
        previous: as of the look before.
        now: the guest's statistics.
        inside: what a program in it says.
        elapsed_s: between the two statistics.
        policy: what "lately" is.
    """
    before = previous.statistics
    swapped_in = max(0, now.swap_in_bytes - before.swap_in_bytes)
    swapped_out = now.swap_out_bytes - before.swap_out_bytes
    if inside is None or inside.refaulted_bytes is None:
        faults = now.major_faults - before.major_faults
        read_back = max(0, faults * PAGE_BYTES - swapped_in)
    else:
        read_back = _refaulted(previous.inside, inside.refaulted_bytes)
    fade = math.exp(-elapsed_s / policy.minute_s)
    return Volumes(
        swapped_in,
        swapped_in + swapped_out,
        previous.returned_bytes * fade + swapped_in,
        previous.paged_out_bytes * fade + swapped_out,
        previous.refaulted_bytes * fade + read_back,
    )


def _refaulted(last: Inside | None, found: int) -> int:
    if last is None or last.refaulted_bytes is None:
        return 0
    return max(0, found - last.refaulted_bytes)
