"""The daemon's configuration: its sections, their keys, what each may hold, and its default.

What a key means, its unit and the reason for its default stand in the docstring of its section (or
of the numbers that the section is for) and nowhere else: the reference and the example are written
from there. Every key has a default, so that no configuration at all is a good one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field

from barostat.config.numbers import (
    DemandSection,
    FenceSection,
    HostSection,
    LaneSection,
    PolicySection,
)
from barostat.config.ranges import AbsolutePath, Between, Blank, Endpoint, List, SocketPath
from barostat.config.toml_file import FileModel

__all__ = [
    "HISTORY",
    "SOCKET",
    "TOKENS",
    "AdmissionSection",
    "AgentSection",
    "DaemonConfig",
    "DemandSection",
    "FenceSection",
    "HistorySection",
    "HostSection",
    "LaneSection",
    "LibvirtSection",
    "LogSection",
    "PolicySection",
    "QmpSection",
    "ServiceSection",
]

SOCKET: Final = Path("/run/barostat/barostat.sock")
HISTORY: Final = Path("/var/lib/barostat/history.db")
TOKENS: Final = Path("/var/lib/barostat/tokens.json")


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


class AgentSection(FileModel):
    """Who in a guest is heard beside its balloon driver.

    A change takes effect when the daemon is started anew.

    Attributes:
        enabled: hear Barostat's agents, on the ports that `barostat prepare` gives VMs. They speak
            by themselves: once a second, and at once when memory runs short.
        guest_agent: have qemu-guest-agent read /proc in guests where it answers and allows it and
            Barostat's agent does not speak. A guest that is frozen for a backup is left alone.
        guest_agent_s: how long between two such readings of one guest. Each is a dozen commands
            to a program that others may use, too, and what it adds (commitment, refaults, stalls)
            is of use when it is some seconds old.
    """

    enabled: bool = True
    guest_agent: bool = True
    guest_agent_s: Annotated[float, Between(1, 3600, "s")] = 5.0


class AdmissionSection(FileModel):
    """VMs that ask whether they may start. A change applies to those that ask from then on.

    Attributes:
        reserve_s: how long memory is set aside for a VM that was told to start and is not seen to
            run: libvirt starts a VM in a second, and restores one from a slow disk in a minute.
    """

    reserve_s: Annotated[float, Between(5, 3600, "s")] = 120.0


class ServiceSection(FileModel):
    """Where the daemon is spoken to. A change takes effect when the daemon is started anew.

    Attributes:
        socket: the UNIX socket on which it answers commands; its lock and the mark of a pause
            stand beside it, in a folder that a reboot empties.
        group: who beside root may speak to it: the members of this group. Default: barostat, if
            there is such a group.
        listen: the address and port on which it is spoken to over the network, as in
            127.0.0.1:7443, with TLS and a token or a client's certificate. Default: none, because
            most hosts are looked after from within.
        certificate: its certificate for that, in PEM, with what leads to its authority. It is
            read anew on SIGHUP.
        key: the certificate's private key, in PEM, without a passphrase; for root's eyes alone.
        client_ca: authorities, in PEM. A client's certificate of theirs opens the API like a
            token: its subject's unit says its role, as in OU=viewer. Default: none does.
        tokens: the file in which the hashes of tokens are kept; it outlives a reboot.
    """

    socket: SocketPath = SOCKET
    group: str | None = Field(default=None, examples=["barostat"])
    listen: Annotated[Endpoint | None, Blank] = Field(default=None, examples=[""])
    certificate: Annotated[AbsolutePath | None, Blank] = Field(default=None, examples=[""])
    key: Annotated[AbsolutePath | None, Blank] = Field(default=None, examples=[""])
    client_ca: Annotated[AbsolutePath | None, Blank] = Field(default=None, examples=[""])
    tokens: AbsolutePath = TOKENS

    def senseless(self) -> Iterator[tuple[tuple[str, str], str]]:
        """Say which keys make no sense without another, and why."""
        if self.listen is None:
            return
        for key, what in (("certificate", "a certificate"), ("key", "its certificate's key")):
            if getattr(self, key) is None:
                text = f'"{self.listen}" cannot be listened on without {what}: set `{key}`, too'
                yield ("listen", key), text


class HistorySection(FileModel):
    """What is remembered of the past. A change takes effect when the daemon is started anew.

    Attributes:
        path: the database, which grows to some 2 MB a VM; `""` remembers nothing. No two daemons
            may share one.
    """

    path: Annotated[AbsolutePath | None, Blank] = HISTORY


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
    demand: DemandSection = DemandSection()
    lane: LaneSection = LaneSection()
    fence: FenceSection = FenceSection()
    libvirt: LibvirtSection = LibvirtSection()
    qmp: QmpSection = QmpSection()
    agent: AgentSection = AgentSection()
    admission: AdmissionSection = AdmissionSection()
    service: ServiceSection = ServiceSection()
    history: HistorySection = HistorySection()
    log: LogSection = LogSection()
