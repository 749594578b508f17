"""Which guests a command is about, where no daemon is asked: those that were named, or those here.

Those here are the guests of the lab that is running, or else libvirt's own. Finding reaches
nobody yet.
"""

from __future__ import annotations

import importlib.util
import stat
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from barostat.config.settings_file import SettingsFolder
from barostat.config.settings_store import SettingsStore
from barostat.errors import InputError, NoDaemonError, ServiceError
from barostat.hypervisors.base import Hypervisor
from barostat.hypervisors.qmp import LAB_SUFFIX, SUFFIX, QmpHypervisor
from barostat.lab.keep import running_labs
from barostat.service.sockets import check_answering

__all__ = ["Found", "Guests", "Opened", "find"]

SYSTEM_URI: Final = "qemu:///system"
SYSTEM_SOCKETS: Final = ("/run/libvirt/libvirt-sock", "/run/libvirt/virtqemud-sock")


@dataclass(frozen=True, slots=True, kw_only=True)
class Guests:
    """Which guests are meant: behind QMP sockets, at a libvirt connection, or whichever run here.

    Attributes:
        qmp: a folder of sockets, or one socket.
        uri: a libvirt connection.
        capacity_bytes: what may be handed out; None: what can be found out.
    """

    qmp: Path | None = None
    uri: str | None = None
    capacity_bytes: int | None = None

    @property
    def named(self) -> bool:
        """Whether a person said which."""
        return self.qmp is not None or self.uri is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Guests that were found.

    Attributes:
        where: for people.
        names: by which they may answer; None: that is known only there.
        open: reaches them, within a running event loop.
        capacity_bytes: what may be handed out to them; None: what can be found out.
    """

    where: str
    names: frozenset[str] | None
    open: Callable[[], Opened]
    capacity_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """Guests that are reached, where their settings stand, and how to ask who does not run."""

    hypervisor: Hypervisor
    settings: SettingsStore
    powered_off: Callable[[], Awaitable[Sequence[str]]]


async def _nobody() -> Sequence[str]:
    return ()


def _sockets(qmp: QmpHypervisor, folder: Path) -> Opened:
    settings = SettingsFolder(folder)
    return Opened(hypervisor=qmp, settings=settings, powered_off=_nobody)


def find(guests: Guests) -> Found:
    """Find the guests.

    Raises:
        InputError: none were named and none run here, or what was named is not there.
    """
    if guests.uri is not None:
        return _libvirt(guests.uri, guests.capacity_bytes)
    if guests.qmp is None:
        return _here(guests.capacity_bytes)
    try:
        mode = guests.qmp.stat().st_mode
    except OSError as error:
        reason = error.strerror or "it cannot be looked at"
        hint = "give a folder of QMP sockets NAME.qmp, or one such socket"
        raise InputError(f"{guests.qmp}: {reason}", hint=hint) from error
    if stat.S_ISDIR(mode):
        return _folder(guests.qmp, guests.capacity_bytes)
    if not stat.S_ISSOCK(mode):
        hint = "start QEMU with -qmp unix:PATH,server=on,wait=off and give that PATH"
        raise InputError(f"{guests.qmp} is no socket", hint=hint)
    return _socket(guests.qmp, guests.capacity_bytes)


def _socket(path: Path, capacity_bytes: int | None) -> Found:
    return Found(
        where=str(path.parent),
        names=frozenset({path.stem}),
        open=lambda: _sockets(QmpHypervisor(sockets={path.stem: path}), path.parent),
        capacity_bytes=capacity_bytes,
    )


def _folder(folder: Path, capacity_bytes: int | None) -> Found:
    names = frozenset(
        path.name.removesuffix(SUFFIX)
        for path in folder.glob(f"*{SUFFIX}")
        if path.is_socket() and not path.name.endswith(LAB_SUFFIX)
    )
    return Found(
        where=str(folder),
        names=names,
        open=lambda: _sockets(QmpHypervisor(directory=folder), folder),
        capacity_bytes=capacity_bytes,
    )


def _libvirt(uri: str, capacity_bytes: int | None) -> Found:
    def reach() -> Opened:
        from barostat.hypervisors.libvirt import LibvirtHypervisor  # noqa: PLC0415 - an extra

        libvirt = LibvirtHypervisor(uri)
        return Opened(hypervisor=libvirt, settings=libvirt, powered_off=libvirt.powered_off)

    return Found(where=uri, names=None, open=reach, capacity_bytes=capacity_bytes)


def _here(capacity_bytes: int | None) -> Found:
    """Find the lab that is running, or else libvirt's own guests."""
    labs = running_labs()
    if len(labs) == 1:
        return _folder(labs[0].folder, capacity_bytes or labs[0].capacity_bytes)
    if labs:
        hint = "name one with --qmp: " + ", ".join(str(lab.folder) for lab in labs)
        raise InputError(f"which VMs? None were named, and {len(labs)} labs are running", hint=hint)
    if _has_libvirt():
        return _libvirt(SYSTEM_URI, capacity_bytes)
    raise InputError(
        "which VMs? None were named, and no daemon, no libvirt and no lab is running",
        hint="name your VMs' sockets with --qmp or a libvirt connection with --connect, or start a "
        "lab with `barostat lab up SCENARIO.toml`",
    )


def _has_libvirt() -> bool:
    """Say whether a libvirt of the system's listens, and we can speak to it."""
    if importlib.util.find_spec("libvirt") is None:
        return False
    return any(_listens(Path(path)) for path in SYSTEM_SOCKETS)


def _listens(socket: Path) -> bool:
    try:
        check_answering(socket)
    except NoDaemonError:
        return False
    except ServiceError:  # somebody is there; why we may not speak to it is for libvirt to say
        return True
    return True
