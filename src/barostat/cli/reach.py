"""Find the guests that a command is about: what was named, or else the lab that is running."""

from __future__ import annotations

import asyncio
import logging
import os
import stat
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from barostat.cli.options import CAPACITY
from barostat.cli.output import fail
from barostat.config.settings_file import SettingsFolder
from barostat.core.policy import Policy
from barostat.engine.loop import Balancer, Tick
from barostat.engine.observe import FixedCapacity
from barostat.errors import HypervisorError, InputError
from barostat.hypervisors.qmp import LAB_SUFFIX, SUFFIX, QmpHypervisor
from barostat.lab.keep import running_labs

__all__ = ["Reach", "look_at", "reach_options"]

MACHINE_SHARE: Final = 0.9
"""Without a given capacity, what a dry run shares out is this much of the machine's memory."""

BETWEEN_LOOKS_S: Final = 1.0

LATE_LOOKS: Final = 2
"""A socket that is busy or hangs is found to be so only after 2 s, and then it must be said."""

_log = logging.getLogger("barostat")

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Where the guests are, by which names they may answer, and what may be handed out to them."""

    folder: Path | None = None
    sockets: Mapping[str, Path] = field(default_factory=dict)
    names: frozenset[str]
    settings: Path
    capacity_bytes: int


def reach_options(command: Command) -> Command:
    """Add the options that say which guests are meant."""
    qmp = click.option(
        "--qmp",
        type=click.Path(path_type=Path),
        envvar="BAROSTAT_QMP",
        show_envvar=True,
        help="A folder of QMP sockets NAME.qmp, or one such socket. A VM's settings stand beside "
        "its socket in NAME.toml. Default: the lab that is running.",
    )
    capacity = click.option(
        "--capacity",
        type=CAPACITY,
        help="What may be handed out to VMs, such as 24GiB. Default: the lab's own capacity, or "
        "nine tenths of this machine's memory.",
    )
    return qmp(capacity(command))


def find(qmp: Path | None, capacity_bytes: int | None) -> Reach:
    """Find the guests.

    Raises:
        InputError: nothing was named and no lab is running, or what was named is not there.
    """
    if qmp is None:
        return _running_lab(capacity_bytes)
    try:
        mode = qmp.stat().st_mode
    except OSError as error:
        reason = error.strerror or "it cannot be looked at"
        hint = "give a folder of QMP sockets NAME.qmp, or one such socket"
        raise InputError(f"{qmp}: {reason}", hint=hint) from error
    capacity = capacity_bytes or _machine_bytes()
    if stat.S_ISDIR(mode):
        return _folder(qmp, capacity)
    if not stat.S_ISSOCK(mode):
        hint = "start QEMU with -qmp unix:PATH,server=on,wait=off and give that PATH"
        raise InputError(f"{qmp} is no socket", hint=hint)
    return Reach(
        sockets={qmp.stem: qmp},
        names=frozenset({qmp.stem}),
        settings=qmp.parent,
        capacity_bytes=capacity,
    )


def _folder(folder: Path, capacity_bytes: int) -> Reach:
    names = frozenset(
        path.name.removesuffix(SUFFIX)
        for path in folder.glob(f"*{SUFFIX}")
        if path.is_socket() and not path.name.endswith(LAB_SUFFIX)
    )
    return Reach(folder=folder, names=names, settings=folder, capacity_bytes=capacity_bytes)


def _running_lab(capacity_bytes: int | None) -> Reach:
    labs = running_labs()
    if len(labs) != 1:
        there = "no lab is running" if not labs else f"{len(labs)} labs are running"
        hint = (
            "name your VMs' sockets with --qmp, or start a lab with `barostat lab up SCENARIO.toml`"
            if not labs
            else "name one with --qmp: " + ", ".join(str(lab.folder) for lab in labs)
        )
        raise InputError(f"which VMs? None were named, and {there}", hint=hint)
    return _folder(labs[0].folder, capacity_bytes or labs[0].capacity_bytes)


def _machine_bytes() -> int:
    share = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * MACHINE_SHARE
    return int(share)


async def look_at(reach: Reach, *, looks: int) -> Tick:
    """Look at the guests, a second between two looks, and decide without moving anything.

    Raises:
        InputError: nothing that could be a guest is there.
        HypervisorError: something is there, and none of it answers as a guest.
    """
    _log.addHandler(logging.NullHandler())  # what it would tell is told below, once
    async with _opened(reach) as hypervisor:
        balancer = Balancer(
            hypervisor,
            SettingsFolder(reach.settings),
            FixedCapacity(reach.capacity_bytes),
            # A look is not a stay: what a VM would be spared for its first seconds is not asked.
            policy=replace(Policy(), settle_s=0.0),
            moving=False,
        )
        tick = await balancer.watch(looks, every_s=BETWEEN_LOOKS_S)
        for _ in range(LATE_LOOKS):
            seen = {guest.name for guest in tick.snapshot.guests}
            if reach.names <= seen | set(hypervisor.faults):
                break
            await asyncio.sleep(BETWEEN_LOOKS_S)
            tick = await balancer.look()
        faults = [fault for _, fault in sorted(hypervisor.faults.items())]
    _tell(reach, faults, alone=not tick.snapshot.guests)
    return tick


def _tell(reach: Reach, faults: list[HypervisorError], *, alone: bool) -> None:
    """Say which sockets show no guest, and why; if that is all there is, it is an error."""
    if alone and not faults:
        raise InputError(
            f"there is no VM at {reach.settings}",
            hint="for each VM a socket NAME.qmp must be there, free for Barostat alone",
        )
    last = faults.pop() if alone else None
    for fault in faults:
        fail(fault)
    if last is not None:
        raise last


@asynccontextmanager
async def _opened(reach: Reach) -> AsyncIterator[QmpHypervisor]:
    hypervisor = QmpHypervisor(directory=reach.folder, sockets=reach.sockets)
    try:
        yield hypervisor
    finally:
        await hypervisor.close()
