"""The daemon's configuration: its sections, their keys, what each may hold, and its default.

What a key means, its unit and the reason for its default stand in the docstring of its section (or
of the numbers that the section is for) and nowhere else: the reference and the example are written
from there. Every key has a default, so that no configuration at all is a good one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field

from barostat.config.numbers import HostSection, PolicySection
from barostat.config.ranges import AbsolutePath, Between, List, SocketPath
from barostat.config.toml_file import FileModel

__all__ = [
    "SOCKET",
    "DaemonConfig",
    "HostSection",
    "LibvirtSection",
    "LogSection",
    "PolicySection",
    "QmpSection",
    "ServiceSection",
]

SOCKET: Final = Path("/run/barostat/barostat.sock")


class LibvirtSection(FileModel):
    """The guests of libvirt.

    Attributes:
        uris: the connections whose guests are balanced, as `virsh --connect` takes them; `[]` for
            none. Default: the machine's own, qemu:///system, where libvirt's Python module is
            installed.
        deadline_s: how long one call of libvirt may take before its guest counts as not
            answering: a busy libvirtd answers in milliseconds, one whose QEMU hangs never does.
    """

    uris: List[str] | None = Field(default=None, examples=[["qemu:///system"]])
    deadline_s: Annotated[float, Between(0.5, 60, "s")] = 5.0


class QmpSection(FileModel):
    """The guests of bare QEMU, without libvirt.

    Attributes:
        folders: folders of QMP sockets NAME.qmp, one for each VM and for Barostat alone, with the
            VM's settings beside it in NAME.toml. Default: none, because nobody but you knows
            where they are.
    """

    folders: List[AbsolutePath] = ()


class ServiceSection(FileModel):
    """Where the daemon is spoken to. A change takes effect when the daemon is started anew.

    Attributes:
        socket: the UNIX socket on which it answers commands; its lock and the mark of a pause
            stand beside it, in a folder that a reboot empties.
        group: who beside root may speak to it: the members of this group. Default: barostat, if
            there is such a group.
    """

    socket: SocketPath = SOCKET
    group: str | None = Field(default=None, examples=["barostat"])


class LogSection(FileModel):
    """What is written to the standard error, which the journal keeps.

    Attributes:
        level: the least weighty that is told; at `info` every move is told with its reason, and
            every change of a guest's state once.
        format: `text` for people, `json` for machines, or `auto`: text on a terminal, JSON
            elsewhere, because the journal is searched by programs.
    """

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "text"] = "auto"


class DaemonConfig(FileModel):
    """All of it."""

    host: HostSection = HostSection()
    policy: PolicySection = PolicySection()
    libvirt: LibvirtSection = LibvirtSection()
    qmp: QmpSection = QmpSection()
    service: ServiceSection = ServiceSection()
    log: LogSection = LogSection()
