"""A direct look at guests, without a daemon: observe, decide, move nothing, and let go again.

Settings are judged and written through the same `Control` that a daemon uses.
"""

from __future__ import annotations

import asyncio
import enum
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from typing import Final

from barostat.cli.find import Found, Guests, find
from barostat.cli.output import fail
from barostat.core.policy import Policy
from barostat.engine.control import Control
from barostat.engine.loop import Balancer, Tick
from barostat.engine.observe import FixedCapacity, HostSource
from barostat.errors import InputError, LateError
from barostat.host.host import Host
from barostat.service.desk import LocalDesk

__all__ = ["Purpose", "open_directly"]

BETWEEN_LOOKS_S: Final = 1.0

LATE_LOOKS: Final = 2
"""A socket that is busy or hangs is found to be so only after 2 s, and then it must be said."""

_log = logging.getLogger("barostat")


class Purpose(enum.Enum):
    """What a command asks for."""

    LIST = "list"
    WATCH = "watch"  # who is growing is known only from two looks
    FOLLOW = "follow"  # looks every second, for as long as the desk is open
    SHOW = "show"  # one VM, which may be off
    WRITE = "write"

    @property
    def done(self) -> str:
        """Say what is done instead of asking a daemon."""
        return "written" if self is Purpose.WRITE else "looked"


@asynccontextmanager
async def open_directly(guests: Guests, purpose: Purpose) -> AsyncIterator[LocalDesk]:
    """Look at guests as often as the purpose needs, and answer from what was seen.

    Raises:
        InputError: none were named and none run here, or what was named is not there.
        HypervisorError: something is there, and none of it answers as a guest.
    """
    found = find(guests)
    _log.addHandler(logging.NullHandler())  # what it would tell is told once, as faults
    opened = found.open()

    def noted(tick: Tick) -> None:
        control.on_tick(tick)

    try:
        balancer = Balancer(
            opened.hypervisor,
            opened.settings,
            _host(found.capacity_bytes),
            # A look is not a stay: what a VM would be spared for its first seconds is not asked.
            policy=replace(Policy(), settle_s=0.0),
            on_tick=noted,
            on_fault=lambda fault: _log.error("a look failed: %s", fault),
            moving=False,
        )
        control = Control(
            balancer,
            opened.hypervisor,
            opened.settings,
            moving=False,
            powered_off=opened.powered_off,
        )
        await _look(balancer, control, found, purpose)
        async with _looking_on(balancer) if purpose is Purpose.FOLLOW else nullcontext():
            yield LocalDesk(control)
    finally:
        await opened.hypervisor.close()


@asynccontextmanager
async def _looking_on(balancer: Balancer) -> AsyncIterator[None]:
    """Look every second meanwhile."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(balancer.run(stop))
        try:
            yield
        finally:
            stop.set()


def _host(capacity_bytes: int | None) -> HostSource:
    return Host() if capacity_bytes is None else FixedCapacity(capacity_bytes)


async def _look(balancer: Balancer, control: Control, found: Found, purpose: Purpose) -> None:
    """Look, a second between two looks, until all that may be there has answered or failed."""
    looks = 2 if purpose is Purpose.WATCH else 1
    tick = await balancer.watch(looks, every_s=BETWEEN_LOOKS_S)
    for _ in range(LATE_LOOKS):
        seen = {guest.name for guest in tick.snapshot.guests}
        if found.names is None or found.names <= seen | _failed(control):
            break
        await asyncio.sleep(BETWEEN_LOOKS_S)
        tick = await balancer.look()
    if not tick.snapshot.guests and purpose in {Purpose.LIST, Purpose.WATCH, Purpose.FOLLOW}:
        _nothing_seen(control, found)


def _failed(control: Control) -> set[str]:
    """Name those that have failed; one that is only late may answer yet."""
    faults = control.faults.items()
    return {name for name, fault in faults if not isinstance(fault, LateError)}


def _nothing_seen(control: Control, found: Found) -> None:
    """Say why there is nothing to look at. A libvirt without guests may just have none."""
    faults = [fault for _, fault in sorted(control.faults.items())]
    for fault in faults[:-1]:
        fail(fault)
    if faults:
        raise faults[-1]
    if found.names is not None:
        raise InputError(
            f"there is no VM at {found.where}",
            hint="for each VM a socket NAME.qmp must be there, free for Barostat alone",
        )
