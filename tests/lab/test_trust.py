"""What an operator can trust: a hung guest, a dead libvirtd, a dead daemon harm nobody."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.lab.real_daemon import (
    MINIMUM_BYTES,
    RealDaemon,
    Sizes,
    guest_of,
    settings,
    sizes_of,
)

from barostat.core.observation import RunState
from barostat.hypervisors.plugging import BLOCK_BYTES
from barostat.lab.fleet import Lab
from barostat.lab.libvirtd import PrivateLibvirtd
from barostat.lab.scenario import ScenarioGuest
from barostat.lab.stages import RealStage, StageKind, open_stage
from barostat.service.documents import Overview
from barostat.units import MIB

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

STOPPED_S = 15
"""How long a QEMU is stopped."""
KILLS = 20
CAPACITY_MIB = 640
LOOKS_TO_REST = 10
"""Guests that are held at their sizes finish what they were at within seconds."""
SEEN_WITHIN_S = 2.5
"""A guest is looked at once a second, and an answer is a second old when it is asked for."""
BACK_WITHIN_S = 10.0


class Ground:
    """Guests of the lab's libvirtd, and a daemon that balances them."""

    def __init__(self, lab: Lab, libvirtd: PrivateLibvirtd, daemon: RealDaemon) -> None:
        self.lab, self.libvirtd, self.daemon = lab, libvirtd, daemon

    async def hold(self, name: str, mib: int) -> None:
        await self.lab.guests[name].hold(mib * MIB)

    def signal(self, name: str, number: signal.Signals) -> None:
        pid = self.libvirtd.qemu_pid(name)
        assert pid is not None
        os.kill(pid, number)


@asynccontextmanager
async def ground(*names: str, capacity_mib: int, settle_s: float = 10) -> AsyncIterator[Ground]:
    async with open_stage(StageKind.LIBVIRT, say=print) as stage:
        assert isinstance(stage, RealStage)
        assert stage.lab.libvirtd is not None
        async with asyncio.TaskGroup() as tasks:
            for name in names:
                guest = ScenarioGuest(
                    name=name, settings=settings(), swap_bytes=512 * MIB, boot_at_s=0
                )
                tasks.create_task(stage.boot(guest))
        await stage.hypervisor.close()  # from here on the daemon alone looks at them
        daemon = RealDaemon(stage.lab, capacity_mib=capacity_mib, settle_s=settle_s)
        await daemon.start()
        try:
            await daemon.until(lambda said: well(said, *names))
            yield Ground(stage.lab, stage.lab.libvirtd, daemon)
        finally:
            await daemon.stop()


def well(said: Overview, *names: str) -> bool:
    """Say whether guests are seen, and have said how they are."""
    found = {guest.name: guest for guest in said.guests}
    return set(names) <= set(found) and all(
        found[name].run_state is RunState.RUNNING
        and found[name].fault is None
        and found[name].demand_bytes is not None
        for name in names
    )


def at_rest(said: Overview) -> bool:
    """Say whether nothing moves and nothing is on its way but parts of a block."""
    return all(
        guest.move is None and guest.promised_bytes - guest.assigned_bytes < BLOCK_BYTES
        for guest in said.guests
    )


@pytest.mark.trust("neighbours", "QEMU is stopped (SIGSTOP)")
async def test_a_guest_whose_qemu_is_stopped_holds_up_nobody_and_comes_back() -> None:
    async with ground("web", "db", "hung", capacity_mib=800) as place:
        before = await place.daemon.overview()
        place.signal("hung", signal.SIGSTOP)
        stopped_s = time.monotonic()
        await place.hold("web", 300)

        said = []
        while time.monotonic() < stopped_s + STOPPED_S:
            said.append(await place.daemon.overview())
            await asyncio.sleep(1)
        silent = guest_of(said[-1], "hung")
        place.signal("hung", signal.SIGCONT)
        after = await place.daemon.until(lambda now: well(now, "web", "db", "hung"))

    late = [guest.seen_age_s for now in said for guest in now.guests if guest.name != "hung"]
    assert max(late) < SEEN_WITHIN_S
    assert max(now.host.age_s for now in said) < SEEN_WITHIN_S
    assert silent.run_state is RunState.UNREACHABLE
    assert silent.fault is not None
    assert silent.seen_age_s > STOPPED_S - SEEN_WITHIN_S
    assert silent.assigned_bytes == guest_of(before, "hung").assigned_bytes
    assert guest_of(said[-1], "web").assigned_bytes > 330 * MIB
    assert guest_of(after, "hung").seen_age_s < SEEN_WITHIN_S


@pytest.mark.trust("doubt", "libvirtd is killed and comes back")
@pytest.mark.trust("unharmed", "libvirtd is killed and comes back")
async def test_a_libvirtd_that_dies_and_returns_costs_nobody_any_memory() -> None:
    names = ("web", "db")
    async with ground(*names, capacity_mib=700) as place:
        await place.hold("web", 300)
        await place.daemon.until(
            lambda now: guest_of(now, "web").assigned_bytes > 330 * MIB and at_rest(now)
        )
        await place.libvirtd.kill()
        down = await place.daemon.until(
            lambda now: all(guest.run_state is RunState.UNREACHABLE for guest in now.guests)
        )
        await asyncio.sleep(3)
        later = await place.daemon.overview()
        place.daemon.signal(signal.SIGSTOP)  # so that virsh sees what nobody has touched yet
        await place.libvirtd.start()
        sizes = await all_sizes(place, names)
        place.daemon.signal(signal.SIGCONT)
        returned_s = time.monotonic()
        await place.daemon.until(lambda now: well(now, *names), timeout_s=BACK_WITHIN_S)
        await place.hold("web", 420)
        await place.daemon.until(
            lambda now: guest_of(now, "web").assigned_bytes > sizes["web"].assigned_bytes,
            timeout_s=BACK_WITHIN_S - (time.monotonic() - returned_s),
        )

    assert down.faults
    for now in (down, later):
        assert {guest.run_state for guest in now.guests} == {RunState.UNREACHABLE}
        assert now.host.promised_bytes <= now.host.capacity_bytes
        for name, size in sizes.items():
            assert guest_of(now, name).assigned_bytes == size.assigned_bytes
            surplus_bytes = guest_of(now, name).promised_bytes - size.promised_bytes
            assert 0 <= surplus_bytes < BLOCK_BYTES  # as `at_rest` allows


@pytest.mark.trust("restart", "the daemon is killed in the middle of moves (SIGKILL)")
@pytest.mark.trust("capacity", "the daemon is killed in the middle of moves (SIGKILL)")
@pytest.mark.trust("minimum", "the daemon is killed in the middle of moves (SIGKILL)")
async def test_a_daemon_killed_in_the_middle_of_moves_finds_everything_as_it_is() -> None:
    chance = random.Random(20261123)
    names = ("web", "db")
    async with ground(*names, capacity_mib=CAPACITY_MIB, settle_s=1) as place:
        for kill in range(KILLS):
            hungry, idle = names if kill % 2 else names[::-1]
            await place.hold(idle, 10)
            await place.hold(hungry, 330)
            await place.daemon.until(lambda now: any(guest.move for guest in now.guests))
            await asyncio.sleep(chance.uniform(0, 2))

            await place.daemon.kill()

            left = await all_sizes(place, names)
            assert all(size.assigned_bytes >= MINIMUM_BYTES for size in left.values())
            assert sum(size.promised_bytes for size in left.values()) <= CAPACITY_MIB * MIB
            await place.daemon.start()
            await ledger_is_right(place, names)


async def all_sizes(place: Ground, names: tuple[str, ...]) -> dict[str, Sizes]:
    return {name: await sizes_of(place.libvirtd, name) for name in names}


async def ledger_is_right(place: Ground, names: tuple[str, ...]) -> None:
    """Compare it with virsh while the operator holds everything."""
    await place.daemon.until(lambda now: {guest.name for guest in now.guests} == set(names))
    await place.daemon.pause(paused=True)
    sizes: dict[str, Sizes] = {}
    for _ in range(LOOKS_TO_REST):
        before, sizes = sizes, await all_sizes(place, names)
        if before == sizes:
            break
        await asyncio.sleep(2)
    said = await place.daemon.until(at_rest)
    assert {guest.name: guest.assigned_bytes for guest in said.guests} == {
        name: size.assigned_bytes for name, size in sizes.items()
    }
    assert all(size.assigned_bytes >= MINIMUM_BYTES for size in sizes.values())
    own_bytes = sum(size.promised_bytes for size in sizes.values())
    assert own_bytes <= said.host.promised_bytes < own_bytes + len(names) * BLOCK_BYTES
    assert said.host.promised_bytes <= said.host.capacity_bytes
    await place.daemon.pause(paused=False)
