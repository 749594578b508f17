"""Simulated guests behave as real ones were measured to, each after its character."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from barostat.core.observation import GuestObservation, RunState
from barostat.core.statistics import Statistics
from barostat.errors import InputError
from barostat.hypervisors.base import BalloonWish, PlugWish
from barostat.hypervisors.simulated import (
    Character,
    SimulatedGuest,
    SimulatedHypervisor,
    SimulatedSpec,
)
from barostat.units import GIB, MIB


class Host:
    """A hypervisor with one guest and a clock that a test moves."""

    def __init__(
        self,
        character: Character = Character.IDEAL,
        *,
        swap_mib: int = 512,
        deflate_on_oom: bool = True,
    ) -> None:
        self.now_s = 0.0
        self.hypervisor = SimulatedHypervisor(lambda: self.now_s, seed=1)
        self.guest: SimulatedGuest = self.hypervisor.add(
            SimulatedSpec(
                name="web",
                boot_bytes=512 * MIB,
                maximum_bytes=2 * GIB,
                swap_bytes=swap_mib * MIB,
                deflate_on_oom=deflate_on_oom,
                character=character,
            )
        )

    async def look(self, *, after_s: float = 1.0) -> GuestObservation:
        self.now_s += after_s
        [seen] = await self.hypervisor.observe(now_s=self.now_s)
        return seen

    async def statistics(self, *, after_s: float = 1.0) -> Statistics:
        seen = await self.look(after_s=after_s)
        assert seen.statistics is not None
        return seen.statistics

    async def balloon(self, target_mib: int) -> None:
        await self.hypervisor.request("web", BalloonWish(target_bytes=target_mib * MIB))

    async def plug(self, requested_mib: int) -> None:
        await self.hypervisor.request(
            "web", PlugWish(device="vmem0", requested_bytes=requested_mib * MIB)
        )


HostOf = Callable[..., Awaitable[Host]]


@pytest.fixture
def booted() -> HostOf:
    async def boot(
        character: Character = Character.IDEAL, *, swap_mib: int = 512, deflate_on_oom: bool = True
    ) -> Host:
        host = Host(character, swap_mib=swap_mib, deflate_on_oom=deflate_on_oom)
        await host.look(after_s=5)
        return host

    return boot


async def test_a_guest_says_nothing_before_its_driver_is_loaded() -> None:
    host = Host()

    booting, running = await host.look(after_s=1), await host.look(after_s=1.1)

    assert (booting.run_state, booting.statistics) == (RunState.BOOTING, None)
    assert running.run_state is RunState.RUNNING
    assert running.statistics is not None


async def test_available_falls_by_what_the_workload_holds_and_comes_back(booted: HostOf) -> None:
    host = await booted()
    idle = await host.statistics()

    host.guest.use(200 * MIB)
    busy = await host.statistics(after_s=5)
    host.guest.use(0)
    freed = await host.statistics()

    assert idle.available_bytes - busy.available_bytes == 200 * MIB
    assert freed.available_bytes == idle.available_bytes


async def test_page_cache_stays_available(booted: HostOf) -> None:
    host = await booted()
    idle = await host.statistics()

    host.guest.read(150 * MIB)
    cached = await host.statistics(after_s=5)

    assert cached.disk_caches_bytes == 150 * MIB
    assert cached.available_bytes == idle.available_bytes


async def test_a_squeezed_guest_swaps_its_cold_memory_and_keeps_its_hot(booted: HostOf) -> None:
    host = await booted()
    host.guest.use(350 * MIB, hot_ratio=0.2)
    await host.look(after_s=5)

    await host.balloon(256)
    squeezed = await host.statistics(after_s=10)
    later = await host.statistics(after_s=10)

    assert host.guest.memory.actual_bytes == 256 * MIB
    assert squeezed.swap_out_bytes > 100 * MIB
    assert later.swap_in_bytes == 0
    assert later.oom_kills == 0


async def test_a_squeezed_guest_with_all_of_it_hot_thrashes(booted: HostOf) -> None:
    host = await booted()
    host.guest.use(350 * MIB, hot_ratio=1.0)
    await host.look(after_s=5)

    await host.balloon(256)
    first = await host.statistics(after_s=10)
    then = await host.statistics(after_s=1)

    assert then.swap_in_bytes > first.swap_in_bytes
    assert then.major_faults > first.major_faults
    assert host.guest.memory.stalled_s > 0


async def test_what_was_swapped_out_comes_back_when_there_is_room(booted: HostOf) -> None:
    host = await booted()
    host.guest.use(350 * MIB)
    await host.look(after_s=5)
    await host.balloon(256)
    await host.look(after_s=10)

    await host.balloon(512)
    await host.look(after_s=20)

    assert host.guest.memory.swapped_bytes == 0


async def test_devices_take_no_more_than_a_guest_without_swap_can_give(booted: HostOf) -> None:
    host = await booted(swap_mib=0)
    host.guest.use(300 * MIB)
    await host.look(after_s=5)

    await host.balloon(200)
    squeezed = await host.look(after_s=20)

    assert squeezed.devices.balloon_actual_bytes > 300 * MIB
    assert squeezed.statistics is not None
    assert squeezed.statistics.oom_kills == 0
    assert squeezed.statistics.available_bytes == 0


async def test_a_balloon_that_deflates_on_oom_gives_way_and_waits_for_its_next_order(
    booted: HostOf,
) -> None:
    host = await booted(swap_mib=0)
    await host.balloon(200)
    await host.look(after_s=10)

    host.guest.use(300 * MIB)
    grown = await host.look(after_s=10)
    host.guest.use(0)
    freed = await host.look(after_s=10)
    await host.balloon(200)
    nudged = await host.look(after_s=10)

    assert grown.devices.balloon_actual_bytes > 200 * MIB
    assert grown.statistics is not None
    assert grown.statistics.oom_kills == 0
    assert freed.devices.balloon_actual_bytes == grown.devices.balloon_actual_bytes
    assert nudged.devices.balloon_actual_bytes == 200 * MIB


async def test_a_workload_that_gets_no_memory_at_all_is_killed_and_starts_empty(
    booted: HostOf,
) -> None:
    host = await booted(swap_mib=0, deflate_on_oom=False)
    await host.balloon(200)
    await host.look(after_s=10)

    host.guest.use(300 * MIB)
    killed = await host.statistics(after_s=10)

    assert killed.oom_kills == 1
    assert host.guest.memory.held_bytes == 0


@pytest.mark.parametrize(("deflate_on_oom", "lost_mib"), [(True, 0), (False, 256)])
async def test_ballooned_pages_stay_in_the_total_of_a_guest_that_deflates_on_oom(
    booted: HostOf, deflate_on_oom: bool, lost_mib: int
) -> None:
    host = await booted(deflate_on_oom=deflate_on_oom)
    before = await host.statistics()

    await host.balloon(256)
    after = await host.statistics(after_s=10)

    assert before.total_bytes - after.total_bytes == lost_mib * MIB
    assert before.available_bytes - after.available_bytes == 256 * MIB


async def test_plugged_memory_is_in_the_total_and_mostly_available(booted: HostOf) -> None:
    host = await booted()
    before = await host.statistics()

    await host.plug(512)
    after = await host.statistics()

    assert after.total_bytes - before.total_bytes == 512 * MIB
    assert 500 * MIB < after.available_bytes - before.available_bytes < 512 * MIB


async def test_a_slow_guest_gives_a_twentieth_of_what_an_ideal_one_gives(booted: HostOf) -> None:
    ideal, slow = await booted(), await booted(Character.SLOW)

    for host in (ideal, slow):
        await host.balloon(100)
        await host.look(after_s=1)

    given = ideal.guest.memory.balloon_bytes
    assert slow.guest.memory.balloon_bytes == pytest.approx(given / 20, rel=0.01)


async def test_a_stuck_guest_takes_but_never_gives(booted: HostOf) -> None:
    host = await booted(Character.STUCK)

    await host.plug(100)
    await host.look()
    await host.plug(0)
    asked = await host.look(after_s=60)

    assert asked.devices.plugged_bytes == 100 * MIB


async def test_a_moody_guest_gives_by_turns(booted: HostOf) -> None:
    host = await booted(Character.MOODY)
    await host.balloon(128)

    gave = []
    for _ in range(40):
        before = host.guest.memory.actual_bytes
        await host.look(after_s=5)
        gave.append(host.guest.memory.actual_bytes < before)
        await host.balloon(512)
        await host.look(after_s=0.001)
        await host.balloon(128)

    assert 5 < sum(gave) < 35


async def test_a_deaf_guest_says_nothing_and_moves_all_the_same(booted: HostOf) -> None:
    host = await booted(Character.DEAF)

    await host.balloon(256)
    seen = await host.look(after_s=10)

    assert seen.statistics is None
    assert seen.devices.balloon_actual_bytes == 256 * MIB


async def test_a_liar_claims_all_it_can_have_and_its_absurd_words_are_dropped(
    booted: HostOf,
) -> None:
    host = await booted(Character.LYING)

    said = [(await host.look()).statistics for _ in range(6)]

    claims = [words for words in said if words is not None]
    assert len(claims) == 4
    assert {words.available_bytes for words in claims} == {0}
    assert max(words.total_bytes for words in claims) == 512 * MIB


async def test_a_greedy_guest_gives_and_takes_back_by_itself(booted: HostOf) -> None:
    host = await booted(Character.GREEDY)

    await host.balloon(256)
    given = await host.look(after_s=1.5)
    later = await host.look(after_s=10)

    assert given.devices.balloon_actual_bytes < 300 * MIB
    assert later.devices.balloon_actual_bytes == 512 * MIB
    assert later.devices.balloon_target_bytes == 256 * MIB


async def test_the_same_orders_at_the_same_times_lead_to_the_same_sizes(booted: HostOf) -> None:
    first, second = await booted(Character.MOODY), await booted(Character.MOODY)

    for host in (first, second):
        host.guest.use(300 * MIB)
        await host.balloon(300)
        for _ in range(10):
            await host.look()

    assert first.guest.seen == second.guest.seen


async def test_a_guest_that_is_paused_while_it_boots_boots_later() -> None:
    host = Host()
    await host.look(after_s=1)
    host.guest.pause()
    await host.look(after_s=60)
    host.guest.resume()

    assert (await host.look(after_s=0.5)).run_state is RunState.BOOTING
    assert (await host.look(after_s=1)).run_state is RunState.RUNNING


async def test_two_guests_of_one_name_are_refused() -> None:
    host = Host()

    with pytest.raises(InputError, match="web"):
        host.hypervisor.add(SimulatedSpec(name="web", boot_bytes=MIB, maximum_bytes=MIB))


async def test_a_guest_that_died_may_be_powered_on_again() -> None:
    host = Host()
    host.guest.die()

    host.hypervisor.add(SimulatedSpec(name="web", boot_bytes=256 * MIB, maximum_bytes=256 * MIB))

    assert (await host.look()).devices.boot_bytes == 256 * MIB
