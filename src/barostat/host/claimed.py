"""What a guest's hypervisor says that the guest has, against what its host can see. Pure.

A QEMU is the guest's, once the guest has broken into it, and can claim any size. What it claims is
promised to it and cannot be taken back, so a claim that cannot be true would squeeze its neighbours
to their minimums. Such a guest is counted at what its process holds or was started with.
"""

from __future__ import annotations

from typing import Final

from barostat.core.observation import GuestObservation
from barostat.core.reasons import Reason, ReasonCode, because
from barostat.host.memory import Memory
from barostat.host.processes import QemuProcess
from barostat.units import MIB

__all__ = ["counted_bytes", "false_size"]

GRAIN_BYTES: Final = 16 * MIB
"""History notes whatever changes."""


def false_size(
    guest: GuestObservation, process: QemuProcess | None, memory: Memory
) -> Reason | None:
    """Say that a guest cannot have what its hypervisor says, None if it can.

    Args:
        guest: as its hypervisor says.
        process: its QEMU, None where that is not to be seen.
        memory: the host's.
    """
    claimed = max(guest.devices.wished_bytes, guest.devices.assigned_bytes)
    most = memory.total_bytes + memory.swap_total_bytes
    started_with = None if process is None else process.command.most_bytes
    if started_with is not None:
        most = min(most, started_with)
    # QEMU rounds what it is asked for.
    if max(claimed, guest.devices.boot_bytes) < most + MIB:
        return None
    return because(ReasonCode.FALSE_SIZE, guest=guest.name, claimed_bytes=claimed, most_bytes=most)


def counted_bytes(process: QemuProcess | None, memory: Memory) -> int:
    """Say at what a guest is counted whose hypervisor is not believed, in bytes, rounded up."""
    if process is None:
        return 0
    held = process.resident_bytes + process.swapped_bytes + process.hugetlb_bytes
    size = max(held, min(process.command.size_bytes, memory.total_bytes))
    return -(-size // GRAIN_BYTES) * GRAIN_BYTES
