"""All that may be handed out to guests: what is left when everything else is subtracted. Pure.

    capacity = total - pools of hugepages - reserve - overhead of every VM - VMs that are not seen

A guest that is seen, and never moved, is in the ledger of the core and not in these accounts. What
same-page merging saves is nobody's to hand out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from barostat.core.observation import GuestObservation, RunState
from barostat.host.memory import Memory
from barostat.host.policy import HostPolicy
from barostat.host.processes import QemuProcess

__all__ = [
    "Accounts",
    "Overhead",
    "covered_bytes",
    "draw_up",
    "overhead_bytes",
    "watch_overhead",
]

OVERHEAD_HALF_LIFE_S: Final = 300.0
"""A migration or a backup buffers in QEMU for minutes, and comes again."""

GRACE_S: Final = 5.0
"""A VM that just started and is not seen yet is about to be. Until then only what it holds counts:
one that was let start has its memory set aside already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overhead:
    """What the QEMU of one guest holds beyond the guest's memory, as measured.

    Attributes:
        bytes: the most that was seen twice in a row, falling with a half-life. A guest may grow
            between being seen and being measured; what it took then is no overhead.
        last_bytes: what the last look saw.
        at_s: when that was.
    """

    bytes: float
    last_bytes: int
    at_s: float


def watch_overhead(
    before: Overhead | None, guest: GuestObservation, process: QemuProcess, *, now_s: float
) -> Overhead:
    """Note what a guest's QEMU holds beyond what the guest has or may take."""
    seen = max(0, process.resident_bytes - covered_bytes(guest))
    if before is None:
        return Overhead(bytes=0.0, last_bytes=seen, at_s=now_s)
    faded = before.bytes * math.exp2(-max(0.0, now_s - before.at_s) / OVERHEAD_HALF_LIFE_S)
    confirmed = float(min(seen, before.last_bytes))
    return Overhead(bytes=max(confirmed, faded), last_bytes=seen, at_s=now_s)


def covered_bytes(guest: GuestObservation) -> int:
    """Say what of a guest's memory is in the ledger whatever happens."""
    devices = guest.devices
    booting = devices.boot_bytes if guest.run_state is RunState.BOOTING else 0
    return max(devices.wished_bytes, devices.assigned_bytes, booting)


def overhead_bytes(guest: GuestObservation, measured: Overhead | None, policy: HostPolicy) -> int:
    """Say what one guest's QEMU takes for itself: an estimate, or what was measured if more."""
    size = max(guest.devices.boot_bytes, guest.devices.assigned_bytes)
    estimate = policy.overhead_bytes + int(size * policy.overhead_ratio)
    return estimate if measured is None else max(estimate, int(measured.bytes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    """Where the host's memory goes that no guest may have. Sizes in bytes.

    Attributes:
        capacity_bytes: what is left for guests.
        reserve_bytes: what the host keeps for itself.
        overhead_bytes: what the QEMU of every guest takes for itself.
        foreign_bytes: VMs that are not seen: the larger of what they hold and were started with.
        hugetlb_bytes: pools of hugepages, but for what guests that are seen have of them: those
            are in the ledger.
    """

    capacity_bytes: int
    reserve_bytes: int
    overhead_bytes: int
    foreign_bytes: int
    hugetlb_bytes: int


def draw_up(
    memory: Memory,
    *,
    reserve_bytes: int,
    guests: Sequence[GuestObservation],
    processes: Mapping[str, QemuProcess],
    foreign: Sequence[QemuProcess],
    overheads: Mapping[str, Overhead],
    host_up_s: float,
    policy: HostPolicy,
    silent: Sequence[QemuProcess] = (),
) -> Accounts:
    """Subtract from the host's memory all that guests cannot have.

    Args:
        memory: the host's.
        reserve_bytes: what it keeps for itself.
        guests: those that are seen.
        processes: of each guest, where it is to be seen.
        foreign: QEMU processes of VMs that are not seen.
        overheads: measured, by guest.
        host_up_s: how long the host has been up.
        policy: the estimates.
        silent: those of `foreign` that run VMs of ours which have not answered yet.
    """
    overhead = sum(overhead_bytes(seen, overheads.get(seen.name), policy) for seen in guests)
    others = sum(_foreign_bytes(process, host_up_s) for process in foreign)
    huge = sum(
        seen.devices.assigned_bytes
        for seen in guests
        if seen.name in processes and processes[seen.name].hugepages
    )
    pools = max(0, memory.hugetlb_bytes - huge)
    left = memory.total_bytes - pools - reserve_bytes - overhead - others
    if policy.capacity_bytes is not None:
        # What a VM of ours has is in no ledger until it was seen once, and still it has it.
        left = policy.capacity_bytes - sum(_foreign_bytes(item, host_up_s) for item in silent)
    return Accounts(
        capacity_bytes=max(0, left),
        reserve_bytes=reserve_bytes,
        overhead_bytes=overhead,
        foreign_bytes=others,
        hugetlb_bytes=pools,
    )


def _foreign_bytes(process: QemuProcess, host_up_s: float) -> int:
    held = process.resident_bytes
    # What it has of hugepages is in their pools, which are subtracted as a whole.
    started_with = 0 if process.hugepages else process.command.size_bytes
    young = host_up_s - process.started_s < GRACE_S
    return held if young else max(held, started_with)
