"""A daemon that starts beside a QEMU that hangs: what that guest has is nobody else's."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest
from tests.soak.ground import MINIMUM_BYTES, PLUG
from tests.soak.process import DaemonProcess

from barostat.config.settings_file import write_settings
from barostat.core.observation import RunState
from barostat.core.settings import MemorySettings
from barostat.errors import ServiceError
from barostat.lab.fleet import Kit, Lab
from barostat.lab.guests import GuestSpec
from barostat.lab.machine import LabGuest
from barostat.service.client import open_daemon
from barostat.service.documents import Overview
from barostat.units import MIB

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]

BOOT_BYTES, MAXIMUM_BYTES = 256 * MIB, 768 * MIB
CAPACITY_BYTES = 2 * BOOT_BYTES + 64 * MIB
WATCHED_S = 15.0
HEARD_S = 30.0


async def assigned_bytes(guest: LabGuest) -> int:
    base: int = (await guest.qmp("query-balloon"))["actual"]
    plugged: int = await guest.qmp("qom-get", path=PLUG, property="size")
    return base + plugged


async def said(daemon: DaemonProcess) -> Overview | None:
    try:
        async with open_daemon(daemon.socket) as desk:
            return await desk.overview()
    except ServiceError:
        return None


@pytest.mark.trust("capacity", "a QEMU hangs while the daemon starts")
@pytest.mark.trust("restart", "a QEMU hangs while the daemon starts")
async def test_what_a_guest_holds_whose_qemu_hangs_as_the_daemon_starts_is_given_to_nobody(
    kit: Kit,
) -> None:
    specs = [
        GuestSpec(
            name=name, boot_bytes=BOOT_BYTES, maximum_bytes=MAXIMUM_BYTES, swap_bytes=512 * MIB
        )
        for name in ("hung", "hungry")
    ]
    async with Lab(specs, kit=kit) as lab:
        hung, hungry = lab.guests["hung"], lab.guests["hungry"]
        for spec in specs:
            write_settings(
                lab.folder / f"{spec.name}.toml",
                MemorySettings(
                    startup_bytes=BOOT_BYTES,
                    minimum_bytes=MINIMUM_BYTES,
                    maximum_bytes=MAXIMUM_BYTES,
                ),
            )
        assert hung.pid is not None
        await asyncio.sleep(6)  # until then it counts as a guest that is about to be seen
        os.kill(hung.pid, signal.SIGSTOP)
        await hungry.hold(600 * MIB)
        daemon = DaemonProcess(lab.folder, capacity_bytes=CAPACITY_BYTES)
        await daemon.start()
        try:
            async with asyncio.timeout(HEARD_S):
                while await said(daemon) is None:  # noqa: ASYNC110 - a daemon that starts
                    await asyncio.sleep(0.2)
            async with asyncio.timeout(WATCHED_S + HEARD_S):
                sizes = []
                for _ in range(int(WATCHED_S)):
                    sizes.append(await assigned_bytes(hungry))
                    await asyncio.sleep(1)
            os.kill(hung.pid, signal.SIGCONT)
            async with asyncio.timeout(HEARD_S):
                while True:
                    found = await said(daemon)
                    if found is not None and len(found.guests) == len(specs):
                        break
                    await asyncio.sleep(0.5)
        finally:
            await daemon.kill()

    assert BOOT_BYTES < max(sizes) <= CAPACITY_BYTES - BOOT_BYTES
    assert found.host.capacity_bytes == CAPACITY_BYTES
    assert {guest.run_state for guest in found.guests} <= {RunState.RUNNING, RunState.BOOTING}
