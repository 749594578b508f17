"""What one guest's QEMU holds on the host, against what the guest was given. Pure.

What a QEMU holds beyond what its guest has is its own need, or memory that the guest uses although
it gave it back: from outside only a closer look at its maps tells which. Either is gone from what
may be handed out, so nobody else is granted it (`accounts`); here it is told whose it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from barostat.core.observation import GuestObservation
from barostat.core.reasons import Reason, ReasonCode, because
from barostat.host.accounts import covered_bytes, overhead_bytes
from barostat.host.mappings import RamUse
from barostat.host.policy import HostPolicy
from barostat.host.processes import QemuProcess
from barostat.host.witness import Touched
from barostat.units import MIB

__all__ = ["Holding", "hold", "is_suspect", "takes_more"]

NOTICED_BYTES: Final = 32 * MIB
"""Screens and what is on its way between two looks is less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What a guest's QEMU holds. Sizes in bytes.

    Attributes:
        pid: the QEMU.
        resident_bytes: what it holds of the host's memory.
        swapped_bytes: what the host swapped out of it.
        own_bytes: what of that it needs for itself: the estimate, or what was seen if that is
            more.
        measured: it was seen, and not only estimated.
        taken_bytes: what the guest uses of memory that it gave back or was never given.
        in_use_bytes: the most that the guest can be using, None where that cannot be told from
            outside.
        touched: what it touched lately, None where nobody looks.
    """

    pid: int
    resident_bytes: int
    swapped_bytes: int
    own_bytes: int
    measured: bool
    taken_bytes: int
    in_use_bytes: int | None
    touched: Touched | None


def is_suspect(guest: GuestObservation, process: QemuProcess, policy: HostPolicy) -> bool:
    """Say whether a QEMU holds more than what its guest has and what it may need itself."""
    estimate = overhead_bytes(guest, None, policy)
    return process.resident_bytes > covered_bytes(guest) + estimate


def hold(
    guest: GuestObservation,
    process: QemuProcess,
    ram: RamUse | None,
    touched: Touched | None,
    policy: HostPolicy,
) -> Holding:
    """Put together what is known of one guest's QEMU.

    Args:
        guest: as seen.
        process: its QEMU.
        ram: as last looked at closer, or None.
        touched: what the witness saw, or None.
        policy: the estimates.
    """
    own = 0 if ram is None else ram.own_bytes
    beyond = process.resident_bytes - own - covered_bytes(guest)
    return Holding(
        pid=process.pid,
        resident_bytes=process.resident_bytes,
        swapped_bytes=process.swapped_bytes,
        own_bytes=max(own, overhead_bytes(guest, None, policy)),
        measured=ram is not None,
        taken_bytes=0 if ram is None or beyond < NOTICED_BYTES else beyond,
        in_use_bytes=_in_use_bytes(process),
        touched=touched,
    )


def _in_use_bytes(process: QemuProcess) -> int | None:
    """Say the most that a guest can be using: what it uses is resident, or was swapped out.

    Memory that others share or that stands in a file may be in neither figure.
    """
    if process.hugepages or process.shared_bytes > process.resident_bytes // 8:
        return None
    if process.command.memory_paths:
        return None
    return process.resident_bytes + process.swapped_bytes


def takes_more(guest: GuestObservation, holding: Holding) -> Reason | None:
    """Say that a guest uses more than it has, if it does."""
    if not holding.taken_bytes:
        return None
    return because(
        ReasonCode.TAKES_MORE,
        guest=guest.name,
        held_bytes=holding.resident_bytes,
        taken_bytes=holding.taken_bytes,
        assigned_bytes=guest.devices.assigned_bytes,
    )
