"""The whole loop over simulated guests: memory goes where it is needed, safely, steadily."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from barostat.core.moves import MoveKind
from barostat.core.observation import GuestObservation
from barostat.core.reasons import ReasonCode
from barostat.engine.loop import Balancer
from barostat.engine.observe import FixedCapacity, FixedSettings
from barostat.hypervisors.simulated import Character, SimulatedHypervisor
from barostat.units import MIB

from .conftest import BOOT_BYTES, MAXIMUM_BYTES, Host

pytestmark = pytest.mark.looptime


def worst_over_capacity(host: Host) -> int:
    return max(tick.decision.promised_bytes - tick.decision.capacity_bytes for tick in host.ticks)


async def test_a_guest_that_grows_is_given_more_at_once(host: Host) -> None:
    web = host.add("web")

    await host.run(host.balancer(2048 * MIB), 30, {12: lambda: web.use(900 * MIB)})

    assert web.memory.held_bytes == 900 * MIB
    assert host.size_of("web") > 900 * MIB
    grown = [tick for tick in host.ticks if tick.snapshot.guests[0].devices.plugged_bytes > 0]
    assert grown[0].snapshot.now_s - host.ticks[0].snapshot.now_s < 15
    assert worst_over_capacity(host) <= 0


async def test_memory_moves_from_an_idle_guest_to_a_hungry_one(host: Host) -> None:
    web, idle = host.add("web"), host.add("idle")

    await host.run(host.balancer(1024 * MIB), 60, {12: lambda: web.use(650 * MIB)})

    assert host.size_of("web") > 700 * MIB
    assert host.size_of("idle") < 320 * MIB
    assert idle.devices().balloon_bytes > 190 * MIB
    assert worst_over_capacity(host) <= 0
    taken = [
        reason
        for tick in host.ticks
        for move in tick.decision.moves
        if move.guest == "idle" and move.kind is MoveKind.SHRINK
        for reason in move.reasons
        if reason.code is ReasonCode.TAKEN
    ]
    assert any("web" in str(reason.numbers["who"]) for reason in taken)


@pytest.mark.trust("ends", "a guest never gives what it is asked for")
@pytest.mark.trust("neighbours", "a guest never gives what it is asked for")
async def test_a_guest_that_never_gives_costs_no_one_anything_but_its_own_memory(
    host: Host,
) -> None:
    web, idle = host.add("web"), host.add("idle")
    host.add("stuck", character=Character.STUCK)

    await host.run(host.balancer(1536 * MIB), 60, {12: lambda: web.use(700 * MIB)})

    assert host.size_of("stuck") == BOOT_BYTES
    assert host.size_of("web") > 750 * MIB
    assert idle.devices().balloon_bytes > 0
    assert worst_over_capacity(host) <= 0
    codes = {reason.code for tick in host.ticks for reason in tick.decision.guests[1].reasons}
    assert {ReasonCode.STUCK, ReasonCode.RESTING} & codes


@pytest.mark.trust("capacity", "guests give late, in part, or take back")
@pytest.mark.parametrize("character", list(Character))
async def test_no_character_breaks_the_capacity(host: Host, character: Character) -> None:
    web = host.add("web")
    odd = host.add("odd", character=character)
    at: dict[float, Callable[[], object]] = {
        12: lambda: web.use(600 * MIB),
        20: lambda: odd.use(500 * MIB),
        40: lambda: web.use(0),
        50: lambda: odd.use(0),
    }

    await host.run(host.balancer(1100 * MIB), 70, at)

    if character is not Character.GREEDY:  # one that takes by itself asks nobody
        assert worst_over_capacity(host) <= 0
    for tick in host.ticks:
        for move in tick.decision.moves:
            assert 128 * MIB <= move.to_bytes <= MAXIMUM_BYTES


async def test_a_guest_that_stops_answering_holds_up_nobody(host: Host) -> None:
    web, silent = host.add("web"), host.add("silent")
    at: dict[float, Callable[[], object]] = {
        12: silent.stop_answering,
        13: lambda: web.use(600 * MIB),
        30: silent.answer,
    }

    await host.run(host.balancer(1400 * MIB), 45, at)

    assert host.size_of("web") > 650 * MIB
    while_silent = [tick for tick in host.ticks if 14 < tick.snapshot.now_s % 1000 < 29]
    assert len(host.ticks) >= 44
    assert all(move.guest != "silent" for tick in while_silent for move in tick.decision.moves)


@pytest.mark.trust("ends", "a guest dies in the middle of a move")
async def test_a_guest_that_dies_mid_move_ends_its_operation_and_frees_its_memory(
    host: Host,
) -> None:
    web, victim = host.add("web"), host.add("victim", character=Character.SLOW)
    at: dict[float, Callable[[], object]] = {12: lambda: web.use(700 * MIB), 14.5: victim.die}

    await host.run(host.balancer(1024 * MIB), 30, at)

    assert [tick.decision.guests[-1].guest for tick in host.ticks][-1] == "web"
    assert any(
        outcome.error is not None and outcome.move.guest == "victim" for outcome in host.outcomes
    )
    assert host.size_of("web") > 750 * MIB


@pytest.mark.trust("restart", "the daemon is stopped")
async def test_when_it_stops_guests_keep_what_they_have(host: Host) -> None:
    web = host.add("web")
    slow = host.add("slow", character=Character.SLOW)
    balancer = host.balancer(1024 * MIB)

    await host.run(balancer, 14.6, {12: lambda: web.use(700 * MIB)})
    size = host.size_of("slow")
    await asyncio.sleep(60)

    assert size < BOOT_BYTES
    assert host.size_of("slow") == pytest.approx(size, abs=12 * MIB)
    assert slow.devices().balloon_target_bytes == slow.devices().balloon_actual_bytes


async def test_without_moving_everything_is_decided_and_nothing_is_done(host: Host) -> None:
    web = host.add("web")

    await host.run(host.balancer(2048 * MIB, moving=False), 20, {12: lambda: web.use(480 * MIB)})

    assert host.size_of("web") == BOOT_BYTES
    assert any(tick.decision.moves for tick in host.ticks)
    kinds = {move.kind for tick in host.ticks for move in tick.decision.moves}
    assert kinds <= {MoveKind.GROW, MoveKind.SHRINK}
    assert host.outcomes == []


async def test_ticks_keep_their_pace_and_a_late_one_is_not_made_up_for(host: Host) -> None:
    host.add("web")

    class Late(SimulatedHypervisor):
        async def observe(self, *, now_s: float) -> Sequence[GuestObservation]:
            await asyncio.sleep(3.5 if len(host.ticks) == 4 else 0)
            return await super().observe(now_s=now_s)

    loop = asyncio.get_running_loop()
    late = Late(loop.time)
    balancer = Balancer(
        late,
        FixedSettings({}),
        FixedCapacity(MIB),
        on_tick=host.ticks.append,
        clock=loop.time,
    )
    began = loop.time()

    await host.run(balancer, 12)

    at = [round(tick.snapshot.now_s - began, 1) for tick in host.ticks]
    assert at == pytest.approx([0, 1, 2, 3, 7.5, 7.5, 8.5, 9.5, 10.5, 11.5], abs=0.2)
