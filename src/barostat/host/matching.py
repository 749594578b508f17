"""Which QEMU runs which guest, and which guests' memory the host cannot have back. Pure.

A guest is known by its name alone: a QEMU has it from `-name`, or from its QMP socket. Where
several answer to one name, the one that was started with the guest's boot RAM is meant; what is
left over runs VMs that nobody sees, and counts as that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from barostat.core.reasons import Reason, ReasonCode, because
from barostat.host.processes import QemuProcess

__all__ = ["Matches", "match", "of_names", "unfit"]

PINNED_RATIO: Final = 0.5
"""With more than this of its memory locked, a device that was added later pins it, or an operator
locked it; what QEMU locks for itself is far less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """The QEMU processes, told apart.

    Attributes:
        by_guest: the process that runs each guest; one whose process is not to be seen is missing.
        foreign: those that run no guest that is seen.
    """

    by_guest: Mapping[str, QemuProcess]
    foreign: tuple[QemuProcess, ...]


def match(boot_bytes: Mapping[str, int], processes: Sequence[QemuProcess]) -> Matches:
    """Find the process of every guest.

    Args:
        boot_bytes: the guests by name, and their boot RAM. One whose name another has too may be
            told apart by what stands behind an "@".
        processes: all that run VMs.
    """
    known: dict[str, list[QemuProcess]] = {}
    for process in processes:
        for name in _names(process):
            known.setdefault(name, []).append(process)
    found: dict[str, QemuProcess] = {}
    taken: set[int] = set()
    for guest, boot in boot_bytes.items():
        named = known.get(guest) or known.get(guest.partition("@")[0]) or []
        candidates = [item for item in named if item.pid not in taken]
        if candidates:
            best = max(candidates, key=lambda item: _likeness(item, guest, boot))
            found[guest] = best
            taken.add(best.pid)
    foreign = tuple(process for process in processes if process.pid not in taken)
    return Matches(by_guest=found, foreign=foreign)


def of_names(processes: Iterable[QemuProcess], names: Iterable[str]) -> tuple[QemuProcess, ...]:
    """Give those that run VMs of these names, as a guest's may be written."""
    wanted = {name.partition("@")[0] for name in names}
    return tuple(process for process in processes if not wanted.isdisjoint(_names(process)))


def _names(process: QemuProcess) -> Iterable[str]:
    name = process.command.name
    return process.command.sockets if name is None else process.command.sockets | {name}


def _likeness(process: QemuProcess, guest: str, boot_bytes: int) -> tuple[bool, bool, int]:
    same_size = process.command.size_bytes == boot_bytes
    return same_size, process.command.name == guest, -process.pid


def unfit(by_guest: Mapping[str, QemuProcess]) -> dict[str, Reason]:
    """Say of which guests the host cannot have back what they give, and why."""
    faults = {guest: _fault(process) for guest, process in by_guest.items()}
    return {guest: reason for guest, reason in faults.items() if reason is not None}


def _fault(process: QemuProcess) -> Reason | None:
    command = process.command
    if command.encryption is not None:
        return because(ReasonCode.CONFIDENTIAL, technique=command.encryption)
    if command.devices:
        return because(ReasonCode.PASSTHROUGH, device=command.devices[0])
    if process.hugepages:
        return because(ReasonCode.HUGEPAGES)
    resident = process.resident_bytes + process.hugetlb_bytes
    if command.locked or process.locked_bytes > resident * PINNED_RATIO:
        return because(ReasonCode.LOCKED)
    return None
