"""What should hold of a host, each thing with its remedy. Pure: facts in, verdicts out."""

from __future__ import annotations

from typing import Final

from barostat.doctor.facts import HostFacts, Version
from barostat.doctor.findings import Check, Level, Verdict, advise, block, fine
from barostat.host.brake import Stage
from barostat.host.kernel import Cgroups
from barostat.units import format_size

__all__ = ["HOST_CHECKS"]

QEMU_NEEDED: Final = (6, 2)  # events say which virtio-mem device changed its size
QEMU_GOOD: Final = (8, 2)  # virtio-mem takes memory slots as it grows, not all at once
LIBVIRT_NEEDED: Final = (7, 9)  # virtio-mem
LIBVIRT_GOOD: Final = (10, 1)  # and its memory slots

_CONTROLLERS: Final = {
    "pvestatd": (
        Level.ADVICE,
        "Proxmox VE resizes the balloons of its VMs",
        'give each VM that Barostat manages "shares: 0" in Proxmox VE, so that it is left alone',
    ),
    "momd": (
        Level.BLOCKS,
        "MOM resizes balloons",
        "stop MOM, or take ballooning out of its policy: two controllers undo each other's work",
    ),
    "vdsmd": (
        Level.ADVICE,
        "oVirt's VDSM is here, and its MOM resizes balloons where its cluster says so",
        "turn memory balloon optimization off for this cluster in oVirt",
    ),
    "squeezed": (
        Level.BLOCKS,
        "XenServer's squeezed resizes VMs",
        "stop squeezed: two controllers undo each other's work",
    ),
}
_CONTROLLERS["mom-vdsm"] = _CONTROLLERS["momd"]


def _shown(version: Version) -> str:
    return ".".join(map(str, version))


def _qemu(facts: HostFacts) -> Verdict | None:
    if facts.qemu is None:
        return None
    said = f"QEMU is {_shown(facts.qemu)}"
    if facts.qemu < QEMU_NEEDED:
        return block(
            f"{said}; memory can be hot-added safely from {_shown(QEMU_NEEDED)} on",
            "install a newer QEMU and start the VMs anew",
        )
    if facts.qemu < QEMU_GOOD:
        return advise(
            f"{said}; from {_shown(QEMU_GOOD)} on large virtio-mem devices cost less",
            "install a newer QEMU when you can",
        )
    return fine(said)


def _libvirt(facts: HostFacts) -> Verdict | None:
    here = facts.libvirt
    if here.serving and not here.bound:
        return block(
            "libvirt runs here, but Python's binding to it is not installed: its VMs are not seen",
            'install Barostat with its extra: "barostat[libvirt]"',
        )
    if here.version is None:
        return None if here.serving else fine("no libvirt runs here: QEMU is asked itself")
    said = f"libvirt is {_shown(here.version)}"
    if here.version < LIBVIRT_NEEDED:
        return block(
            f"{said}; it can hot-add memory from {_shown(LIBVIRT_NEEDED)} on",
            "install a newer libvirt, or give Barostat the VMs' QMP sockets instead",
        )
    if here.version < LIBVIRT_GOOD:
        return advise(
            f"{said}; from {_shown(LIBVIRT_GOOD)} on large virtio-mem devices cost less",
            "install a newer libvirt when you can",
        )
    return fine(said)


def _connection(facts: HostFacts) -> Verdict | None:
    if facts.way_fault is not None:
        says, remedy = facts.way_fault
        return block(says, remedy or "see what answers there")
    return fine(facts.way)


def _rights(facts: HostFacts) -> Verdict | None:
    if facts.as_root:
        return fine("doctor may see what belongs to others")
    return advise(
        "doctor does not run as root: what belongs to other users is hidden from it",
        "run it as root",
    )


def _daemon(facts: HostFacts) -> Verdict | None:
    if facts.daemon is None:
        return advise(
            "no daemon runs: no memory is moved", "start it: systemctl enable --now barostat"
        )
    if facts.daemon.paused:
        return advise("the daemon is paused: every VM keeps its size", "barostat resume")
    if not facts.daemon.moving:
        return advise(
            "the daemon only observes: it decides and explains, and moves nothing",
            "start it without --observe when you trust what it would do",
        )
    return fine("the daemon runs and moves memory")


def _capacity(facts: HostFacts) -> Verdict | None:
    capacity, total = facts.capacity_bytes, facts.memory.total_bytes
    said = (
        f"{format_size(capacity)} of {format_size(total)} may be handed out to VMs; the host keeps "
        f"{format_size(facts.reserve_bytes)} for itself"
    )
    if not capacity:
        return block(f"nothing may be handed out to VMs: {said}", "free memory on the host")
    if capacity > total:
        return block(
            f"{said}: that is more than there is", "set a smaller capacity in the configuration"
        )
    missing = facts.promised_bytes - capacity
    if missing > 0:
        return advise(
            f"{said}, and VMs have or may take {format_size(missing)} more than that",
            "stop or move a VM, or lower minimums, so that guests can give it back",
        )
    return fine(said)


def _brakes(facts: HostFacts) -> Verdict | None:
    if facts.stage is Stage.FREE:
        return fine(f"{format_size(facts.memory.available_bytes)} are available on the host")
    return block(
        f"the host itself is short of memory ({format_size(facts.memory.available_bytes)} are "
        "available), so no VM is given more",
        "find what uses the host's memory; VMs grow again by themselves when it is calm",
    )


def _psi(facts: HostFacts) -> Verdict | None:
    if facts.memory.stall_ratio is not None:
        return fine("the kernel says whether processes wait for memory")
    return advise(
        "the kernel does not say whether processes wait for memory (PSI), so that only what is "
        "available brakes",
        "boot the host with psi=1 on its kernel command line",
    )


def _ksm(facts: HostFacts) -> Verdict | None:
    if not facts.kernel.ksm_on:
        return fine("identical pages are not merged (KSM is off)")
    saved = format_size(facts.memory.ksm_saved_bytes)
    return advise(
        f"identical pages are merged (KSM), which saves {saved} now; that is never handed out, "
        "because a write undoes it",
        "echo 2 > /sys/kernel/mm/ksm/run, unless you want it for something else",
    )


def _host_swap(facts: HostFacts) -> Verdict | None:
    swapped = sum(size for _, size in facts.swapped_vms)
    if swapped:
        worst, _ = max(facts.swapped_vms, key=lambda vm: vm[1])
        return advise(
            f"the host swapped out {format_size(swapped)} of its VMs, most of it of {worst}: a "
            "guest cannot know which of its pages are slow",
            "vm.swappiness=1 on the host; let the guests swap, for they know what is cold",
        )
    if not facts.kernel.swap_places:
        return fine("the host has no swap: guests page for themselves")
    return fine("the host has swap, and no VM is in it")


def _hugepages(facts: HostFacts) -> Verdict | None:
    pools = facts.kernel.pools
    set_aside = sum(pool.pages * pool.page_bytes for pool in pools)
    idle = sum(pool.free_pages * pool.page_bytes for pool in pools)
    if not set_aside:
        return fine("no hugepages are set aside")
    said = f"{format_size(set_aside)} are set aside for hugepages"
    if not idle:
        return fine(f"{said}, all in use")
    return advise(
        f"{said}, of which {format_size(idle)} are in no use: nobody else can have them",
        "lower vm.nr_hugepages to what is used",
    )


def _thp(facts: HostFacts) -> Verdict | None:
    mode = facts.kernel.transparent_hugepages
    if mode is None:
        return None
    if mode != "never":
        return fine(f"transparent hugepages: {mode}")
    return advise(
        "transparent hugepages are off: VMs are slower, and so is moving their memory",
        "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
    )


def _cgroups(facts: HostFacts) -> Verdict | None:
    found = facts.kernel.cgroups
    if found is Cgroups.V2:
        return fine("the memory of VMs can be limited by cgroups v2")
    if found is Cgroups.V1:
        return advise(
            "the memory of VMs can be limited by cgroups v1 only, which counts and reclaims worse",
            "boot the host with systemd.unified_cgroup_hierarchy=1",
        )
    return advise(
        "no cgroup controller for memory: what a VM takes beyond what it was given is not stopped",
        "boot the host with cgroup_enable=memory",
    )


def _smart_paging(facts: HostFacts) -> Verdict | None:
    if not facts.paging_fault:
        return fine("a VM that restarts on a full host can have what is missing paged by the host")
    return advise(
        f"{facts.paging_fault}: for a VM that restarts with more than there is nothing is paged",
        "boot the host with cgroup v2 alone and give it swap, where VMs restart on a full host",
    )


def _limits(facts: HostFacts) -> Verdict | None:
    faults = facts.limit_faults
    if faults is None:
        return None
    if not faults:
        return fine("no limit around a VM is out of its place")
    name, why = faults[0]
    return advise(
        f"{len(faults)} limits do not stand where they belong; the first, {name or 'the host'}'s: "
        f"{why}",
        "run each VM in a cgroup of its own; the daemon's log has each fault with its remedy",
    )


def _overcommit(facts: HostFacts) -> Verdict | None:
    mode = facts.kernel.overcommit
    if mode is None:
        return None
    if mode != 2:  # noqa: PLR2004 - the kernel's own number for "strict"
        return fine(f"vm.overcommit_memory is {mode}")
    return advise(
        "vm.overcommit_memory is 2: a VM counts at the largest size that it could have, so that "
        "VMs with large virtio-mem devices may not start",
        "sysctl vm.overcommit_memory=0; Barostat never promises more than there is",
    )


def _numa(facts: HostFacts) -> Verdict | None:
    nodes = len(facts.kernel.nodes)
    if not nodes:
        return None
    if nodes == 1:
        return fine("one NUMA node")
    return fine(
        f"{nodes} NUMA nodes: a balloon cannot choose among them, a virtio-mem device for each "
        "of a guest's nodes can"
    )


def _controllers(facts: HostFacts) -> Verdict | None:
    found = sorted(facts.programs & _CONTROLLERS.keys())
    if not found:
        return fine("no other controller of VMs' memory runs")
    entries = [_CONTROLLERS[name] for name in found]
    blocks = any(level is Level.BLOCKS for level, _, _ in entries)
    says = "; ".join(says for _, says, _ in entries)
    remedy = "; ".join(remedy for _, _, remedy in entries)
    return block(says, remedy) if blocks else advise(says, remedy)


def _foreign(facts: HostFacts) -> Verdict | None:
    if not facts.foreign:
        return fine("every VM of the host is seen")
    names = ", ".join(facts.foreign[:5]) + (", ..." if len(facts.foreign) > 5 else "")  # noqa: PLR2004 - enough to know which
    return advise(
        f"{len(facts.foreign)} VMs run that are not seen ({names}): they count at their full size",
        "add the libvirt connection or the folder of QMP sockets that they are behind",
    )


HOST_CHECKS: Final = (
    Check(id="qemu", wants="QEMU 6.2 or newer; 8.2 is better", judge=_qemu),
    Check(id="libvirt", wants="libvirt 7.9 or newer, if any; 10.1 is better", judge=_libvirt),
    Check(id="connection", wants="guests can be looked at", judge=_connection),
    Check(id="rights", wants="doctor runs as root", judge=_rights),
    Check(id="daemon", wants="the daemon runs and moves memory", judge=_daemon),
    Check(id="capacity", wants="there is memory to hand out, enough for promises", judge=_capacity),
    Check(id="brakes", wants="the host itself is not short of memory", judge=_brakes),
    Check(id="psi", wants="the kernel tells of stalls (PSI)", judge=_psi),
    Check(id="ksm", wants="identical pages are not merged", judge=_ksm),
    Check(id="host-swap", wants="no VM is swapped out by the host", judge=_host_swap),
    Check(id="hugepages", wants="no hugepages lie idle", judge=_hugepages),
    Check(id="thp", wants="transparent hugepages are not off", judge=_thp),
    Check(id="cgroups", wants="cgroups v2 with the memory controller", judge=_cgroups),
    Check(id="smart-paging", wants="cgroups v2 and swap on the host", judge=_smart_paging),
    Check(id="limits", wants="fences and Smart Paging's limits stand", judge=_limits),
    Check(id="overcommit", wants="vm.overcommit_memory is not 2", judge=_overcommit),
    Check(id="numa", wants="nothing: it says how many nodes there are", judge=_numa),
    Check(id="controllers", wants="nobody else resizes VMs", judge=_controllers),
    Check(id="unseen", wants="every VM of the host is seen", judge=_foreign),
)
"""In the order in which they are told."""
