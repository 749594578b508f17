"""A real domain without a NUMA cell, which can have no virtio-mem: moved within its boot RAM."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.lab.faults.ground import BOOT_BYTES, Capacity, decided, settings, spec

from barostat.core.policy import Policy
from barostat.engine.loop import Balancer, Tick
from barostat.engine.observe import FixedSettings
from barostat.hypervisors.libvirt import LibvirtHypervisor
from barostat.lab.domains import Domain, domain_xml
from barostat.lab.fleet import Kit, Lab
from barostat.lab.guests import GuestFiles
from barostat.lab.machine import LabGuest
from barostat.units import MIB

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

PATIENCE_S = 60.0
NEEDS_MIB, SMALL_MIB = 190, 200


async def until(ticks: asyncio.Queue[Tick], fits: Callable[[Tick], bool]) -> Tick:
    async with asyncio.timeout(PATIENCE_S):
        while not fits(tick := await ticks.get()):
            pass
    return tick


async def boot_without_a_cell(lab: Lab, kit: Kit) -> None:
    wanted = replace(spec("plain"), maximum_bytes=BOOT_BYTES)
    files = GuestFiles(folder=lab.folder, name=wanted.name)
    xml = domain_xml(wanted, files, image=kit.image, accelerator=kit.accelerator)
    assert lab.libvirtd is not None
    without = re.sub("<numa>.*</numa>", "", xml)
    guest = LabGuest(
        wanted, files=files, machine=Domain(without, files=files, libvirtd=lab.libvirtd)
    )
    lab.guests[wanted.name] = guest
    await guest.start()
    await guest.wait_ready()


@pytest.mark.trust("minimum", "a domain without a NUMA cell, so without virtio-mem")
async def test_a_domain_without_a_numa_cell_moves_within_its_boot_ram(libvirt_kit: Kit) -> None:
    ticks: asyncio.Queue[Tick] = asyncio.Queue()
    stop, host = asyncio.Event(), Capacity(SMALL_MIB * MIB)
    async with Lab([], kit=libvirt_kit, libvirt=True) as lab:
        await boot_without_a_cell(lab, libvirt_kit)
        hypervisor = LibvirtHypervisor(lab.uri)
        wanted = replace(settings(), maximum_bytes=BOOT_BYTES)
        balancer = Balancer(
            hypervisor,
            FixedSettings({"plain": wanted}),
            host,
            policy=Policy(settle_s=1.0),
            on_tick=ticks.put_nowait,
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(balancer.run(stop))
            await until(ticks, lambda tick: gave(tick) > 50 * MIB)
            host.capacity_bytes = 4 * BOOT_BYTES
            await lab.guests["plain"].hold(NEEDS_MIB * MIB)
            back = await until(ticks, lambda tick: gave(tick) == 0)
            stop.set()
        await hypervisor.close()
        lab.check()

    [seen] = back.snapshot.guests
    assert seen.devices.plugs == ()
    assert seen.devices.ceiling_bytes == BOOT_BYTES
    assert decided(back, "plain").promised_bytes == BOOT_BYTES


def gave(tick: Tick) -> int:
    """Say what the guest's balloon has; less than nothing while it is not seen."""
    guests = tick.decision.guests
    return guests[0].balloon_bytes if guests else -1
