"""What a lab guest is made of, and the command that starts it.

A guest has its boot RAM, one virtio-mem region above it, a balloon that gives way before the
guest's kernel kills, a read-only data disk, a swap disk, and three sockets: `<name>.qmp` for
Barostat, `<name>.lab.qmp` for the lab, `<name>.port` for the workload.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from barostat.errors import LabError
from barostat.hypervisors.plugging import BLOCK_BYTES, LARGEST_GROWTH, SECTION_BYTES
from barostat.lab.image import Image
from barostat.units import GIB, MIB, format_size

__all__ = ["DATA_DISK", "Accelerator", "GuestFiles", "GuestSpec", "qemu_command"]

DATA_DISK: Final = "data.disk"
NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")
SMALLEST_BOOT_BYTES: Final = 128 * MIB
SOCKET_PATH_LIMIT: Final = 107
"""What fits into sockaddr_un's sun_path with its closing zero."""

CPU: Final = "qemu64"
"""The plainest model: the fastest to emulate, and on nested hosts "host" may not even start."""

COMMAND_LINE: Final = (
    "console=ttyS0 quiet panic=-1",
    "nr_cpus=1 psi=1 cryptomgr.notests",
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


class Accelerator(enum.Enum):
    """What runs a guest's instructions."""

    KVM = "kvm"
    TCG = "tcg"


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestSpec:
    """A guest to boot.

    Attributes:
        name: a letter, then letters, digits and "-"; all in lower case.
        boot_bytes: base RAM.
        maximum_bytes: base RAM and virtio-mem region together; the region is rounded up to
            128 MiB, and left out where maximum is boot.
        swap_bytes: size of the swap disk, 0 for none.

    Raises:
        LabError: such a guest cannot be booted.
    """

    name: str
    boot_bytes: int
    maximum_bytes: int
    swap_bytes: int = 0

    def __post_init__(self) -> None:
        fault = self._fault()
        if fault:
            raise LabError(
                f'guest "{self.name[:40]}" cannot be booted: {fault}',
                hint="change its name or sizes; nothing was started",
            )

    def _fault(self) -> str:
        if not NAME.fullmatch(self.name):
            return 'a name has 1 to 32 of a-z, 0-9 and "-", a letter first'
        if self.boot_bytes < SMALLEST_BOOT_BYTES:
            return f"it needs at least {format_size(SMALLEST_BOOT_BYTES)} to boot"
        if not self.boot_bytes <= self.maximum_bytes <= LARGEST_GROWTH * self.boot_bytes:
            return f"maximum must be between boot size and {LARGEST_GROWTH} times that"
        if any(size % BLOCK_BYTES for size in (self.boot_bytes, self.maximum_bytes)):
            return f"sizes must be multiples of {format_size(BLOCK_BYTES)}"
        if self.swap_bytes < 0 or self.swap_bytes % BLOCK_BYTES:
            return f"swap must be a multiple of {format_size(BLOCK_BYTES)}"
        return ""

    @property
    def region_bytes(self) -> int:
        """The virtio-mem region, whole sections."""
        return -(-(self.maximum_bytes - self.boot_bytes) // SECTION_BYTES) * SECTION_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestFiles:
    """Where a guest's sockets, disks and logs are: all in one folder, all begin with its name."""

    folder: Path
    name: str

    @property
    def qmp(self) -> Path:
        """QMP, for Barostat."""
        return self.folder / f"{self.name}.qmp"

    @property
    def lab_qmp(self) -> Path:
        """QMP once more, for the lab."""
        return self.folder / f"{self.name}.lab.qmp"

    @property
    def port(self) -> Path:
        """The workload's control port."""
        return self.folder / f"{self.name}.port"

    @property
    def console(self) -> Path:
        """What the guest's kernel and workload print."""
        return self.folder / f"{self.name}.console"

    @property
    def log(self) -> Path:
        """What QEMU prints."""
        return self.folder / f"{self.name}.log"

    @property
    def pid(self) -> Path:
        """The process id of a QEMU that runs by itself."""
        return self.folder / f"{self.name}.pid"

    @property
    def domain(self) -> Path:
        """The domain's XML, where libvirt runs the guest."""
        return self.folder / f"{self.name}.xml"

    @property
    def swap(self) -> Path:
        """The swap disk."""
        return self.folder / f"{self.name}.swap"

    @property
    def data(self) -> Path:
        """The data disk, one for all guests of the folder: nobody writes to it."""
        return self.folder / DATA_DISK

    def check(self) -> None:
        """Refuse a folder whose sockets nobody could connect to.

        Raises:
            LabError: a path is too long.
        """
        longest = max(len(str(path).encode()) for path in (self.qmp, self.lab_qmp, self.port))
        if longest > SOCKET_PATH_LIMIT:
            raise LabError(
                f"{self.lab_qmp} is {longest} bytes long: a socket's path has at most "
                f"{SOCKET_PATH_LIMIT}",
                hint="set TMPDIR (or XDG_RUNTIME_DIR, for `lab up`) to a folder with a shorter "
                "path, or shorten the guest's name",
            )

    def remove(self) -> None:
        """Remove everything that is this guest's own."""
        sockets = (self.qmp, self.lab_qmp, self.port)
        for path in (*sockets, self.console, self.log, self.pid, self.domain, self.swap):
            path.unlink(missing_ok=True)


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
    for path in (files.qmp, files.lab_qmp):
        command += ["-qmp", f"unix:{path},server=on,wait=off"]
    return [
        *command,
        *("-chardev", f"socket,id=control,path={files.port},server=on,wait=off"),
        *("-device", "virtio-serial-pci"),
        *("-device", "virtserialport,chardev=control,name=org.barostat.lab.0"),
    ]


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
