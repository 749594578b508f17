"""Carrying out moves: one operation a guest, the newest wish wins, every end is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from barostat.core.moves import Move, MoveKind
from barostat.engine.act import LOOK_S, OPERATION_S, Actor
from barostat.errors import DeadlineError, GuestGoneError, HostError, UnknownGuestError
from barostat.hypervisors.simulated import Character
from barostat.units import MIB

from .conftest import BOOT_BYTES, Host

pytestmark = pytest.mark.looptime


def move(kind: MoveKind, to_mib: int, *, guest: str = "web", from_mib: int = 512) -> Move:
    return Move(
        guest=guest, kind=kind, from_bytes=from_mib * MIB, to_bytes=to_mib * MIB, reasons=()
    )


@pytest_asyncio.fixture
async def actor(host: Host) -> AsyncIterator[Actor]:
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as tasks:
        yield Actor(host.hypervisor, tasks, clock=loop.time, on_outcome=host.outcomes.append)


async def booted(host: Host, character: Character = Character.IDEAL) -> None:
    host.add("web", character=character)
    await asyncio.sleep(1)


async def test_a_grow_deflates_and_then_plugs_in_one_operation(host: Host, actor: Actor) -> None:
    await booted(host)
    actor.perform([move(MoveKind.SHRINK, 400)])
    await asyncio.sleep(2)
    assert host.size_of("web") == 400 * MIB

    actor.perform([move(MoveKind.GROW, 800, from_mib=400)])
    await asyncio.sleep(2)

    devices = host.hypervisor.guests["web"].devices()
    assert (devices.balloon_bytes, devices.plugged_bytes) == (0, 288 * MIB)
    assert [outcome.arrived for outcome in host.outcomes] == [True, True]
    assert actor.busy == frozenset()


async def test_a_shrink_unplugs_and_then_inflates(host: Host, actor: Actor) -> None:
    await booted(host)
    actor.perform([move(MoveKind.GROW, 700)])
    await asyncio.sleep(2)

    actor.perform([move(MoveKind.SHRINK, 450, from_mib=700)])
    await asyncio.sleep(4)

    devices = host.hypervisor.guests["web"].devices()
    assert (devices.balloon_bytes, devices.plugged_bytes) == (62 * MIB, 0)


async def test_a_newer_move_replaces_the_one_under_way(host: Host, actor: Actor) -> None:
    await booted(host, Character.SLOW)
    actor.perform([move(MoveKind.SHRINK, 200)])
    await asyncio.sleep(2)
    assert actor.busy == {"web"}

    actor.perform([move(MoveKind.GROW, 512, from_mib=490)])
    await asyncio.sleep(2)

    assert host.size_of("web") == BOOT_BYTES
    assert [outcome.move.kind for outcome in host.outcomes] == [MoveKind.GROW]


async def test_a_cancel_leaves_the_guest_at_what_it_has(host: Host, actor: Actor) -> None:
    await booted(host, Character.SLOW)
    actor.perform([move(MoveKind.SHRINK, 200)])
    await asyncio.sleep(2)

    actor.perform([move(MoveKind.CANCEL, 480)])
    await asyncio.sleep(1)
    size = host.size_of("web")
    await asyncio.sleep(30)

    assert size < BOOT_BYTES
    assert host.size_of("web") == size


async def test_a_nudge_says_the_same_wish_again(host: Host, actor: Actor) -> None:
    await booted(host, Character.STUCK)
    actor.perform([move(MoveKind.SHRINK, 400)])
    await asyncio.sleep(1)

    actor.perform([move(MoveKind.NUDGE, 400)])
    await asyncio.sleep(1)

    assert actor.busy == {"web"}
    assert host.hypervisor.guests["web"].devices().balloon_target_bytes == 400 * MIB
    await asyncio.sleep(OPERATION_S)


async def test_an_operation_gives_up_watching_after_a_while(host: Host, actor: Actor) -> None:
    await booted(host, Character.STUCK)

    actor.perform([move(MoveKind.SHRINK, 400)])
    await asyncio.sleep(OPERATION_S + 2 * LOOK_S)

    (outcome,) = host.outcomes
    assert (outcome.arrived, outcome.error) == (False, None)
    assert outcome.assigned_bytes == BOOT_BYTES
    assert outcome.took_s == pytest.approx(OPERATION_S, abs=0.5)


@pytest.mark.parametrize(
    ("fault", "error"),
    [("die", GuestGoneError), ("stop_answering", DeadlineError), (None, UnknownGuestError)],
)
async def test_a_guest_that_cannot_be_asked_ends_its_own_operation(
    host: Host, actor: Actor, fault: str | None, error: type[Exception]
) -> None:
    await booted(host)
    if fault is not None:
        getattr(host.hypervisor.guests["web"], fault)()

    actor.perform([move(MoveKind.SHRINK, 400, guest="web" if fault else "nobody")])
    await asyncio.sleep(1)

    (outcome,) = host.outcomes
    assert isinstance(outcome.error, error)
    assert not outcome.arrived


async def test_settling_cancels_what_is_under_way_even_if_a_guest_hangs(
    host: Host, actor: Actor
) -> None:
    await booted(host, Character.SLOW)
    host.add("hung", character=Character.SLOW)
    await asyncio.sleep(1)
    actor.perform([move(MoveKind.SHRINK, 200), move(MoveKind.SHRINK, 200, guest="hung")])
    await asyncio.sleep(2)
    host.hypervisor.guests["hung"].stop_answering()

    await actor.settle()
    size = host.size_of("web")
    await asyncio.sleep(20)

    assert size < BOOT_BYTES
    assert host.size_of("web") == size


async def test_room_is_made_before_a_guest_is_asked_to_grow(host: Host) -> None:
    await booted(host)
    asked, may_grow = asyncio.Queue[tuple[str, int]](), asyncio.Event()

    async def make_room(guest: str, to_bytes: int) -> None:
        asked.put_nowait((guest, to_bytes // MIB))
        await may_grow.wait()

    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as tasks:
        actor = Actor(
            host.hypervisor,
            tasks,
            clock=loop.time,
            on_outcome=host.outcomes.append,
            before_grow=make_room,
        )
        actor.perform([move(MoveKind.GROW, 600)])
        first = await asked.get()
        actor.perform([move(MoveKind.GROW, 700)])  # while room is made for less
        await asyncio.sleep(2)
        size_before = host.size_of("web")
        may_grow.set()
        second = await asked.get()
        await asyncio.sleep(2)

    assert (first, second) == (("web", 600), ("web", 700))
    assert size_before == BOOT_BYTES
    assert host.size_of("web") == 700 * MIB


async def test_a_guest_for_which_no_room_can_be_made_is_not_asked_to_grow(host: Host) -> None:
    await booted(host)

    async def no_room(_guest: str, _to_bytes: int) -> None:
        raise HostError("the fence cannot be raised")

    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as tasks:
        actor = Actor(
            host.hypervisor,
            tasks,
            clock=loop.time,
            on_outcome=host.outcomes.append,
            before_grow=no_room,
        )
        actor.perform([move(MoveKind.GROW, 600)])

    [outcome] = host.outcomes
    assert isinstance(outcome.error, HostError)
    assert host.size_of("web") == BOOT_BYTES
