"""The command that starts a guest as a bare QEMU of ours.

Its chardevs are all listening once the last, the workload's, is: who has reached that can reach
every other.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from barostat.hypervisors.plugging import BLOCK_BYTES
from barostat.lab.guests import (
    AGENT_PORT,
    CONTROL_PORT,
    QGA_PORT,
    SHELL_PORT,
    Accelerator,
    GuestFiles,
    GuestSpec,
)
from barostat.lab.image import Image
from barostat.units import GIB, MIB

__all__ = ["COMMAND_LINE", "CPU", "machine_arguments", "qemu_command"]

CPU: Final = "qemu64"
"""The plainest model: the fastest to emulate, and on nested hosts "host" may not even start."""

COMMAND_LINE: Final = (
    "console=ttyS0 quiet panic=-1",
    "nr_cpus=1 psi=1 cryptomgr.notests",
    # Where the host is busy an emulated timer may tick too late for the kernel's test of it, and
    # the kernel panics ("IO-APIC + timer doesn't work"); under KVM it leaves that test out anyway.
    "no_timer_check",
    # Plugged memory is used at once, and can be given back again.
    "memhp_default_state=online_movable",
    # Saves 64 MiB of bounce buffers.
    "swiotlb=noforce",
    # Off by itself below 512 MiB; on, the kernel keeps another 5 % free and moves that line as
    # memory is plugged, which would show as a change of what is available.
    "transparent_hugepage=never",
    # Tracing's inodes and oversized per-CPU chunks take 12 MiB that no tiny guest needs.
    "initcall_blacklist=tracer_init_tracefs percpu_alloc=page",
)

NETWORK: Final = (
    # Nothing but what is forwarded to it from the host's loopback gets in or out.
    *("-netdev", "user,id=net0,restrict=on,ipv6=off"),
    *("-device", "virtio-net-pci,netdev=net0,romfile="),
)


def qemu_command(
    spec: GuestSpec, files: GuestFiles, *, image: Image, accelerator: Accelerator
) -> list[str]:
    """Write the QEMU command that starts a guest; its disks must be there."""
    command = [
        "qemu-system-x86_64",
        *machine_arguments(image, accelerator),
        *("-name", spec.name, "-serial", f"file:{files.console}"),
        *_memory_arguments(spec),
        *_disk_arguments(files.data, "data", "readonly=on"),
    ]
    if spec.swap_bytes:
        command += _disk_arguments(files.swap, "swap", "cache=unsafe")
    if image.disk is not None:
        command += _disk_arguments(image.disk, "userland", "readonly=on")
        command += NETWORK
    for path in (files.qmp, files.lab_qmp):
        command += ["-qmp", f"unix:{path},server=on,wait=off"]
    return command + _port_arguments(files, userland=image.disk is not None)


def _port_arguments(files: GuestFiles, *, userland: bool) -> list[str]:
    """Write the virtio-serial ports: devices in the guest's order, chardevs the other way round."""
    ports = [("control", files.port, CONTROL_PORT), ("agent", files.agent, AGENT_PORT)]
    if userland:
        ports += [("qga", files.qga, QGA_PORT), ("shell", files.shell, SHELL_PORT)]
    arguments = ["-device", "virtio-serial-pci"]
    for name, path, _ in reversed(ports):
        arguments += ["-chardev", f"socket,id={name},path={path},server=on,wait=off"]
    for name, _, port in ports:
        arguments += ["-device", f"virtserialport,chardev={name},name={port}"]
    return arguments


def machine_arguments(image: Image, accelerator: Accelerator, *, extra: str = "") -> list[str]:
    """Write what every guest has in common: the bare machine, its kernel and start image."""
    return [
        *("-M", "q35", "-accel", accelerator.value, "-cpu", _cpu(accelerator)),
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-kernel", str(image.kernel), "-initrd", str(image.initrd)),
        *("-append", " ".join((*COMMAND_LINE, extra)).strip()),
    ]


def _cpu(accelerator: Accelerator) -> str:
    """Name the processor. Emulated, it has no large pages.

    With them a guest describes a hot-added section by 2 MiB in one piece, and one that is out of
    memory already looks for that for seconds where it is emulated.
    """
    return f"{CPU},-pse" if accelerator is Accelerator.TCG else CPU


def _memory_arguments(spec: GuestSpec) -> list[str]:
    """Boot RAM, balloon and plug; the address space has a GiB to spare for alignment."""
    boot_mib = spec.boot_bytes // MIB
    balloon = "virtio-balloon-pci,id=balloon0,deflate-on-oom=on,free-page-reporting=off"
    if not spec.region_bytes:
        return ["-m", f"{boot_mib}M", "-device", balloon]
    maximum_mib = (spec.boot_bytes + spec.region_bytes + GIB) // MIB
    plug = f"virtio-mem-pci,id=vmem0,memdev=plugged,block-size={BLOCK_BYTES},requested-size=0"
    return [
        *("-m", f"{boot_mib}M,maxmem={maximum_mib}M"),
        *("-object", f"memory-backend-ram,id=plugged,size={spec.region_bytes}"),
        *("-device", plug, "-device", balloon),
    ]


def _disk_arguments(path: Path, name: str, how: str) -> list[str]:
    drive = f"file={path},if=none,id={name},format=raw,{how}"
    return ["-drive", drive, "-device", f"virtio-blk-pci,drive={name},serial={name}"]
