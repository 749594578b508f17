"""How far what an agent says is believed. Pure: of two reports, and of a report and its guest.

Within one boot counters only rise. One that fell, or is left out for once, stands where it was:
kernels sum them up from their processors, and a sum may lag. A stall total rises no faster than
time, so it is cut to the time that passed: clocks of guests drift and lines queue, and what is cut
comes with the next report if it was true. Volumes that no machine moves are no drift: then all of
the report is dropped, as `read_statistics` drops figures that contradict each other or the host.
What is committed is no more than a promise, and core bounds it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import msgspec

from barostat.core.observation import Depth, GuestObservation
from barostat.core.statistics import Inside, Statistics, read_statistics
from barostat.guest.protocol import Report
from barostat.units import GIB

__all__ = ["FRESH_S", "deepened", "plausible"]

FRESH_S: Final = 3.0
"""A report is worth listening to for as long as three of a calm guest would take."""

MOVED_BYTES_PER_S: Final = 64 * GIB
"""More than a machine's memory moves, and far more than swap or page cache ever do."""

PAGE_BYTES: Final = 4096
LATE_S: Final = 1.0
"""Reports that waited in the channel are read in one moment, though they were said in several."""

STALL_RATIO: Final = 1.1
"""A guest's clock may run ahead of ours by so much."""

_VOLUMES: Final = ("swap_in_bytes", "swap_out_bytes", "refaulted_bytes", "scanned_bytes")
_COUNTS: Final = ("major_faults", "oom_kills", "alloc_stalls")
_FASTEST: Final = {
    **dict.fromkeys(_VOLUMES, MOVED_BYTES_PER_S),
    **dict.fromkeys(_COUNTS, MOVED_BYTES_PER_S // PAGE_BYTES),
}
_STALLS: Final = ("stalled_us", "full_stalled_us")


def plausible(before: Report, now: Report, *, elapsed_s: float) -> Report | None:
    """Hold a report against the one before it, of the same boot.

    Args:
        before: the last that was believed.
        now: what is said.
        elapsed_s: between the moments at which they were read.

    Returns:
        The report with its counters made whole, None if it cannot be believed at all.
    """
    held: dict[str, int] = {}
    for name, most_per_s in _FASTEST.items():
        was, said = getattr(before, name), getattr(now, name)
        if was is None:
            continue
        if said is None or said < was:
            held[name] = was
        elif said - was > most_per_s * (elapsed_s + LATE_S):
            return None
    for name in _STALLS:
        was, said = getattr(before, name), getattr(now, name)
        if was is None:
            continue
        most = was + int(elapsed_s * 1_000_000 * STALL_RATIO)
        held[name] = was if said is None else max(was, min(said, most))
    return msgspec.structs.replace(now, **held)


def deepened(guest: GuestObservation, report: Report, *, at_s: float) -> GuestObservation | None:
    """Add to what was seen of a guest what its agent says.

    Args:
        guest: as its hypervisor sees it.
        report: what the agent says.
        at_s: when that was read, on the clock of the guest's stamps.

    Returns:
        The guest seen from within, with the agent's statistics where they are the newer ones; None
        if the report contradicts itself or what the guest has and may have.
    """
    statistics = _statistics(guest, report)
    if statistics is None:
        return None
    inside = Inside(
        at_s=at_s,
        committed_bytes=report.committed_bytes,
        stalled_us=report.stalled_us,
        refaulted_bytes=report.refaulted_bytes,
        scanned_bytes=report.scanned_bytes,
    )
    deep = replace(guest, inside=inside, heard_by=Depth.AGENT)
    if guest.statistics is not None and guest.statistics_at_s >= at_s:
        return deep
    return replace(deep, statistics=statistics, statistics_at_s=at_s)


def _statistics(guest: GuestObservation, report: Report) -> Statistics | None:
    """Read a report by the rules for what balloon drivers say."""
    devices = guest.devices
    plugged = sum(max(plug.requested_bytes, plug.size_bytes) for plug in devices.plugs)
    raw = {
        "stat-total-memory": report.total_bytes,
        "stat-available-memory": report.available_bytes,
        "stat-free-memory": report.free_bytes,
        "stat-disk-caches": report.caches_bytes,
        "stat-swap-in": report.swap_in_bytes,
        "stat-swap-out": report.swap_out_bytes,
        "stat-major-faults": report.major_faults,
        "stat-oom-kills": report.oom_kills,
        "stat-alloc-stalls": report.alloc_stalls,
    }
    return read_statistics(raw, limit_bytes=devices.boot_bytes + plugged)
