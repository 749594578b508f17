"""All that doctor knows when it judges: gathered before, frozen, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field

from barostat.core.observation import Depth
from barostat.core.reasons import Reason
from barostat.host.brake import Stage
from barostat.host.kernel import Kernel
from barostat.host.memory import Memory

__all__ = ["Daemon", "GuestFacts", "HostFacts", "Libvirt", "Version"]

Version = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """A daemon that answers: whether it moves memory, and is paused by its operator."""

    moving: bool = True
    paused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Libvirt:
    """The libvirt of this machine.

    Attributes:
        serving: its socket is there.
        bound: Python's binding to it is installed.
        version: as it says itself, None if it was not asked or did not answer.
    """

    serving: bool = False
    bound: bool = False
    version: Version | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """The host.

    Attributes:
        memory, kernel: as its kernel says them.
        as_root: doctor sees what belongs to others.
        reserve_bytes, capacity_bytes: what the host keeps and may hand out.
        promised_bytes: what guests have or may take.
        stage: how hard it brakes.
        daemon: None if none answers.
        way_fault: why no guests could be looked at, with what to do.
        way: how guests were reached, for people.
        libvirt: of this machine.
        qemu: its version, None if it is not known.
        programs: everything that runs, by the kernel's names.
        foreign: VMs that run and are not seen, by name.
        swapped_vms: every VM's name, and what of it the host swapped out, in bytes.
        paging_fault: why the host could page for no VM that restarts, empty if it could.
        limit_faults: around which VMs a limit does not stand, and why; None without a daemon.
    """

    memory: Memory
    kernel: Kernel
    as_root: bool = True
    reserve_bytes: int = 0
    capacity_bytes: int = 0
    promised_bytes: int = 0
    stage: Stage = Stage.FREE
    daemon: Daemon | None = None
    way_fault: tuple[str, str] | None = None
    way: str = ""
    libvirt: Libvirt = field(default_factory=Libvirt)
    qemu: Version | None = None
    programs: frozenset[str] = frozenset()
    foreign: tuple[str, ...] = ()
    swapped_vms: tuple[tuple[str, int], ...] = ()
    paging_fault: str = ""
    limit_faults: tuple[tuple[str, str], ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestFacts:
    """One guest. None where it cannot be known from here.

    Attributes:
        fault: why its hypervisor does not answer, None if it does.
        booting: its balloon driver has not spoken since it booted.
        has_balloon: a balloon device is there.
        depth: how deep it can be seen into.
        program_fault: why a program in it is not heard, or not believed; None: there is none, or it
            is believed.
        onlining: what its kernel does with plugged memory, as a program in it says.
        block_bytes: in which blocks its kernel takes plugged memory.
        swap_bytes: its own swap, as a program in it says.
        statistics_age_s: since it last spoke; None: it never did.
        deflate_on_oom, free_page_reporting: what its balloon was started with.
        boot_bytes, ceiling_bytes: boot RAM, and that with all virtio-mem regions.
        assigned_bytes, plugged_bytes: what it has, and how much of that is plugged.
        total_bytes: what it counts as its memory itself.
        swapped_out_bytes: what it moved to its swap since it booted.
        unfit: why the host cannot have back what it gives.
        minimum_bytes, maximum_bytes: as set and in force; None without settings.
        enabled: Dynamic Memory is on for it.
        settings_fault: why its settings cannot be used.
    """

    name: str
    fault: str | None = None
    booting: bool = False
    has_balloon: bool = True
    depth: Depth
    program_fault: str | None = None
    onlining: str | None = None
    block_bytes: int | None = None
    swap_bytes: int | None = None
    statistics_age_s: float | None = 0.5
    deflate_on_oom: bool | None = None
    free_page_reporting: bool | None = None
    boot_bytes: int
    ceiling_bytes: int
    assigned_bytes: int
    plugged_bytes: int = 0
    total_bytes: int | None = None
    swapped_out_bytes: int | None = None
    unfit: Reason | None = None
    minimum_bytes: int | None = None
    maximum_bytes: int | None = None
    enabled: bool = False
    settings_fault: str | None = None
