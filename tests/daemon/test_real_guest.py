"""The daemon on a real guest: killed in the middle of a move, it finds its way back."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from pathlib import Path

import pytest

from barostat.core.observation import Devices
from barostat.hypervisors.qmp import QmpHypervisor
from barostat.lab.fleet import Lab, ensure_kit
from barostat.lab.guests import GuestSpec
from barostat.units import MIB

from .conftest import Running, until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]

SPEC = GuestSpec(name="web", boot_bytes=256 * MIB, maximum_bytes=768 * MIB, swap_bytes=512 * MIB)


async def seen_by_qemu(folder: Path) -> Devices:
    """Ask QEMU itself; its socket must be free."""
    hypervisor = QmpHypervisor(directory=folder)
    try:
        (guest,) = await hypervisor.observe(now_s=time.monotonic())
        return guest.devices
    finally:
        await hypervisor.close()


def grows(daemon: Running) -> int:
    """Count the grows that were decided: when another is, the one before is on its way."""
    return sum("web: grow from" in line["event"] for line in daemon.log())


@pytest.mark.trust("restart", "the daemon is killed in the middle of moves (SIGKILL)")
async def test_after_a_kill_in_the_middle_of_a_move_the_ledger_is_qemus_own(
    tmp_path: Path,
) -> None:
    kit = await asyncio.to_thread(ensure_kit, progress=logging.getLogger("lab").info)
    async with Lab([SPEC], kit=kit) as lab:
        (lab.folder / "web.toml").write_text('minimum = "128MiB"\n')
        daemon = Running(tmp_path, lab.folder)
        daemon.write('[policy]\nsettle_s = 1\n[log]\nlevel = "debug"\n')
        try:
            await asyncio.to_thread(daemon.start)
            await lab.guests["web"].hold(350 * MIB)
            await asyncio.to_thread(until, lambda: grows(daemon) > 1, "a move that was sent")
            await asyncio.to_thread(daemon.end, signal.SIGKILL)
            left = await seen_by_qemu(lab.folder)

            await asyncio.to_thread(daemon.start)
            listed = await asyncio.to_thread(daemon.ask, "list")
            (web,) = listed["guests"]
            await asyncio.to_thread(daemon.end)
            now = await seen_by_qemu(lab.folder)
        finally:
            daemon.close()

    assert left.wished_bytes > SPEC.boot_bytes, "the kill came before the move"
    assert web["assigned_bytes"] >= left.assigned_bytes >= 128 * MIB
    assert listed["host"]["promised_bytes"] == web["promised_bytes"] >= web["assigned_bytes"]
    assert now.wished_bytes == now.assigned_bytes, "a wish was left when it ended well"
