"""What programs in guests say is heard at once, and they are told what their guest may have."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import pytest_asyncio

from barostat.core.moves import Move, MoveKind
from barostat.core.observation import Depth, Devices
from barostat.core.pressure import Status
from barostat.engine.act import Actor
from barostat.engine.loop import Balancer
from barostat.guest.base import HostWord, Insight
from barostat.hypervisors.simulated import SimulatedGuest, SimulatedHypervisor
from barostat.units import MIB

from .conftest import BOOT_BYTES, MAXIMUM_BYTES, Host
from .insight import Played

pytestmark = pytest.mark.looptime

JUMP_S = 5.3


class Watched(SimulatedHypervisor):
    """Notes who is asked for sizes between two ticks."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self.asked: list[tuple[float, str]] = []
        self.clock = clock

    async def devices(self, guest: str) -> Devices:
        self.asked.append((self.clock(), guest))
        return await super().devices(guest)


@pytest_asyncio.fixture
async def programs(host: Host) -> Played:
    """Put a hypervisor under the host that notes what it is asked; play programs in its guests."""
    clock = asyncio.get_running_loop().time
    host.hypervisor = Watched(clock)
    return Played(clock)


def asked(host: Host) -> list[tuple[float, str]]:
    assert isinstance(host.hypervisor, Watched)
    return host.hypervisor.asked


async def talk(
    programs: Played, balancer: Balancer, guest: SimulatedGuest, *, every_s: float = 0.05
) -> None:
    """Have a guest's program report for ever."""
    while True:
        programs.say(guest)
        balancer.lane.hear(guest.spec.name)
        await asyncio.sleep(every_s)


async def balanced(
    host: Host,
    programs: Played,
    seconds: float,
    at: dict[float, Callable[[], object]],
    *,
    capacity_bytes: int = 4096 * MIB,
    moving: bool = True,
) -> Balancer:
    """Balance guests that all have a program that speaks, after each has found its size."""
    await asyncio.sleep(3)
    balancer = host.balancer(capacity_bytes, insight=Insight([programs]), moving=moving)
    async with asyncio.TaskGroup() as tasks:
        talking = [
            tasks.create_task(talk(programs, balancer, guest))
            for guest in host.hypervisor.guests.values()
        ]
        await host.run(balancer, seconds, at)
        for task in talking:
            task.cancel()
    return balancer


def out_of_turn_s(host: Host) -> list[float]:
    began_s = host.ticks[0].snapshot.now_s
    return [tick.snapshot.now_s - began_s for tick in host.ticks if tick.snapshot.hurried]


async def test_a_guest_that_says_that_it_grows_is_granted_memory_at_once(
    host: Host, programs: Played
) -> None:
    web = host.add("web")
    web.use(330 * MIB)

    await balanced(host, programs, 5.9, {JUMP_S: lambda: web.use(1200 * MIB)})

    assert JUMP_S < out_of_turn_s(host)[0] < JUMP_S + 0.2
    assert host.ticks[-1].snapshot.guests[0].depth is Depth.AGENT
    assert web.memory.swap_out_bytes == 0
    for tick in host.ticks:
        assert tick.decision.promised_bytes <= tick.decision.capacity_bytes


async def test_it_is_weighed_with_the_sizes_that_it_has_by_then(
    host: Host, programs: Played
) -> None:
    web = host.add("web")
    web.use(330 * MIB)

    await balanced(host, programs, 5.9, {JUMP_S: lambda: web.use(1200 * MIB)})

    first = next(tick for tick in host.ticks if tick.snapshot.hurried)
    seen = first.snapshot.guests[0]
    assert first.snapshot.now_s - seen.seen_at_s < 0.1
    assert asked(host)[0][0] == pytest.approx(seen.seen_at_s, abs=0.002)


async def test_a_guest_that_speaks_is_not_looked_at_while_it_is_well(
    host: Host, programs: Played
) -> None:
    host.add("web").use(330 * MIB)

    await balanced(host, programs, 5, {})

    assert asked(host) == []
    assert out_of_turn_s(host) == []
    assert programs.followed == ("web",)


async def test_what_it_said_last_is_what_the_next_decision_knows(
    host: Host, programs: Played
) -> None:
    host.add("web").use(330 * MIB)

    await balanced(host, programs, 5, {})

    newest = host.ticks[-1].snapshot
    assert newest.now_s - newest.guests[0].statistics_at_s < 0.051


async def test_what_can_only_be_true_of_other_sizes_has_the_guest_asked_for_its_sizes(
    host: Host, programs: Played
) -> None:
    web = host.add("web")
    web.use(330 * MIB)

    def outgrow() -> None:
        web.memory.requested_bytes = 256 * MIB  # somebody else plugs

    await balanced(host, programs, 4, {3.3: outgrow})

    assert asked(host)
    assert asked(host)[0][0] - host.ticks[0].snapshot.now_s == pytest.approx(3.35, abs=0.1)
    assert len(asked(host)) <= 10


async def test_without_moving_nobody_is_heard_out_of_turn_or_told_anything(
    host: Host, programs: Played
) -> None:
    web = host.add("web")
    web.use(330 * MIB)

    await balanced(host, programs, 6, {JUMP_S: lambda: web.use(900 * MIB)}, moving=False)

    assert out_of_turn_s(host) == []
    assert programs.words == {}
    assert asked(host) == []


async def test_a_report_of_a_guest_that_nobody_knows_is_nothing(
    host: Host, programs: Played
) -> None:
    balancer = await balanced(host, programs, 1, {})

    balancer.lane.hear("ghost")

    assert out_of_turn_s(host) == []


async def test_a_guest_is_told_what_it_has_and_may_have_where_dynamic_memory_is_on(
    host: Host, programs: Played
) -> None:
    host.add("web").use(330 * MIB)
    host.add("bare")
    del host.settings["bare"]

    await balanced(host, programs, 3, {})

    assert set(programs.words) == {"web"}
    assert programs.words["web"][-1] == HostWord(
        startup_bytes=BOOT_BYTES,
        minimum_bytes=128 * MIB,
        maximum_bytes=MAXIMUM_BYTES,
        assigned_bytes=BOOT_BYTES,
        status=Status.OK,
    )


def shrink(to_mib: int) -> Move:
    return Move(
        guest="web",
        kind=MoveKind.SHRINK,
        from_bytes=BOOT_BYTES,
        to_bytes=to_mib * MIB,
        reasons=(),
    )


def grow(to_mib: int) -> Move:
    return Move(
        guest="web", kind=MoveKind.GROW, from_bytes=BOOT_BYTES, to_bytes=to_mib * MIB, reasons=()
    )


async def test_a_guests_programs_are_waited_for_before_it_shrinks(
    host: Host, programs: Played
) -> None:
    host.add("web")
    programs.hook_s = 1.5
    async with asyncio.TaskGroup() as tasks:
        actor = acting(host, programs, tasks)
        actor.perform([shrink(400)])
        await asyncio.sleep(1.4)
        before = host.size_of("web")
        await asyncio.sleep(2)

    assert before == BOOT_BYTES
    assert host.size_of("web") == 400 * MIB
    assert programs.warned == [("web", 400 * MIB)]


async def test_programs_that_never_end_are_not_waited_for_any_longer(
    host: Host, programs: Played
) -> None:
    host.add("web")
    programs.hook_s = 3600.0
    async with asyncio.TaskGroup() as tasks:
        acting(host, programs, tasks).perform([shrink(400)])
        await asyncio.sleep(5)

    assert host.size_of("web") == 400 * MIB


async def test_a_shrink_that_is_replaced_while_its_programs_are_waited_for_is_not_sent(
    host: Host, programs: Played
) -> None:
    host.add("web")
    programs.hook_s = 2.0
    async with asyncio.TaskGroup() as tasks:
        actor = acting(host, programs, tasks)
        actor.perform([shrink(300)])
        await asyncio.sleep(0.5)

        actor.perform([grow(700)])
        await asyncio.sleep(0.2)
        grown_at_once = host.size_of("web")
        await asyncio.sleep(3)

    assert grown_at_once == 700 * MIB
    assert host.hypervisor.guests["web"].devices().balloon_target_bytes is None
    assert [outcome.move.kind for outcome in host.outcomes] == [MoveKind.GROW]


async def test_a_shrink_that_is_replaced_by_another_goes_on_waiting(
    host: Host, programs: Played
) -> None:
    host.add("web")
    programs.hook_s = 1.0
    async with asyncio.TaskGroup() as tasks:
        actor = acting(host, programs, tasks)
        actor.perform([shrink(400)])
        await asyncio.sleep(0.5)

        actor.perform([shrink(350)])
        await asyncio.sleep(0.4)
        waited = host.size_of("web")
        await asyncio.sleep(3)

    assert waited == BOOT_BYTES
    assert host.size_of("web") == 350 * MIB


async def test_a_guests_programs_are_told_after_it_has_grown(host: Host, programs: Played) -> None:
    host.add("web")
    async with asyncio.TaskGroup() as tasks:
        acting(host, programs, tasks).perform([grow(700)])
        await asyncio.sleep(1)

    assert programs.grown == [("web", 700 * MIB)]
    assert programs.warned == []


def acting(host: Host, programs: Played, tasks: asyncio.TaskGroup) -> Actor:
    return Actor(
        host.hypervisor,
        tasks,
        clock=asyncio.get_running_loop().time,
        on_outcome=host.outcomes.append,
        insight=Insight([programs]),
    )
