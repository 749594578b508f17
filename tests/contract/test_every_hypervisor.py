"""What every hypervisor keeps to, whatever runs the guests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from barostat.core.observation import Devices, RunState
from barostat.errors import HypervisorError, RefusedError, UnknownGuestError
from barostat.hypervisors.base import BalloonWish, PlugWish, Wish
from barostat.hypervisors.movers import cancel_wishes
from barostat.units import GIB, MIB

if TYPE_CHECKING:
    from tests.contract.conftest import World

pytestmark = pytest.mark.asyncio(loop_scope="module")


def plug(requested_bytes: int) -> PlugWish:
    return PlugWish(device="vmem0", requested_bytes=requested_bytes)


def balloon(target_bytes: int) -> BalloonWish:
    return BalloonWish(target_bytes=target_bytes)


def sizes(devices: Devices) -> tuple[int, int]:
    return devices.balloon_actual_bytes, devices.plugged_bytes


async def test_guests_are_listed_with_what_their_memory_is_made_of(world: World) -> None:
    seen = await world.look()

    assert list(seen) == ["alpha", "beta"]
    for guest in seen.values():
        assert guest.run_state is RunState.RUNNING
        assert guest.devices.has_balloon
        assert guest.devices.deflate_on_oom
        assert guest.devices.boot_bytes == world.boot_bytes
        assert guest.devices.assigned_bytes == world.boot_bytes
        assert guest.devices.ceiling_bytes == world.maximum_bytes


async def test_a_plug_reaches_what_was_asked_and_wakes_who_waits(world: World) -> None:
    await world.hypervisor.devices("alpha")

    await world.ask("alpha", plug(300 * MIB))
    woken = await world.hypervisor.changed("alpha", timeout_s=5)
    plugged = await world.settled("alpha", lambda now: now.plugged_bytes == 300 * MIB)

    assert woken
    assert plugged.requested_bytes == 300 * MIB
    assert plugged.assigned_bytes == world.boot_bytes + 300 * MIB
    assert plugged.balloon_actual_bytes == world.boot_bytes


async def test_an_unplug_reaches_what_was_asked(world: World) -> None:
    await world.ask("alpha", plug(256 * MIB))
    await world.settled("alpha", lambda now: now.plugged_bytes == 256 * MIB)

    await world.ask("alpha", plug(64 * MIB))
    unplugged = await world.settled("alpha", lambda now: now.plugged_bytes == 64 * MIB)

    assert unplugged.assigned_bytes == world.boot_bytes + 64 * MIB


async def test_a_balloon_inflates_and_deflates_to_what_was_asked_and_wakes_who_waits(
    world: World,
) -> None:
    await world.hypervisor.devices("alpha")

    await world.ask("alpha", balloon(160 * MIB))
    woken = await world.hypervisor.changed("alpha", timeout_s=5)
    inflated = await world.settled("alpha", lambda now: now.balloon_actual_bytes == 160 * MIB)
    await world.ask("alpha", balloon(200 * MIB))
    deflated = await world.settled("alpha", lambda now: now.balloon_actual_bytes == 200 * MIB)

    assert woken
    assert inflated.balloon_bytes == world.boot_bytes - 160 * MIB
    assert inflated.balloon_target_bytes == 160 * MIB
    assert deflated.assigned_bytes == 200 * MIB


async def test_one_guest_moves_and_the_other_does_not(world: World) -> None:
    await world.ask("alpha", plug(64 * MIB))
    await world.settled("alpha", lambda now: now.plugged_bytes == 64 * MIB)

    seen = await world.look()

    assert seen["beta"].devices.assigned_bytes == world.boot_bytes


async def test_nobody_is_woken_while_nothing_changes(world: World) -> None:
    await world.hypervisor.devices("alpha")

    # What booting changed may still be coming in, and wakes as it should.
    woken = [await world.hypervisor.changed("alpha", timeout_s=0.2) for _ in range(6)]

    assert woken[-2:] == [False, False]


@pytest.mark.trust("unharmed", "a guest is asked for a size that its devices cannot have")
@pytest.mark.parametrize(
    "wish",
    [
        balloon(257 * MIB),
        balloon(0),
        balloon(-1),
        plug(1 * GIB),
        plug(-2 * MIB),
        plug(3 * MIB),
        PlugWish(device="vmem9", requested_bytes=0),
    ],
)
async def test_a_wish_that_the_devices_cannot_take_is_refused_and_changes_nothing(
    world: World, wish: Wish
) -> None:
    before = await world.hypervisor.devices("alpha")

    with pytest.raises(RefusedError) as refused:
        await world.ask("alpha", wish)

    assert refused.value.hint
    assert await world.hypervisor.devices("alpha") == before


async def test_an_unknown_name_is_an_error_that_suggests_the_nearest(world: World) -> None:
    with pytest.raises(UnknownGuestError, match="alphaa") as unknown:
        await world.hypervisor.devices("alphaa")
    with pytest.raises(UnknownGuestError):
        await world.ask("nobody", plug(0))
    with pytest.raises(UnknownGuestError):
        await world.hypervisor.changed("nobody", timeout_s=1)

    assert "alpha" in unknown.value.hint


async def test_statistics_are_fresh_at_each_look_a_second_apart_and_can_be_true(
    world: World,
) -> None:
    stamps = []
    for _ in range(4):
        now_s = world.now_s()
        seen = (await world.look())["alpha"]
        assert seen.statistics is not None
        assert now_s - seen.statistics_at_s < 1.2
        assert now_s - seen.seen_at_s < 0.1
        assert 100 * MIB < seen.statistics.total_bytes < world.boot_bytes
        assert 0 < seen.statistics.available_bytes <= seen.statistics.total_bytes
        stamps.append(seen.statistics_at_s)
        await world.pass_time(1 - (world.now_s() - now_s))

    assert stamps == sorted(stamps)
    assert stamps[-1] - stamps[0] > 1.5


async def test_stamps_do_not_move_when_nothing_happened(world: World) -> None:
    first = await world.look()
    await world.pass_time(0.3)
    second = await world.look()

    assert first["alpha"].disturbed_at_s == second["alpha"].disturbed_at_s


async def test_statistics_count_plugged_memory(world: World) -> None:
    before = (await world.look())["alpha"].statistics
    await world.ask("alpha", plug(256 * MIB))
    await world.settled("alpha", lambda now: now.plugged_bytes == 256 * MIB)

    assert before is not None
    await world.until(
        lambda seen: (
            (said := seen["alpha"].statistics) is not None
            and said.total_bytes == before.total_bytes + 256 * MIB
        )
    )


async def test_one_guest_is_looked_at_by_itself_and_says_what_its_memory_is_like_by_then(
    world: World,
) -> None:
    seen = before = (await world.look())["alpha"]
    stamps = [before.statistics_at_s]
    for _ in range(5):
        await world.pass_time(0.1)
        now_s = world.now_s()
        seen = await world.hypervisor.look("alpha", now_s=now_s)
        assert abs(seen.seen_at_s - now_s) < 0.25
        # Of an idle guest that says the same within the same second nobody knows that it spoke.
        assert abs(seen.statistics_at_s - now_s) < 1.2
        stamps.append(seen.statistics_at_s)

    assert seen.statistics is not None
    assert seen.run_state is RunState.RUNNING
    assert seen.disturbed_at_s == before.disturbed_at_s
    assert sizes(seen.devices) == sizes(before.devices)
    assert stamps == sorted(stamps)


async def test_a_look_at_one_guest_shows_sizes_and_statistics_of_the_same_moment(
    world: World,
) -> None:
    await world.look()
    before = await world.hypervisor.look("alpha", now_s=world.now_s())

    await world.ask("alpha", plug(128 * MIB))
    await world.settled("alpha", lambda now: now.plugged_bytes == 128 * MIB)
    give_up_s = world.now_s() + 5
    while True:
        seen = await world.hypervisor.look("alpha", now_s=world.now_s())
        assert before.statistics is not None
        assert seen.statistics is not None
        if seen.statistics.total_bytes == before.statistics.total_bytes + 128 * MIB:
            break
        assert world.now_s() < give_up_s  # it is brought online in its own time
        await world.pass_time(0.1)

    assert seen.devices.plugged_bytes == 128 * MIB


async def test_a_look_at_one_guest_does_not_make_the_next_look_at_all_any_older(
    world: World,
) -> None:
    await world.look()
    alone = await world.hypervisor.look("alpha", now_s=world.now_s())
    await world.pass_time(1)

    seen = await world.look()

    for guest in seen.values():
        assert world.now_s() - guest.statistics_at_s < 1.2
    assert seen["alpha"].statistics_at_s >= alone.statistics_at_s
    assert seen["alpha"].disturbed_at_s == alone.disturbed_at_s


async def test_looks_at_several_guests_and_at_all_may_overlap(world: World) -> None:
    await world.look()

    now_s = world.now_s()
    alone = asyncio.gather(
        *(world.hypervisor.look(name, now_s=now_s) for name in ("alpha", "beta", "alpha"))
    )
    together = await world.look()

    for guest in (*await alone, *together.values()):
        assert guest.run_state is RunState.RUNNING
        assert guest.statistics is not None


async def test_a_look_at_a_guest_that_stands_still_says_so(world: World) -> None:
    before = (await world.look())["alpha"]

    await world.pause("alpha")
    await world.pass_time(0.3)
    paused = await world.hypervisor.look("alpha", now_s=world.now_s())
    await world.resume("alpha")
    await world.until(lambda seen: seen["alpha"].run_state is RunState.RUNNING)

    assert paused.run_state is RunState.PAUSED
    assert paused.devices == before.devices


@pytest.mark.trust("neighbours", "a guest does not answer")
async def test_a_look_at_a_guest_that_hangs_is_an_error_in_time_and_delays_no_neighbour(
    world: World,
) -> None:
    await world.look()

    world.hang("alpha")
    try:
        began_s = world.now_s()
        failing = asyncio.create_task(world.hypervisor.look("alpha", now_s=began_s))
        await asyncio.sleep(0)
        beta = await world.hypervisor.look("beta", now_s=began_s)
        beta_took_s = world.now_s() - began_s
        with pytest.raises(HypervisorError) as failed:
            await failing
        took_s = world.now_s() - began_s
    finally:
        world.answer("alpha")
    await world.until(lambda seen: seen["alpha"].run_state is RunState.RUNNING)

    assert beta.statistics is not None
    assert beta_took_s < 0.5
    assert took_s < 6
    assert failed.value.hint


async def test_a_look_at_nobody_is_an_error_that_suggests_the_nearest(world: World) -> None:
    await world.look()

    with pytest.raises(UnknownGuestError) as unknown:
        await world.hypervisor.look("alphaa", now_s=world.now_s())

    assert "alpha" in unknown.value.hint


async def test_agents_are_found_in_guests_that_are_there_and_nowhere_else(world: World) -> None:
    await world.look()

    assert set(world.hypervisor.agents) <= set(world.names)
    for name, socket in world.hypervisor.agents.items():
        assert socket.is_absolute()
        assert name in str(socket)


@pytest.mark.trust("doubt", "a guest is paused")
async def test_a_paused_guest_is_seen_as_such_and_its_statistics_grow_old(world: World) -> None:
    before = (await world.look())["alpha"]

    await world.pause("alpha")
    await world.pass_time(1.5)
    now_s = world.now_s()
    paused = (await world.look())["alpha"]
    await world.resume("alpha")
    resumed = (await world.until(lambda seen: seen["alpha"].run_state is RunState.RUNNING))["alpha"]

    assert paused.run_state is RunState.PAUSED
    assert paused.devices == before.devices
    assert now_s - paused.statistics_at_s > 1.2
    assert now_s - paused.seen_at_s < 0.1
    assert resumed.disturbed_at_s > before.disturbed_at_s


@pytest.mark.trust("capacity", "a guest with a balloon is reset")
async def test_a_reset_guest_holds_all_its_base_ram_until_its_driver_speaks(world: World) -> None:
    await world.ask("alpha", balloon(192 * MIB))
    await world.settled("alpha", lambda now: now.balloon_actual_bytes == 192 * MIB)
    before = (await world.look())["alpha"]

    await world.reset("alpha")
    await world.pass_time(0.2)
    booting = (await world.look())["alpha"]
    running = (await world.until(lambda seen: seen["alpha"].run_state is RunState.RUNNING))["alpha"]
    again = await world.settled("alpha", lambda now: now.balloon_actual_bytes == 192 * MIB)

    assert booting.run_state is RunState.BOOTING
    assert booting.statistics is None
    assert sizes(booting.devices) == (world.boot_bytes, 0)
    assert booting.disturbed_at_s > before.disturbed_at_s
    assert running.statistics is not None
    assert again.balloon_target_bytes == 192 * MIB  # what was asked outlives the reset


@pytest.mark.trust("capacity", "a guest with plugged memory is reset")
async def test_a_reset_guest_has_nothing_plugged_until_its_driver_plugs_again(
    world: World,
) -> None:
    await world.ask("alpha", plug(128 * MIB))
    await world.settled("alpha", lambda now: now.plugged_bytes == 128 * MIB)

    await world.reset("alpha")
    await world.pass_time(0.2)
    booting = (await world.look())["alpha"]
    again = await world.settled("alpha", lambda now: now.plugged_bytes == 128 * MIB)
    await world.until(lambda seen: seen["alpha"].run_state is RunState.RUNNING)

    assert booting.devices.assigned_bytes == world.boot_bytes
    assert booting.devices.wished_bytes == world.boot_bytes + 128 * MIB
    assert again.requested_bytes == 128 * MIB


@pytest.mark.trust("neighbours", "a guest does not answer")
async def test_a_guest_that_hangs_is_unreachable_and_does_not_delay_its_neighbour(
    world: World,
) -> None:
    before = (await world.look())["alpha"]

    world.hang("alpha")
    try:
        began_s = world.now_s()
        hung = await world.look()
        took_s = world.now_s() - began_s
        began_s = world.now_s()
        still_hung = await world.look()
        took_again_s = world.now_s() - began_s
        with pytest.raises(HypervisorError) as failed:
            await world.ask("alpha", plug(2 * MIB))
    finally:
        world.answer("alpha")
    back = await world.until(lambda seen: seen["alpha"].run_state is RunState.RUNNING)

    for seen in (hung, still_hung):
        assert seen["alpha"].run_state is RunState.UNREACHABLE
        assert seen["alpha"].devices == before.devices
        assert seen["alpha"].seen_at_s == before.seen_at_s
        assert seen["beta"].run_state is RunState.RUNNING
        assert seen["beta"].seen_at_s > before.seen_at_s
    assert took_s < 1.2
    assert took_again_s < 0.5  # known to hang: not waited for again
    assert failed.value.hint
    assert back["alpha"].statistics is not None


@pytest.mark.trust("neighbours", "QEMU is killed (SIGKILL)")
async def test_a_guest_that_comes_is_seen_and_one_that_dies_disappears(world: World) -> None:
    await world.power_on("gamma")
    came = await world.until(lambda seen: "gamma" in seen)
    await world.hypervisor.devices("gamma")
    waiting = asyncio.create_task(world.hypervisor.changed("gamma", timeout_s=5))
    await asyncio.sleep(0)

    await world.kill("gamma")
    woken = await waiting
    gone = await world.look()

    assert list(came) == ["alpha", "beta", "gamma"]
    assert woken
    assert list(gone) == ["alpha", "beta"]
    with pytest.raises(UnknownGuestError):
        await world.hypervisor.devices("gamma")


@pytest.mark.trust("ends", "an unplug is cancelled halfway")
async def test_cancelling_stops_an_unplug_where_it_is(world: World) -> None:
    await world.ask("alpha", plug(512 * MIB))
    await world.settled("alpha", lambda now: now.plugged_bytes == 512 * MIB)

    await world.ask("alpha", plug(0))
    await world.pass_time(0.1)
    unplugging = await world.hypervisor.devices("alpha")
    await world.ask("alpha", *cancel_wishes(unplugging))
    stopped = await world.settled("alpha", lambda now: now.plugged_bytes == now.requested_bytes)
    await world.pass_time(1)
    later = await world.hypervisor.devices("alpha")

    assert 0 < stopped.plugged_bytes <= unplugging.plugged_bytes  # libvirt may not know yet
    assert sizes(later) == sizes(stopped)


async def test_a_wish_that_came_true_may_be_said_again(world: World) -> None:
    await world.ask("alpha", balloon(200 * MIB))
    await world.settled("alpha", lambda now: now.balloon_actual_bytes == 200 * MIB)

    await world.ask("alpha", balloon(200 * MIB), plug(0))
    await world.pass_time(0.5)

    assert sizes(await world.hypervisor.devices("alpha")) == (200 * MIB, 0)


@pytest.mark.trust("restart", "Barostat closes its connections")
async def test_closing_leaves_guests_what_they_have(world: World) -> None:
    await world.ask("alpha", balloon(180 * MIB))
    await world.ask("beta", plug(64 * MIB))
    await world.settled("alpha", lambda now: now.balloon_actual_bytes == 180 * MIB)
    await world.settled("beta", lambda now: now.plugged_bytes == 64 * MIB)

    await world.reopen()
    seen = await world.look()

    assert sizes(seen["alpha"].devices) == (180 * MIB, 0)
    assert sizes(seen["beta"].devices) == (world.boot_bytes, 64 * MIB)


async def test_a_guest_follows_the_movers_up_and_down_and_never_uses_both_ways_at_once(
    world: World,
) -> None:
    way = await world.follow("alpha", 150 * MIB)
    way += await world.follow("alpha", 600 * MIB)
    top = way[-1]
    way += await world.follow("alpha", 200 * MIB)

    assert sizes(top) == (world.boot_bytes, 600 * MIB - world.boot_bytes)
    assert sizes(way[-1]) == (200 * MIB, 0)
    assert not [now for now in way if now.balloon_bytes and now.plugged_bytes]
