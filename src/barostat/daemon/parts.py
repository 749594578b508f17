"""From the configuration to the parts of the daemon: whose guests, which box, who may speak."""

from __future__ import annotations

import grp
import importlib.util
from collections.abc import Iterator
from typing import Final

from barostat.config.sections import DaemonConfig, HostSection, LibvirtSection, ServiceSection
from barostat.config.settings_file import SettingsFolder
from barostat.errors import InputError
from barostat.host.policy import HostPolicy
from barostat.hypervisors.combined import Combined
from barostat.hypervisors.member import Member
from barostat.hypervisors.qmp import QmpHypervisor

__all__ = ["group_of", "guests_of", "host_policy"]

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
            label=uri, hypervisor=libvirt, settings=libvirt, powered_off=libvirt.powered_off
        )


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
