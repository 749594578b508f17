"""What may happen inside a guest: panics, resets, ends, boots that come to nothing."""

from __future__ import annotations

import asyncio

import pytest
from tests.lab.faults.ground import balanced, decided, ground, seen, settings, spec, state

from barostat.config.settings_file import write_settings
from barostat.core.observation import RunState
from barostat.core.reasons import ReasonCode
from barostat.lab.command import qemu_command
from barostat.lab.fleet import Kit, Lab
from barostat.lab.guests import GuestFiles
from barostat.lab.qemu import QemuProcess
from barostat.units import MIB

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]

RESETS = 5


@pytest.mark.trust("doubt", "a guest's kernel panics and stands still")
async def test_a_guest_whose_kernel_panics_is_held_until_it_speaks_again(userland_kit: Kit) -> None:
    async with ground(userland_kit, spec("web"), spec("ill", userland=True)) as place:
        await place.lab.guests["ill"].qmp("set-action", reboot="reset")
        await place.inside("ill", "echo 0 > /proc/sys/kernel/panic; echo c > /proc/sysrq-trigger")
        panicked = await place.held("ill", ReasonCode.STALE)
        await place.serves("web")
        await place.lab.guests["ill"].qmp("system_reset")
        await place.held("ill", ReasonCode.BOOTING)
        await place.serves("ill")

    assert state(panicked, "ill") is RunState.RUNNING


@pytest.mark.trust("doubt", "a guest's kernel panics and boots anew")
async def test_a_guest_that_panics_and_boots_anew_is_held_while_it_boots(
    userland_kit: Kit,
) -> None:
    async with ground(userland_kit, spec("web"), spec("ill", userland=True)) as place:
        await place.lab.guests["ill"].qmp("set-action", reboot="reset")
        await place.inside("ill", "echo c > /proc/sysrq-trigger")
        await place.held("ill", ReasonCode.BOOTING)
        await place.serves("web")
        await place.serves("ill")


@pytest.mark.trust("capacity", "a guest with a balloon is reset")
async def test_what_the_balloon_had_of_a_guest_that_is_reset_is_granted_to_nobody(
    kit: Kit,
) -> None:
    async with ground(kit, spec("web"), spec("db"), capacity_mib=512) as place:
        await place.hold("web", 300)
        await place.until(
            lambda tick: decided(tick, "db").balloon_bytes > 100 * MIB, "db gave by its balloon"
        )
        place.books.excused = "db boots with all of its RAM"
        await place.lab.guests["db"].qmp("set-action", reboot="reset")
        await place.lab.guests["db"].qmp("system_reset")
        booting = await place.held("db", ReasonCode.BOOTING)
        await place.until(
            lambda tick: decided(tick, "db").balloon_bytes > 90 * MIB, "db gave once more"
        )

    assert decided(booting, "db").promised_bytes >= 256 * MIB


@pytest.mark.trust("neighbours", "a guest is reset again and again")
async def test_a_guest_in_a_loop_of_resets_is_held_and_its_neighbour_served(kit: Kit) -> None:
    async with ground(kit, spec("web"), spec("loop")) as place:
        loop = place.lab.guests["loop"]
        await loop.qmp("set-action", reboot="reset")
        async with asyncio.TaskGroup() as tasks:
            served = tasks.create_task(place.serves("web"))
            for _ in range(RESETS):
                await loop.qmp("system_reset")
                tick = await place.passes(1)
                assert state(tick, "loop") in {RunState.BOOTING, RunState.RUNNING}
                assert decided(tick, "loop").move is None
            await served
        await place.serves("loop")


@pytest.mark.trust("neighbours", "a guest powers itself off")
async def test_what_a_guest_had_that_powers_itself_off_serves_its_neighbour(
    userland_kit: Kit,
) -> None:
    guests = spec("web"), spec("off", userland=True)
    async with ground(userland_kit, *guests, capacity_mib=560) as place:
        place.ended.add("off")
        await place.inside("off", "poweroff -f")
        await place.until(lambda tick: seen(tick, "off") is None, "off is off")
        await place.hold("web", 400)
        await place.until(
            lambda tick: decided(tick, "web").assigned_bytes > (560 - 128) * MIB, "web served"
        )


@pytest.mark.trust("doubt", "a guest hangs in its firmware")
async def test_a_guest_that_never_leaves_its_firmware_counts_with_all_its_ram_and_is_not_asked(
    kit: Kit,
) -> None:
    async with Lab([spec("web")], kit=kit) as lab:
        write_settings(lab.folder / "web.toml", settings())
        write_settings(lab.folder / "blank.toml", settings())
        files = GuestFiles(folder=lab.folder, name="blank")
        firmware = QemuProcess(without_kernel(kit, files), files=files)
        await firmware.start()
        try:
            async with balanced(lab, "web") as place:
                await place.until(lambda tick: seen(tick, "blank"), "blank seen")
                await place.serves("web")
                tick = await place.passes(2)
        finally:
            await firmware.stop()

    assert state(tick, "blank") is RunState.BOOTING
    assert decided(tick, "blank").promised_bytes == 256 * MIB
    assert decided(tick, "blank").move is None


def without_kernel(kit: Kit, files: GuestFiles) -> list[str]:
    """Write the command of a guest that has nothing to boot."""
    blank = spec(files.name, swap_mib=0)
    command = qemu_command(blank, files, image=kit.image, accelerator=kit.accelerator)
    at = command.index("-kernel")
    return command[:at] + command[at + 6 :]
