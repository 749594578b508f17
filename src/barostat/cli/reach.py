"""Find the guests that a command is about: what was named, or else the lab that is running."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from barostat.cli.output import SIZE, say
from barostat.config.settings_file import SettingsFolder
from barostat.core.policy import Policy
from barostat.engine.loop import Balancer, Tick
from barostat.engine.observe import FixedCapacity
from barostat.errors import InputError
from barostat.hypervisors.qmp import QmpHypervisor
from barostat.lab.keep import running_labs

__all__ = ["Reach", "look_at", "reach_options"]

MACHINE_SHARE: Final = 0.9
"""Without a given capacity, what a dry run shares out is this much of the machine's memory."""

BETWEEN_LOOKS_S: Final = 1.0

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Where the guests are and what may be handed out to them."""

    folder: Path | None
    sockets: Mapping[str, Path]
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
        type=SIZE,
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
        return Reach(folder=qmp, sockets={}, settings=qmp, capacity_bytes=capacity)
    if not stat.S_ISSOCK(mode):
        hint = "start QEMU with -qmp unix:PATH,server=on,wait=off and give that PATH"
        raise InputError(f"{qmp} is no socket", hint=hint)
    named = {qmp.stem: qmp}
    return Reach(folder=None, sockets=named, settings=qmp.parent, capacity_bytes=capacity)


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
    lab = labs[0]
    return Reach(
        folder=lab.folder,
        sockets={},
        settings=lab.folder,
        capacity_bytes=capacity_bytes or lab.capacity_bytes,
    )


def _machine_bytes() -> int:
    share = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * MACHINE_SHARE
    return int(share)


async def look_at(reach: Reach, *, looks: int) -> Tick:
    """Look at the guests, a second between two looks, and decide without moving anything.

    Raises:
        InputError: there is no guest; the message says what was found instead.
    """
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
        for name, fault in sorted(hypervisor.faults.items()):
            say(f"{name}: {fault.message}; {fault.hint}")
    if not tick.snapshot.guests:
        where = reach.folder or ", ".join(str(path) for path in reach.sockets.values())
        hint = "a socket NAME.qmp must be there for each VM, free for Barostat alone"
        raise InputError(f"no VM answers at {where}", hint=hint)
    return tick


@asynccontextmanager
async def _opened(reach: Reach) -> AsyncIterator[QmpHypervisor]:
    hypervisor = QmpHypervisor(directory=reach.folder, sockets=reach.sockets)
    try:
        yield hypervisor
    finally:
        await hypervisor.close()
