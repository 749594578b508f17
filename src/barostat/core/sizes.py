"""A guest's devices, measured once a decision: one pass instead of a sum for every question.

The figures are those of `Devices`' own properties; a test holds the two together.
"""

from __future__ import annotations

from typing import NamedTuple

from barostat.core.observation import Devices
from barostat.units import MIB

__all__ = ["Sizes", "measure"]


class Sizes(NamedTuple):
    """What one guest has, may take, and can have. Sizes in bytes.

    Attributes:
        actual_bytes: what it has.
        balloon_bytes: what its balloon holds.
        inside_bytes: how much of that the guest still counts as its own, and as used: all of it
            where the balloon gives way before an OOM kill, else nothing.
        plugged_bytes: how much of what it has is plugged.
        wished_bytes: what it may take without asking again, as far as its hypervisor knows.
        doubtful_bytes: how much of that it may have only because nobody knows what was asked of
            its balloon.
        unballooned_bytes: what it may take if its balloon were empty.
        ceiling_bytes: the largest size that its devices allow.
        granularity_bytes: no smaller move can be carried out.
        unfinished: a wish that its devices know of has not come true, or cannot be known.
    """

    actual_bytes: int
    balloon_bytes: int
    inside_bytes: int
    plugged_bytes: int
    wished_bytes: int
    doubtful_bytes: int
    unballooned_bytes: int
    ceiling_bytes: int
    granularity_bytes: int
    unfinished: bool


def measure(devices: Devices) -> Sizes:
    """Add up a guest's devices."""
    boot, left = devices.boot_bytes, devices.balloon_actual_bytes
    target = devices.balloon_target_bytes
    unfinished = left < boot if target is None else abs(target - left) >= MIB
    plugged = taken = room = 0
    granularity = MIB
    for plug in devices.plugs:
        size, requested = plug.size_bytes, plug.requested_bytes
        plugged += size
        taken += max(size, requested)
        room += plug.maximum_bytes
        granularity = max(granularity, plug.block_bytes)
        unfinished = unfinished or size != requested
    return Sizes(
        left + plugged,
        boot - left,
        boot - left if devices.deflate_on_oom else 0,
        plugged,
        max(boot if target is None else target, left) + taken,
        boot - left if target is None else 0,
        boot + taken,
        boot + room,
        granularity,
        unfinished,
    )
