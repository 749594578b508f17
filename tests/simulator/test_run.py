"""Guests that never were, under fixed sizes and under the real brain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from barostat.errors import InputError
from barostat.simulator.hosts import Sizing, draw, lay_out, partition
from barostat.simulator.policies.barostat import Barostat
from barostat.simulator.policies.base import SizingPolicy
from barostat.simulator.policies.static import Static
from barostat.simulator.run import run
from barostat.simulator.trace import Floats, Trace
from barostat.simulator.world import Habits, Rates, World
from barostat.units import GIB, MIB

SIZING = Sizing(minimum_low_bytes=256 * MIB)
PAIR = np.array([[0, 1]])


def trace(*rows: tuple[float, ...], step_s: float = 60.0) -> Trace:
    demand = np.array(rows) * MIB
    vms = demand.shape[1]
    return Trace(
        name="made",
        vms=tuple(f"vm{i}" for i in range(vms)),
        size_bytes=np.full(vms, 4.0 * GIB),
        times_s=np.arange(len(rows), dtype=np.float64) * step_s,
        step_s=step_s,
        demand_bytes=demand,
    )


@dataclass
class Notes:
    """What a run came to."""

    short_byte_s: float = 0.0
    most_promised_bytes: float = 0.0
    ended: int = 0

    def advance(self, world: World, passed_s: float) -> None:
        before = world.short_bytes.sum()
        world.advance(passed_s)
        self.short_byte_s += (before + world.short_bytes.sum()) / 2 * passed_s
        most = float(world.promised_bytes.sum(axis=1).max())
        self.most_promised_bytes = max(self.most_promised_bytes, most)

    def end_row(self, world: World, row: int) -> None:
        del world
        self.ended = row + 1


def play(played: Trace, policy: SizingPolicy, *, ratio: float = 0.5) -> tuple[World, Notes]:
    notes = Notes()
    hosts = lay_out(played, PAIR, capacity_ratio=ratio, sizing=SIZING)
    return run(played, hosts, policy, notes), notes


BUSY = [(500.0, 500.0)] * 3 + [(3000.0, 500.0)] * 4


def test_fixed_sizes_leave_a_guest_short_that_needs_more_than_its_share() -> None:
    world, notes = play(trace(*BUSY), Static())

    assert world.assigned_bytes.tolist() == [[2.0 * GIB, 2.0 * GIB]]
    assert notes.short_byte_s == pytest.approx(4 * 60 * (3000 - 2048) * MIB)
    assert notes.ended == len(BUSY)


def test_barostat_takes_from_the_idle_one_and_never_promises_more_than_there_is() -> None:
    world, notes = play(trace(*BUSY), Barostat())

    assert world.assigned_bytes[0, 0] >= 3000 * MIB
    assert notes.short_byte_s < 0.1 * 4 * 60 * (3000 - 2048) * MIB
    assert notes.most_promised_bytes <= 4 * GIB


def test_every_tick_makes_nothing_worse_and_the_last_decision_has_reasons() -> None:
    policy = Barostat(every_tick=True)
    world, notes = play(trace(*BUSY), policy)
    decision = policy.last(0)

    assert decision is not None
    assert all(guest.reasons or guest.move for guest in decision.guests)
    assert world.assigned_bytes[0, 0] >= 3000 * MIB
    assert notes.most_promised_bytes <= 4 * GIB


class Counting:
    """Acts every ten seconds, and asks for nothing."""

    name = "counting"
    period_s = 10.0

    def __init__(self) -> None:
        self.acted_s: list[float] = []

    def act(self, world: World) -> float:
        self.acted_s.append(world.now_s)
        return self.period_s


def test_a_policy_acts_as_often_as_in_life_however_short_the_rows_are() -> None:
    policy = Counting()
    play(trace(*[(500.0, 500.0)] * 20, step_s=1.0), policy)

    assert policy.acted_s == pytest.approx([5.0, 15.0])


def test_a_guest_that_is_off_has_nothing_and_starts_with_its_share() -> None:
    world, _ = play(trace((500, np.nan), (500, 600), (np.nan, 600)), Static())

    assert world.present.tolist() == [[False, True]]
    assert world.assigned_bytes.tolist() == [[0.0, 2.0 * GIB]]


def test_what_does_not_fit_is_paged_and_comes_back_once_in_its_turnover() -> None:
    played = trace((3000, 100), step_s=60)
    world, _ = play(played, Static())
    reserve = float(world.reserve_bytes[0, 0])
    paged = 3000 * MIB - (2 * GIB - reserve)

    assert world.paged_bytes[0, 0] == pytest.approx(paged)
    assert world.swap_in_bytes[0, 0] == pytest.approx(paged)
    assert world.available_bytes[0, 0] == 0


def idle_world(**changes: Floats) -> World:
    played = trace((100, 100))
    hosts = lay_out(played, PAIR, capacity_ratio=0.5, sizing=SIZING)
    for name, value in changes.items():
        getattr(hosts, name)[:] = value
    world = World(hosts, rates=Rates(), habits=Habits(lag_s=2.0))
    world.need(played.demand_bytes[:1][:, PAIR[0]])
    return world


def test_memory_moves_as_fast_as_drivers_do_and_stays_within_its_bounds() -> None:
    world = idle_world()
    world.ask(np.array([[0.0, 9.0 * GIB]]))
    world.advance(1.0)

    assert world.assigned_bytes[0, 0] == pytest.approx(2 * GIB - Rates().inflate)
    assert world.assigned_bytes[0, 1] == 4 * GIB
    world.advance(10.0)
    assert world.assigned_bytes[0, 0] == 256 * MIB


def test_a_guest_that_gives_nothing_keeps_what_it_has() -> None:
    world = idle_world(gives=np.array([[0.0, 1.0]]))
    world.ask(np.zeros((1, 2)))
    world.advance(60.0)

    assert world.assigned_bytes.tolist() == [[2.0 * GIB, 256.0 * MIB]]


def test_what_the_host_does_not_get_back_is_promised_still() -> None:
    world = idle_world(returns=np.array([[0.0, 1.0]]))
    world.ask(np.zeros((1, 2)))
    world.advance(60.0)

    assert world.promised_bytes.tolist() == [[2.0 * GIB, 256.0 * MIB]]


def test_statistics_are_as_old_as_they_are_told_to_be() -> None:
    world = idle_world()
    for _ in range(5):
        world.advance(1.0)

    assert world.look().at_s == pytest.approx(world.now_s - 2.0)


def test_a_host_that_promised_more_than_it_has_pages_at_twice_the_cost() -> None:
    world = idle_world()
    world.need(np.array([[3.5 * GIB, 3.5 * GIB]]))
    world.ask(np.full((1, 2), 4.0 * GIB))
    world.advance(60.0)

    assert world.host_free_bytes.tolist() == [0.0]
    over = world.used_by_host_bytes.sum() - 4 * GIB
    assert world.host_paged_bytes.sum() == pytest.approx(over)
    assert world.short_bytes.sum() == pytest.approx(2 * over)


def test_vms_are_drawn_without_twins_and_by_chance_that_can_be_had_again() -> None:
    played = trace(tuple(100.0 for _ in range(7)))
    drawn = draw(played, hosts=3, guests=5, seed=1)

    assert all(len(set(row)) == 5 for row in drawn.tolist())
    assert (drawn == draw(played, hosts=3, guests=5, seed=1)).all()
    assert sorted(partition(played, guests=4, seed=1).ravel().tolist()) == [-1, *range(7)]
    with pytest.raises(InputError, match="7 VMs"):
        draw(played, hosts=1, guests=8, seed=1)


def test_a_host_too_small_for_the_minimums_is_refused() -> None:
    with pytest.raises(InputError, match="minimums"):
        lay_out(trace((1, 1)), PAIR, capacity_bytes=100.0 * MIB)


def test_vms_are_picked_by_size_and_by_how_long_they_were_on() -> None:
    played = trace((1, np.nan, 1), (1, 1, 1))

    assert played.usual(below_bytes=5 * GIB, on_ratio=0.9).vms == ("vm0", "vm2")
    assert played.between(1, 2).times_s.tolist() == [60.0]
    with pytest.raises(InputError, match="smaller"):
        played.usual(below_bytes=GIB, on_ratio=0.9)
