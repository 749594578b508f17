"""What a lab guest is made of, and where its files are.

A guest has its boot RAM, one virtio-mem region above it, a balloon that gives way before the
guest's kernel kills, a read-only data disk, a swap disk, and four sockets: `<name>.qmp` and
`<name>.agent` for Barostat, `<name>.lab.qmp` for the lab, `<name>.port` for the workload. One with
a userland has a root disk too, as bare QEMU a network card, and two sockets more: `<name>.qga` for
qemu-guest-agent and `<name>.shell` for commands of the lab.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from barostat.errors import LabError
from barostat.hypervisors.plugging import BLOCK_BYTES, LARGEST_GROWTH, SECTION_BYTES
from barostat.units import MIB, format_size

__all__ = [
    "AGENT_PORT",
    "CONTROL_PORT",
    "DATA_DISK",
    "QGA_PORT",
    "SHELL_PORT",
    "Accelerator",
    "GuestFiles",
    "GuestSpec",
]

DATA_DISK: Final = "data.disk"
NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")
SMALLEST_BOOT_BYTES: Final = 128 * MIB
SMALLEST_USERLAND_BYTES: Final = 256 * MIB
SOCKET_PATH_LIMIT: Final = 107
"""What fits into sockaddr_un's sun_path with its closing zero."""

CONTROL_PORT: Final = "org.barostat.lab.0"
"""The names of virtio-serial ports. This one, the workload's, is always a guest's first."""
AGENT_PORT: Final = "org.barostat.agent.0"
QGA_PORT: Final = "org.qemu.guest_agent.0"
SHELL_PORT: Final = "org.barostat.lab.1"


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
        userland: it boots from a disk with Python, qemu-guest-agent and programs to run, instead of
            from memory with the workload alone.
        forwards: TCP ports of the userland that can be reached from the host's loopback; not with
            libvirt, whose guests are in a network of the lab's own.

    Raises:
        LabError: such a guest cannot be booted.
    """

    name: str
    boot_bytes: int
    maximum_bytes: int
    swap_bytes: int = 0
    userland: bool = False
    forwards: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        fault = self._fault()
        if fault:
            raise LabError(
                f'guest "{self.name[:40]}" cannot be booted: {fault}',
                hint="change its name or sizes; nothing was started",
            )

    def _fault(self) -> str:
        least = SMALLEST_USERLAND_BYTES if self.userland else SMALLEST_BOOT_BYTES
        sizes = (self.boot_bytes, self.maximum_bytes)
        block = format_size(BLOCK_BYTES)
        faults = {
            'a name has 1 to 32 of a-z, 0-9 and "-", a letter first': (
                not NAME.fullmatch(self.name)
            ),
            f"it needs at least {format_size(least)} to boot": self.boot_bytes < least,
            f"maximum must be between boot size and {LARGEST_GROWTH} times that": (
                not self.boot_bytes <= self.maximum_bytes <= LARGEST_GROWTH * self.boot_bytes
            ),
            f"sizes must be multiples of {block}": any(size % BLOCK_BYTES for size in sizes),
            f"swap must be a multiple of {block}": (
                self.swap_bytes < 0 or self.swap_bytes % BLOCK_BYTES != 0
            ),
            "only a guest with a userland has a network": bool(self.forwards) and not self.userland,
        }
        return next((fault for fault, found in faults.items() if found), "")

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
    def agent(self) -> Path:
        """The port of Barostat's agent in the guest."""
        return self.folder / f"{self.name}.agent"

    @property
    def qga(self) -> Path:
        """The port of qemu-guest-agent, where there is a userland."""
        return self.folder / f"{self.name}.qga"

    @property
    def shell(self) -> Path:
        """The port of the shell that runs the lab's commands, where there is a userland."""
        return self.folder / f"{self.name}.shell"

    @property
    def sockets(self) -> tuple[Path, ...]:
        """All of its sockets."""
        return (self.qmp, self.lab_qmp, self.port, self.agent, self.qga, self.shell)

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
        longest = max(len(str(path).encode()) for path in self.sockets)
        if longest > SOCKET_PATH_LIMIT:
            raise LabError(
                f"{self.lab_qmp} is {longest} bytes long: a socket's path has at most "
                f"{SOCKET_PATH_LIMIT}",
                hint="set TMPDIR (or XDG_RUNTIME_DIR, for `lab up`) to a folder with a shorter "
                "path, or shorten the guest's name",
            )

    def remove(self) -> None:
        """Remove everything that is this guest's own."""
        others = (self.console, self.log, self.pid, self.domain, self.swap)
        for path in (*self.sockets, *others):
            path.unlink(missing_ok=True)
