"""From the configuration to the daemon's parts: whose guests, who in them is heard, which box."""

from __future__ import annotations

import grp
import importlib.util
import time
from collections.abc import Callable, Iterator
from typing import Final

from barostat.config.sections import (
    AgentSection,
    DaemonConfig,
    HostSection,
    LaneSection,
    LibvirtSection,
    ServiceSection,
)
from barostat.config.settings_file import SettingsFolder
from barostat.engine.sampling import Pace
from barostat.errors import InputError
from barostat.guest.agents import Agents
from barostat.guest.base import InnerSource, Insight
from barostat.guest.qga import Qga
from barostat.host.policy import HostPolicy
from barostat.hypervisors.base import Hypervisor
from barostat.hypervisors.combined import Combined
from barostat.hypervisors.member import Member
from barostat.hypervisors.qmp import QmpHypervisor

__all__ = ["group_of", "guests_of", "host_policy", "insight_of", "pace_of"]

LIBVIRT_OF_THE_MACHINE: Final = "qemu:///system"
OWN_GROUP: Final = "barostat"


def guests_of(config: DaemonConfig) -> Combined:
    """Make one hypervisor of all that the configuration names.

    Raises:
        InputError: it names none, or libvirt without its Python module.
    """
    folders = dict.fromkeys(config.qmp.folders)
    members = [*_libvirt(config.libvirt)]
    members += [
        Member(
            label=str(folder),
            hypervisor=QmpHypervisor(directory=folder),
            settings=SettingsFolder(folder),
        )
        for folder in folders
    ]
    if not members:
        raise InputError(
            "there is nothing whose VMs could be balanced",
            hint="install libvirt's Python module (barostat[libvirt]), or name `folders` of QMP "
            "sockets in [qmp]; see `barostat config example`",
        )
    return Combined(members)


def _libvirt(section: LibvirtSection) -> Iterator[Member]:
    uris = section.uris
    if uris is None:
        uris = (LIBVIRT_OF_THE_MACHINE,) if importlib.util.find_spec("libvirt") else ()
    if not uris:
        return
    from barostat.hypervisors.libvirt import LibvirtHypervisor  # noqa: PLC0415 - an extra

    for uri in dict.fromkeys(uris):
        libvirt = LibvirtHypervisor(uri, deadline_s=section.deadline_s)
        yield Member(
            label=uri,
            hypervisor=libvirt,
            settings=libvirt,
            powered_off=libvirt.powered_off,
            startup=libvirt.startup,
            limiter=libvirt,
        )


def insight_of(
    section: AgentSection, guests: Hypervisor, *, on_report: Callable[[str], None]
) -> Insight:
    """Make what listens inside guests.

    Args:
        section: whom to hear.
        guests: they lead to their agents.
        on_report: told of every report that comes by itself.
    """
    sources: list[InnerSource] = []
    if section.enabled:
        sources.append(Agents(sockets=lambda: guests.agents, on_report=on_report))
    if section.guest_agent:
        every_s = section.guest_agent_s
        sources.append(Qga(guests.ask_guest_agent, clock=time.monotonic, every_s=every_s))
    return Insight(sources)


def pace_of(section: LaneSection) -> Pace:
    """Make the numbers that the fast lane keeps to."""
    return Pace(**section.numbers(Pace.__dataclass_fields__))


def host_policy(section: HostSection) -> HostPolicy:
    """Make the numbers by which the box is judged."""
    return HostPolicy(**section.numbers(HostPolicy.__dataclass_fields__))


def group_of(section: ServiceSection) -> str | None:
    """Say who beside root may speak to the daemon, None for nobody.

    Raises:
        InputError: there is no such group.
    """
    name = section.group
    if name == "":
        return None
    try:
        grp.getgrnam(name or OWN_GROUP)
    except KeyError as error:
        if name is None:
            return None
        raise InputError(
            f'there is no group "{name}", which [service] names',
            hint=f'`groupadd --system {name}` makes it; `group = ""` lets nobody but root speak',
        ) from error
    return name or OWN_GROUP
