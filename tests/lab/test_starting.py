"""Starts through libvirt's hook: memory is taken from others first, or the start is refused."""

from __future__ import annotations

import asyncio
import shlex
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
from tests.lab.real_daemon import BOOT_BYTES, MINIMUM_BYTES, guest_of
from tests.lab.test_trust import Ground, ground, well

from barostat.errors import LabError
from barostat.lab.guests import GuestSpec
from barostat.service.documents import Overview
from barostat.units import MIB

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

HOOK: Final = Path(__file__).parent.parent.parent / "deploy" / "libvirt" / "hooks" / "qemu"
CAPACITY_MIB: Final = 480
OLDEST_S: Final = 3.0


@asynccontextmanager
async def hooked(*, timeout_s: int = 30) -> AsyncIterator[Ground]:
    """One guest that runs, on a host with no room for another of its size, and the hook."""
    async with ground("web", capacity_mib=CAPACITY_MIB, settle_s=2) as place:
        command = place.lab.folder / "barostat"
        program = shlex.quote(str(Path(sys.executable).parent / "barostat"))
        socket = shlex.quote(str(place.lab.folder / "daemon" / "sock"))
        command.write_text(f'#!/bin/sh\nBAROSTAT_SOCKET={socket} exec {program} "$@"\n')
        command.chmod(0o755)
        hook = place.libvirtd.folder / "etc" / "hooks" / "qemu"
        hook.parent.mkdir()
        hook.write_text(
            HOOK.read_text()
            .replace("barostat=/usr/bin/barostat", f"barostat={shlex.quote(str(command))}")
            .replace("timeout_s=30", f"timeout_s={timeout_s}")
        )
        hook.chmod(0o755)
        await place.libvirtd.kill()  # it looks for hooks when it starts
        await place.daemon.until(lambda said: bool(said.faults))
        await place.libvirtd.start()
        await place.daemon.until(lambda said: well(said, "web") and not said.faults)
        yield place


@asynccontextmanager
async def watched(place: Ground) -> AsyncIterator[list[Overview]]:
    """Ask the daemon how all stand, again and again, until the body ends."""
    said: list[Overview] = []

    async def watch() -> None:
        while True:
            said.append(await place.daemon.overview())
            await asyncio.sleep(0.2)

    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(watch())
        try:
            yield said
        finally:
            watching.cancel()


def check(said: list[Overview]) -> None:
    """No more was promised than there is, and the daemon looked on all the time."""
    assert max(now.host.promised_bytes for now in said) <= CAPACITY_MIB * MIB
    assert max(now.host.age_s for now in said) < OLDEST_S
    assert min(guest.assigned_bytes for now in said for guest in now.guests) >= MINIMUM_BYTES


@pytest.mark.trust("start", "libvirt starts a VM on a full host")
async def test_a_start_is_allowed_once_its_memory_was_taken_from_another_guest() -> None:
    async with hooked() as place, watched(place) as said:
        await place.lab.boot(GuestSpec(name="new", boot_bytes=BOOT_BYTES, maximum_bytes=BOOT_BYTES))
        after = await place.daemon.until(
            lambda now: {"new", "web"} <= {guest.name for guest in now.guests}
        )

    check(said)
    assert any(found.name == "new" for now in said for found in now.host.starting)
    assert guest_of(after, "web").assigned_bytes <= CAPACITY_MIB * MIB - BOOT_BYTES
    assert guest_of(after, "new").assigned_bytes == BOOT_BYTES
    assert after.host.starting == ()


@pytest.mark.trust("start", "libvirt starts a VM for which there is no memory")
async def test_a_start_that_there_is_no_memory_for_is_refused_with_the_reason_in_virshs_error() -> (
    None
):
    large = GuestSpec(name="new", boot_bytes=384 * MIB, maximum_bytes=384 * MIB)
    async with hooked() as place, watched(place) as said:
        began_s = time.monotonic()
        with pytest.raises(LabError, match="not enough memory to start new: it needs 384 MiB, and"):
            await place.lab.boot(large)
        took_s = time.monotonic() - began_s
        after = await place.daemon.until(lambda now: well(now, "web") and not now.host.starting)
        listed = await place.libvirtd.virsh("list", "--name")

    check(said)
    assert took_s < 25
    assert [guest.name for guest in after.guests] == ["web"]
    assert listed.split() == ["web"]


@pytest.mark.trust("start", "a VM is started anew before anybody saw it end")
async def test_a_guest_that_is_started_anew_at_once_may_start() -> None:
    async with hooked() as place:
        await place.libvirtd.virsh("destroy", "web")
        await place.libvirtd.virsh("start", "web")

        after = await place.daemon.until(
            lambda now: [guest.name for guest in now.guests] == ["web"] and not now.host.starting
        )

    assert guest_of(after, "web").fault is None
