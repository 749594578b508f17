"""Real guests whose drivers come and go, and that sleep: held, and their neighbours go on."""

from __future__ import annotations

import asyncio

import pytest
from tests.lab.faults.ground import Ground, codes, decided, ground, spec, state

from barostat.core.moves import MoveKind
from barostat.core.observation import RunState
from barostat.core.reasons import ReasonCode
from barostat.lab.fleet import Kit
from barostat.units import MIB

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

BALLOON = "/sys/bus/virtio/drivers/virtio_balloon"
PLUG = "/sys/bus/virtio/drivers/virtio_mem"
COMMAND_S = 10.0
GOES_ON = {MoveKind.GROW, MoveKind.SHRINK}


async def unbind(place: Ground, guest: str, driver: str) -> str:
    """Take a driver off its device, and say which that is."""
    ran = await place.lab.guests[guest].run(
        ["sh", "-c", f"cd {driver}; device=$(echo virtio*); echo $device > unbind; echo $device"],
        timeout_s=COMMAND_S,
    )
    assert ran.code == 0, ran
    return ran.output.strip()


@pytest.mark.trust("doubt", "a guest's balloon driver is unloaded")
async def test_a_guest_without_its_balloon_driver_is_held_and_comes_back_with_it(
    userland_kit: Kit,
) -> None:
    async with ground(userland_kit, spec("web"), spec("bare", userland=True)) as place:
        device = await unbind(place, "bare", BALLOON)
        held = await place.held("bare", ReasonCode.STALE)
        await place.serves("web")
        await place.inside("bare", f"echo {device} > {BALLOON}/bind")
        await place.serves("bare")

    assert decided(held, "bare").promised_bytes >= 256 * MIB
    assert "bare" not in {move.guest for move in held.decision.moves if move.kind in GOES_ON}


@pytest.mark.trust("capacity", "an unloaded driver empties its guest's balloon")
async def test_what_a_guest_takes_back_as_its_balloon_driver_goes_is_granted_to_nobody(
    userland_kit: Kit,
) -> None:
    async with ground(
        userland_kit, spec("web"), spec("bare", userland=True), capacity_mib=512
    ) as place:
        await place.hold("web", 300)
        await place.until(
            lambda tick: decided(tick, "bare").balloon_bytes > 40 * MIB, "bare gave to web"
        )
        place.books.excused = "its driver empties the balloon"
        await unbind(place, "bare", BALLOON)
        taken = await place.until(
            lambda tick: decided(tick, "bare").balloon_bytes == 0, "bare took it back"
        )
        late = await place.passes(3)

    assert decided(taken, "bare").promised_bytes >= 256 * MIB
    assert decided(late, "bare").promised_bytes >= 256 * MIB


@pytest.mark.trust("ends", "a guest's virtio-mem driver is unloaded")
async def test_what_a_guest_without_its_plug_driver_does_not_take_serves_its_neighbour(
    userland_kit: Kit,
) -> None:
    async with ground(userland_kit, spec("web"), spec("bare", userland=True)) as place:
        device = await unbind(place, "bare", PLUG)
        await place.hold("bare", 190)
        await place.held("bare", ReasonCode.STUCK)
        resting = await place.held("bare", ReasonCode.RESTING)
        await place.serves("web")
        await place.inside("bare", f"echo {device} > {PLUG}/bind")
        await place.until(
            lambda tick: decided(tick, "bare").assigned_bytes > 256 * MIB,
            "bare served once its driver is back",
            timeout_s=60,
        )

    assert decided(resting, "bare").assigned_bytes == 256 * MIB
    assert decided(resting, "bare").promised_bytes == 256 * MIB


@pytest.mark.trust("doubt", "a guest suspends to RAM (S3)")
async def test_a_guest_that_suspends_is_held_and_served_when_it_wakes(userland_kit: Kit) -> None:
    async with ground(userland_kit, spec("web"), spec("laptop", userland=True)) as place:
        device = await unbind(place, "laptop", PLUG)  # Linux does not suspend with it
        sleeper = asyncio.ensure_future(
            place.lab.guests["laptop"].run(
                ["sh", "-c", "echo mem > /sys/power/state"], timeout_s=60
            )
        )
        held = await place.held("laptop", ReasonCode.PAUSED)
        await place.serves("web")
        await place.lab.guests["laptop"].qmp("system_wakeup")
        await place.until(lambda tick: state(tick, "laptop") is RunState.RUNNING, "laptop awake")
        await sleeper
        await place.inside("laptop", f"echo {device} > {PLUG}/bind")
        await place.serves("laptop")

    assert codes(held, "laptop") == {ReasonCode.PAUSED}
