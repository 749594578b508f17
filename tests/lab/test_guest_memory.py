"""A real guest's memory does what it is told, and its witness says so."""

from __future__ import annotations

import pytest

from barostat.lab.fleet import Kit, Lab
from barostat.lab.guests import GuestSpec
from barostat.lab.machine import LabGuest
from barostat.units import MIB

pytestmark = pytest.mark.lab

SPEC = GuestSpec(name="web", boot_bytes=256 * MIB, maximum_bytes=768 * MIB, swap_bytes=512 * MIB)
NEAR_BYTES = 8 * MIB
"""Page tables and the kernel's own caches move by so much."""


async def plug(guest: LabGuest, size_bytes: int) -> None:
    path = "/machine/peripheral/vmem0"
    await guest.qmp("qom-set", path=path, property="requested-size", value=size_bytes)


async def test_the_workload_holds_what_it_is_told_and_gives_it_back(kit: Kit) -> None:
    async with Lab([SPEC], kit=kit) as lab:
        guest = lab.guests["web"]
        idle = await guest.wait_ready()

        told = await guest.hold(100 * MIB, hot=0.5)
        held = await guest.wait_held()
        passing = await guest.until(lambda witness: witness.passes >= 2, "touch its hot share")
        await guest.hold(0)
        freed = await guest.until(
            lambda witness: witness.available_bytes > idle.available_bytes - NEAR_BYTES,
            "give its memory back",
        )

    assert told.wished_bytes == 100 * MIB
    assert held.held_bytes == 100 * MIB
    assert held.available_bytes == pytest.approx(idle.available_bytes - 100 * MIB, abs=NEAR_BYTES)
    assert passing.hot_permille == 500
    assert passing.last_pass_us > 0
    assert freed.held_bytes == 0
    assert freed.stalled_us == 0


async def test_cold_memory_is_not_touched_again(kit: Kit) -> None:
    async with Lab([SPEC], kit=kit) as lab:
        guest = lab.guests["web"]
        await guest.hold(50 * MIB, hot=0.0)
        held = await guest.wait_held()
        later = await guest.until(
            lambda witness: witness.sequence >= held.sequence + 4, "report on"
        )

    assert later.passes == 0


async def test_filling_the_page_cache_takes_no_available_memory(kit: Kit) -> None:
    async with Lab([SPEC], kit=kit) as lab:
        guest = lab.guests["web"]
        idle = await guest.wait_ready()

        await guest.cache(64 * MIB)
        filled = await guest.until(
            lambda witness: witness.cache_read_bytes == 64 * MIB, "read its data"
        )
        await guest.cache(0)
        dropped = await guest.until(
            lambda witness: witness.cached_bytes < idle.cached_bytes + NEAR_BYTES, "drop its cache"
        )

    assert filled.cached_bytes - idle.cached_bytes == pytest.approx(64 * MIB, abs=NEAR_BYTES)
    assert filled.free_bytes < idle.free_bytes - 50 * MIB
    assert filled.available_bytes > idle.available_bytes - 2 * NEAR_BYTES
    assert dropped.free_bytes > filled.free_bytes + 50 * MIB


async def test_plugged_memory_shows_in_the_guests_total_and_leaves_again(kit: Kit) -> None:
    async with Lab([SPEC], kit=kit) as lab:
        guest = lab.guests["web"]
        idle = await guest.wait_ready()

        await plug(guest, 512 * MIB)
        grown = await guest.until(
            lambda witness: witness.total_bytes == idle.total_bytes + 512 * MIB, "see the plug"
        )
        await plug(guest, 0)
        shrunk = await guest.until(
            lambda witness: witness.total_bytes == idle.total_bytes, "unplug"
        )

    assert grown.available_bytes > idle.available_bytes + 480 * MIB
    assert shrunk.available_bytes == pytest.approx(idle.available_bytes, abs=NEAR_BYTES)


async def test_a_balloon_takes_what_is_available_and_gives_it_back(kit: Kit) -> None:
    async with Lab([SPEC], kit=kit) as lab:
        guest = lab.guests["web"]
        idle = await guest.wait_ready()

        await guest.qmp("balloon", value=176 * MIB)
        taken = await guest.until(
            lambda witness: witness.available_bytes < idle.available_bytes - 75 * MIB, "inflate"
        )
        await guest.qmp("balloon", value=256 * MIB)
        await guest.until(
            lambda witness: witness.available_bytes > idle.available_bytes - NEAR_BYTES, "deflate"
        )

    assert taken.total_bytes == idle.total_bytes  # deflate-on-oom keeps it in the guest's total


async def test_a_squeezed_guest_pages_and_says_that_it_waits(kit: Kit) -> None:
    async with Lab([SPEC], kit=kit) as lab:
        guest = lab.guests["web"]
        await guest.hold(150 * MIB, hot=1.0)
        before = await guest.wait_held()

        await guest.qmp("balloon", value=144 * MIB)
        squeezed = await guest.until(
            lambda witness: (
                witness.stalled_us > before.stalled_us + 100_000 and witness.swap_in_bytes > 0
            ),
            "wait for its swap",
        )
        await guest.qmp("balloon", value=256 * MIB)
        relieved = await guest.until(lambda witness: witness.passes > squeezed.passes + 4, "run on")

    assert squeezed.swap_out_bytes > 0
    assert squeezed.major_faults > 0
    assert squeezed.psi_some_us > before.psi_some_us
    assert squeezed.swap_free_bytes < squeezed.swap_total_bytes
    assert relieved.oom_kills == 0
    assert relieved.held_bytes == 150 * MIB


async def test_a_workload_beyond_memory_is_killed_and_begins_again_empty(kit: Kit) -> None:
    small = GuestSpec(name="small", boot_bytes=128 * MIB, maximum_bytes=128 * MIB)
    async with Lab([small], kit=kit) as lab:
        guest = lab.guests["small"]
        await guest.hold(400 * MIB)
        killed = await guest.until(lambda witness: witness.holder_deaths == 1, "run out of memory")
        again = await guest.hold(10 * MIB)
        held = await guest.wait_held()

    assert killed.oom_kills >= 1
    assert killed.wished_bytes == 0
    assert again.wished_bytes == 10 * MIB
    assert held.held_bytes == 10 * MIB
