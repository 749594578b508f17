"""Between two ticks: who cannot wait is looked at, and decided on at once, from what is in hand."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import pytest
import pytest_asyncio

from barostat.core.moves import MoveKind
from barostat.core.observation import GuestObservation, Reservation
from barostat.engine.lane import Pace
from barostat.engine.loop import Balancer, Tick
from barostat.engine.observe import FixedCapacity, FixedSettings
from barostat.engine.starting import Outcome
from barostat.errors import UnreachableError
from barostat.history.film import Camera
from barostat.history.projector import project
from barostat.hypervisors.simulated import SimulatedGuest, SimulatedHypervisor
from barostat.units import MIB

from .conftest import BOOT_BYTES, MAXIMUM_BYTES, Host

pytestmark = pytest.mark.looptime

JUMP_S = 12.05
"""Right after a tick: the next is nearly a second away."""

NAMES = tuple(f"vm{number}" for number in range(8))


class Watched(SimulatedHypervisor):
    """Counts looks at one guest, and may have some of them hang or fail."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self.clock = clock
        self.looks: list[tuple[float, str]] = []
        self.hanging: set[str] = set()
        self.failing: set[str] = set()
        self.observing_s = 0.0
        self.blind = False

    async def look(self, guest: str, *, now_s: float) -> GuestObservation:
        self.looks.append((self.clock(), guest))
        if guest in self.hanging:
            await asyncio.Event().wait()
        if guest in self.failing:
            raise UnreachableError(f'VM "{guest}" does not answer')
        return await super().look(guest, now_s=now_s)

    async def observe(self, *, now_s: float) -> Sequence[GuestObservation]:
        if self.blind:
            raise UnreachableError("nobody answers")
        seen = await super().observe(now_s=now_s)
        await asyncio.sleep(self.observing_s)
        return seen


@pytest_asyncio.fixture
async def watched(host: Host) -> Watched:
    """Put a hypervisor under the host that counts looks."""
    host.hypervisor = found = Watched(asyncio.get_running_loop().time)
    return found


async def filled(host: Host, *names: str, weigh: bool = False) -> list[SimulatedGuest]:
    """Add guests that use so much that they are looked at ten times a second, and grow no more.

    Args:
        host: where.
        names: theirs.
        weigh: each is heavier than the one before.
    """
    guests = []
    for number, name in enumerate(names):
        guests.append(host.add(name, weight=1000 * (number + 1) if weigh else 5000))
        guests[-1].use(330 * MIB)
    await asyncio.sleep(3)
    return guests


def use(guests: Sequence[SimulatedGuest], size_bytes: int) -> None:
    for guest in guests:
        guest.use(size_bytes)


def out_of_turn(host: Host) -> list[Tick]:
    return [tick for tick in host.ticks if tick.snapshot.hurried]


def granted_at(host: Host, name: str, since_s: float) -> float:
    """Say when a guest was first granted more after a moment."""
    return next(
        tick.snapshot.now_s
        for tick in host.ticks
        for move in tick.decision.moves
        if move.guest == name and move.kind is MoveKind.GROW and tick.snapshot.now_s >= since_s
    )


def check_ledger(host: Host) -> None:
    """Hold every pass to this: nothing is promised twice, and each starts where the last ended."""
    for tick in host.ticks:
        assert tick.decision.promised_bytes <= tick.decision.capacity_bytes
    for before, after in itertools.pairwise(host.ticks):
        assert after.state is before.decision.state


async def test_a_guest_that_jumps_between_two_ticks_is_granted_memory_at_once(host: Host) -> None:
    [web] = await filled(host, "web")
    jumped_s = asyncio.get_running_loop().time() + JUMP_S

    await host.run(host.balancer(4096 * MIB), 13, {JUMP_S: lambda: web.use(900 * MIB)})

    assert granted_at(host, "web", jumped_s) - jumped_s < 0.2
    check_ledger(host)


async def test_without_the_fast_lane_it_waits_for_the_tick(host: Host) -> None:
    [web] = await filled(host, "web")
    jumped_s = asyncio.get_running_loop().time() + JUMP_S
    balancer = host.balancer(4096 * MIB, pace=Pace(on=False))

    await host.run(balancer, 14, {JUMP_S: lambda: web.use(900 * MIB)})

    assert granted_at(host, "web", jumped_s) - jumped_s > 0.9
    assert out_of_turn(host) == []


async def test_eight_guests_that_jump_at_once_are_all_served_from_the_pool(host: Host) -> None:
    guests = await filled(host, *NAMES)
    jumped_s = asyncio.get_running_loop().time() + JUMP_S

    await host.run(
        host.balancer(16 * 1024 * MIB),
        14,
        {JUMP_S: lambda: use(guests, 700 * MIB)},
    )

    for guest in guests:
        assert granted_at(host, guest.spec.name, jumped_s) - jumped_s < 1
        assert guest.memory.swap_out_bytes == 0
    check_ledger(host)


async def test_when_the_pool_is_too_small_the_heavier_of_those_that_jump_are_served_first(
    host: Host,
) -> None:
    guests = await filled(host, *NAMES, weigh=True)
    jumped_s = asyncio.get_running_loop().time() + JUMP_S
    await host.run(
        host.balancer(len(NAMES) * BOOT_BYTES + 400 * MIB),
        12.95,
        {JUMP_S: lambda: use(guests, 800 * MIB)},
    )

    sizes = [host.size_of(name) for name in NAMES]
    assert out_of_turn(host)
    assert host.ticks[-1].snapshot.now_s - jumped_s < 0.9
    assert sizes == sorted(sizes)
    assert sizes[-1] - sizes[0] > 100 * MIB
    check_ledger(host)


async def test_while_nothing_is_in_hand_nothing_is_decided_in_vain_out_of_turn(host: Host) -> None:
    guests = await filled(host, *NAMES)

    await host.run(
        host.balancer(len(NAMES) * BOOT_BYTES),
        30,
        {JUMP_S: lambda: use(guests, 800 * MIB)},
    )

    for _, between in itertools.groupby(out_of_turn(host), lambda tick: int(tick.snapshot.now_s)):
        names = [name for tick in between for name in tick.snapshot.hurried]
        assert max(Counter(names).values()) <= 1
    check_ledger(host)


async def test_passes_out_of_turn_keep_their_distance(host: Host) -> None:
    guests = await filled(host, *NAMES)
    at = {12 + number / 50: partial(guest.use, 1500 * MIB) for number, guest in enumerate(guests)}

    await host.run(host.balancer(16 * 1024 * MIB), 16, at)

    times = [tick.snapshot.now_s for tick in out_of_turn(host)]
    assert len(times) > 4
    for earlier, later in itertools.pairwise(times):
        assert later - earlier > 0.0999


async def test_a_guest_that_hangs_in_its_look_hurts_nobody(host: Host, watched: Watched) -> None:
    web, _ = await filled(host, "web", "silent")
    watched.hanging = {"silent"}
    jumped_s = asyncio.get_running_loop().time() + JUMP_S

    await host.run(host.balancer(4096 * MIB), 13, {JUMP_S: lambda: web.use(900 * MIB)})

    assert granted_at(host, "web", jumped_s) - jumped_s < 0.2


async def test_a_guest_whose_look_fails_is_left_to_the_tick(host: Host, watched: Watched) -> None:
    await filled(host, "web")
    watched.failing = {"web"}
    began_s = watched.clock()

    await host.run(host.balancer(4096 * MIB), 10.5)

    seconds = Counter(int(at_s - began_s) for at_s, _ in watched.looks)
    assert len(seconds) > 5
    assert max(seconds.values()) == 1


async def test_looks_keep_to_the_budget_of_the_host(host: Host, watched: Watched) -> None:
    await filled(host, *(f"vm{number:02}" for number in range(40)))
    pace = Pace(looks_per_s=50.0)

    await host.run(host.balancer(40 * MAXIMUM_BYTES, pace=pace), 12.5)

    looked = Counter(name for _, name in watched.looks)
    assert len(watched.looks) <= 12.5 * pace.looks_per_s + 5
    assert len(looked) == 40
    assert max(looked.values()) - min(looked.values()) <= 4
    times = [at_s for at_s, _ in watched.looks]
    for first, last in zip(times, times[60:], strict=False):
        assert last - first >= 1


async def test_a_guest_that_is_calm_is_left_to_the_tick(host: Host, watched: Watched) -> None:
    host.add("calm")
    pace = Pace(touch_bytes_per_s=100.0 * MIB)

    await host.run(host.balancer(4096 * MIB, pace=pace), 10)

    assert watched.looks == []


async def test_a_guest_that_could_not_be_given_more_is_left_to_the_tick(
    host: Host, watched: Watched
) -> None:
    await filled(host, "full", "off", "held")
    host.settings["full"] = replace(host.settings["full"], maximum_bytes=BOOT_BYTES)
    host.settings["off"] = replace(host.settings["off"], enabled=False)
    host.settings["held"] = replace(host.settings["held"], paused=True)

    await host.run(host.balancer(4096 * MIB), 10)

    assert watched.looks == []


async def test_while_the_host_is_paused_nothing_is_looked_at_or_decided_out_of_turn(
    host: Host, watched: Watched
) -> None:
    [web] = await filled(host, "web")
    balancer = host.balancer(4096 * MIB)
    balancer.paused = True

    await host.run(balancer, 14, {JUMP_S: lambda: web.use(900 * MIB)})

    assert watched.looks == []
    assert out_of_turn(host) == []


async def test_a_pause_counts_from_the_moment_it_is_asked_for(host: Host) -> None:
    [web] = await filled(host, "web")
    balancer = host.balancer(4096 * MIB)

    def pause_and_jump() -> None:
        balancer.paused = True
        web.use(900 * MIB)

    await host.run(balancer, 14, {JUMP_S: pause_and_jump})

    assert [
        tick
        for tick in out_of_turn(host)
        if tick.snapshot.now_s > host.ticks[-1].snapshot.now_s - 2
    ] == []
    assert host.size_of("web") < 700 * MIB


async def test_without_moving_nothing_is_looked_at_or_decided_out_of_turn(
    host: Host, watched: Watched
) -> None:
    [web] = await filled(host, "web")

    await host.run(
        host.balancer(4096 * MIB, moving=False), 14, {JUMP_S: lambda: web.use(900 * MIB)}
    )

    assert watched.looks == []
    assert out_of_turn(host) == []


async def test_a_tick_that_is_slow_to_look_holds_up_nobody_and_knows_the_latest(
    host: Host, watched: Watched
) -> None:
    [web] = await filled(host, "web")
    jumped_s = asyncio.get_running_loop().time() + 12.3
    watched.observing_s = 0.9

    await host.run(host.balancer(4096 * MIB), 15, {12.3: lambda: web.use(900 * MIB)})

    assert granted_at(host, "web", jumped_s) - jumped_s < 0.2
    for before, after in itertools.pairwise(host.ticks):
        was, now = before.snapshot.guests[0], after.snapshot.guests[0]
        assert now.statistics_at_s >= was.statistics_at_s
    check_ledger(host)


async def test_a_guest_that_jumps_while_it_gives_is_let_off_at_once_though_nothing_is_in_hand(
    host: Host,
) -> None:
    [web] = await filled(host, "web")
    web.use(100 * MIB)
    web.memory.rates = replace(web.memory.rates, inflate=5 * MIB)
    began_s = asyncio.get_running_loop().time()

    await host.run(host.balancer(BOOT_BYTES), 10, {7.25: lambda: web.use(470 * MIB)})

    shrunk, let_off = (tick for tick in host.ticks if tick.decision.moves)
    assert shrunk.decision.in_hand_bytes == 0
    assert let_off.snapshot.hurried == {"web"}
    assert let_off.decision.moves[0].kind is not MoveKind.SHRINK
    assert 7.25 < let_off.snapshot.now_s - began_s < 8
    assert web.devices().balloon_bytes < 10 * MIB


async def test_what_was_decided_out_of_turn_is_decided_again_from_the_film(host: Host) -> None:
    guests = await filled(host, *NAMES)
    at = {12 + number / 7: partial(guest.use, 1200 * MIB) for number, guest in enumerate(guests)}
    await host.run(host.balancer(7 * 1024 * MIB), 20, at)
    camera, reels = Camera(), list[bytes]()

    for tick in host.ticks:
        picture = camera.take(tick)
        reels = [*reels, picture.data] if picture.first else [*reels[:-1], reels[-1] + picture.data]
    scenes = [scene for reel in reels for scene in project(reel)]

    assert len(out_of_turn(host)) > 3
    assert len(reels) < 4
    assert [scene.snapshot for scene in scenes] == [tick.snapshot for tick in host.ticks]
    assert [scene.decision for scene in scenes] == [tick.decision for tick in host.ticks]


async def test_a_vm_that_asks_to_start_may_do_so_out_of_turn(host: Host) -> None:
    [web] = await filled(host, "web")
    balancer = host.balancer(4096 * MIB)
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(balancer.run(stop))
        await asyncio.sleep(JUMP_S)
        web.use(900 * MIB)
        asked_s = loop.time()

        asked = Reservation(guest="new", size_bytes=1024 * MIB)
        answer = await balancer.starting.admit(asked, timeout_s=5)
        took_s = loop.time() - asked_s
        web.use(1800 * MIB)
        await asyncio.sleep(0.5)
        stop.set()

    assert answer.outcome is Outcome.ADMITTED
    assert took_s < 0.2
    assert host.ticks[-1].decision.state.set_aside_bytes == {"new": 1024 * MIB}
    check_ledger(host)


async def test_a_pass_out_of_turn_that_fails_costs_itself_alone(host: Host) -> None:
    [web] = await filled(host, "web")
    faults: list[Exception] = []
    loop = asyncio.get_running_loop()

    def told(tick: Tick) -> None:
        if tick.snapshot.hurried and not faults:
            raise ValueError("this listener has a fault")
        host.ticks.append(tick)

    balancer = Balancer(
        host.hypervisor,
        FixedSettings(host.settings),
        FixedCapacity(4096 * MIB),
        on_tick=told,
        on_fault=faults.append,
        clock=loop.time,
    )

    await host.run(balancer, 16, {JUMP_S: lambda: web.use(900 * MIB)})

    assert [str(fault) for fault in faults] == ["this listener has a fault"]
    assert host.size_of("web") > 900 * MIB


async def test_a_pace_that_is_changed_holds_from_the_next_look_on(
    host: Host, watched: Watched
) -> None:
    await filled(host, "web")
    balancer = host.balancer(4096 * MIB)

    def leave_all_to_the_ticks() -> None:
        balancer.lane.pace = Pace(on=False)

    await host.run(balancer, 20, {10: leave_all_to_the_ticks})

    assert watched.looks
    assert max(at_s for at_s, _ in watched.looks) < host.ticks[0].snapshot.now_s + 11.1


async def test_while_ticks_fail_nobody_is_granted_anything_out_of_turn_for_long(
    host: Host, watched: Watched
) -> None:
    [web] = await filled(host, "web")
    faults: list[Exception] = []
    balancer = Balancer(
        watched,
        FixedSettings(host.settings),
        FixedCapacity(4096 * MIB),
        on_tick=host.ticks.append,
        on_fault=faults.append,
        clock=watched.clock,
    )

    def fail() -> None:
        watched.blind = True

    await host.run(balancer, 14, {5.5: fail, 12: lambda: web.use(900 * MIB)})

    assert faults
    assert out_of_turn(host) == []
    assert host.size_of("web") == BOOT_BYTES
