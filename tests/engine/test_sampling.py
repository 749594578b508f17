"""Whom to look at between two ticks: who is near, within a budget, and nobody starves."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from barostat.core.observation import Depth, Devices, GuestObservation, RunState
from barostat.core.statistics import Statistics
from barostat.engine.sampling import LOOKS_AT_ONCE, Pace, Sampler, look_again_s
from barostat.units import GIB, MIB

PACE = Pace()
BOOT_BYTES = 4096 * MIB


def seen(
    available_mib: int, *, at_s: float = 100.0, assigned_mib: int = 4096, **more: int
) -> GuestObservation:
    """See a guest that has so much, with so much available."""
    return GuestObservation(
        name="web",
        run_state=RunState.RUNNING,
        devices=Devices(boot_bytes=BOOT_BYTES, balloon_actual_bytes=assigned_mib * MIB),
        statistics=Statistics(total_bytes=4000 * MIB, available_bytes=available_mib * MIB, **more),
        seen_at_s=at_s,
        statistics_at_s=at_s,
        disturbed_at_s=0.0,
    )


def again_s(before: GuestObservation | None, now: GuestObservation) -> float | None:
    return look_again_s(before, now, pace=PACE, tick_s=1.0)


def test_a_guest_with_enough_for_a_tick_at_the_fastest_is_left_to_the_tick() -> None:
    assert again_s(None, seen(2000)) is None


def test_a_guest_is_looked_at_again_before_it_could_be_out_of_memory() -> None:
    assert again_s(None, seen(512)) == pytest.approx(0.5)
    assert again_s(seen(300, at_s=99), seen(300)) == pytest.approx(300 / 1024)


def test_nobody_is_looked_at_more_often_than_the_shortest_time_between_two_looks() -> None:
    assert again_s(None, seen(0)) == PACE.look_s


def test_a_guest_that_grows_is_looked_at_as_often_as_anybody() -> None:
    assert again_s(seen(3000, at_s=99.9), seen(2950)) == PACE.look_s


def test_a_guest_that_speaks_by_itself_is_looked_at_only_once_it_grows() -> None:
    near, before = (
        replace(guest, heard_by=Depth.AGENT) for guest in (seen(100), seen(200, at_s=99.9))
    )

    assert again_s(None, near) is None
    assert again_s(before, near) == PACE.look_s


def test_a_guest_that_grows_by_what_it_was_just_given_grows() -> None:
    before = seen(3000, at_s=99.9, assigned_mib=3500)

    assert again_s(before, seen(3050, assigned_mib=3600)) == PACE.look_s


def test_a_guest_that_was_made_to_give_does_not_grow() -> None:
    before = seen(3000, at_s=99.9)

    assert again_s(before, seen(2700, assigned_mib=4096 - 300)) is None


def test_noise_is_no_growth() -> None:
    assert again_s(seen(3000, at_s=99.9), seen(2970)) is None


@pytest.mark.parametrize(
    "trouble",
    [{"swap_in_bytes": MIB}, {"swap_out_bytes": 2 * MIB}, {"alloc_stalls": 3}],
)
def test_a_guest_that_pages_or_stalls_is_looked_at_as_often_as_anybody(
    trouble: dict[str, int],
) -> None:
    before = seen(2000, at_s=99, alloc_stalls=2)

    assert again_s(before, seen(2000, **({"alloc_stalls": 2} | trouble))) == PACE.look_s
    assert again_s(before, seen(2000, alloc_stalls=2)) is None


def test_a_guest_that_says_nothing_or_stands_still_is_left_to_the_tick() -> None:
    assert again_s(None, replace(seen(0), statistics=None)) is None
    for state in set(RunState) - {RunState.RUNNING}:
        assert again_s(None, replace(seen(0), run_state=state)) is None


def test_statistics_that_are_not_new_say_nothing_of_growth() -> None:
    assert again_s(seen(3000), seen(2000)) is None


def test_a_guest_is_due_when_it_was_seen_long_enough_ago_and_only_once() -> None:
    sampler = Sampler()
    sampler.seen("web", at_s=100.0, again_s=0.3)

    assert sampler.take(100.2, pace=PACE) == []
    assert sampler.wait_s(100.2, pace=PACE) == pytest.approx(0.1)
    assert sampler.take(100.3, pace=PACE) == ["web"]
    assert sampler.take(101.0, pace=PACE) == []
    assert sampler.wait_s(101.0, pace=PACE) == PACE.look_s


def test_a_look_in_between_puts_off_the_next() -> None:
    sampler = Sampler()
    sampler.seen("web", at_s=100.0, again_s=0.3)
    sampler.seen("web", at_s=100.2, again_s=0.3)

    assert sampler.take(100.4, pace=PACE) == []
    assert sampler.take(100.5, pace=PACE) == ["web"]


def test_whoever_needs_no_look_is_forgotten_and_nothing_is_waited_for() -> None:
    sampler = Sampler()
    sampler.seen("web", at_s=100.0, again_s=0.1)
    sampler.seen("db", at_s=100.0, again_s=0.1)

    sampler.seen("web", at_s=100.0, again_s=None)
    sampler.keep({"web"})

    assert len(sampler) == 0
    assert sampler.wait_s(100.0, pace=PACE) is None


def test_a_guest_that_a_look_did_not_reach_is_left_to_the_tick() -> None:
    sampler = Sampler()
    sampler.seen("web", at_s=100.0, again_s=0.1)
    sampler.take(101.0, pace=PACE)

    sampler.done("web")

    assert sampler.take(102.0, pace=PACE) == []
    assert sampler.looking == 0


def test_a_guest_that_is_in_need_is_looked_at_before_all_that_are_near() -> None:
    sampler = Sampler()
    for number in range(20):
        sampler.seen(f"near{number:02}", at_s=100.0, again_s=0.1)

    sampler.urge("web", now_s=101.0, in_need=True)
    sampler.urge("near19", now_s=101.0, in_need=True)
    sampler.urge("odd", now_s=101.0, in_need=False)
    taken = sampler.take(101.0, pace=PACE)

    assert set(taken[:2]) == {"web", "near19"}
    assert "odd" not in taken


def test_of_two_that_are_due_the_nearer_one_is_first() -> None:
    sampler = Sampler()
    sampler.seen("near", at_s=100.0, again_s=0.4)
    sampler.seen("nearer", at_s=100.0, again_s=0.1)

    assert sampler.take(101.0, pace=replace(PACE, looks_per_s=1.0)) == ["nearer"]


def looks(sampler: Sampler, near: dict[str, float], *, seconds: int) -> Counter[str]:
    """Play seconds of looks that are answered at once, with a tick at each."""
    counted: Counter[str] = Counter()
    for step in range(seconds * 100):
        now_s = 1000 + step / 100
        if step % 100 == 0:
            for name, every_s in near.items():
                sampler.seen(name, at_s=now_s, again_s=every_s)
        for name in sampler.take(now_s, pace=PACE):
            counted[name] += 1
            sampler.done(name)
            sampler.seen(name, at_s=now_s, again_s=near[name])
    return counted


def test_each_of_two_hundred_that_are_equally_near_gets_its_share() -> None:
    near = {f"vm{number:03}": 0.1 for number in range(200)}

    counted = looks(Sampler(), near, seconds=20)

    assert sum(counted.values()) == pytest.approx(20 * PACE.looks_per_s, abs=60)
    assert min(counted[name] for name in near) >= 9
    assert max(counted.values()) <= 11


def test_when_the_budget_does_not_suffice_the_nearer_ones_are_looked_at_more_often() -> None:
    near = {f"a{number:03}": 0.1 for number in range(60)}
    near |= {f"b{number:03}": 0.8 for number in range(60)}

    counted = looks(Sampler(), near, seconds=20)

    assert min(counted[name] for name in near if name[0] == "b") > 0
    assert min(counted[name] for name in near if name[0] == "a") > 2 * max(
        counted[name] for name in near if name[0] == "b"
    )


def test_with_few_guests_each_is_looked_at_as_often_as_it_should_be() -> None:
    counted = looks(Sampler(), {"web": 0.1, "db": 0.5}, seconds=10)

    assert counted["web"] == pytest.approx(90, abs=10)
    assert counted["db"] == pytest.approx(10, abs=2)


def test_the_budget_saves_up_for_no_more_than_one_shortest_time() -> None:
    sampler = Sampler()
    for number in range(50):
        sampler.seen(f"vm{number}", at_s=100.0, again_s=0.1)

    assert len(sampler.take(500.0, pace=PACE)) == PACE.looks_per_s * PACE.look_s


def test_what_is_left_of_the_budget_says_how_long_to_wait() -> None:
    sampler, pace = Sampler(), replace(PACE, looks_per_s=2.0)
    for name in ("web", "db"):
        sampler.seen(name, at_s=100.0, again_s=0.1)

    assert len(sampler.take(101.0, pace=pace)) == 1
    sampler.done("web")
    sampler.done("db")
    sampler.seen("db", at_s=100.0, again_s=0.1)

    assert sampler.wait_s(101.0, pace=pace) == pytest.approx(0.5)


def test_no_more_are_looked_at_at_once_than_may_be() -> None:
    sampler, pace = Sampler(), replace(PACE, looks_per_s=1000.0)
    for number in range(50):
        sampler.seen(f"vm{number}", at_s=100.0, again_s=0.1)

    first = sampler.take(101.0, pace=pace)
    sampler.done(first[0])
    second = sampler.take(101.0, pace=pace)

    assert len(first) == LOOKS_AT_ONCE
    assert len(second) == 1
    assert sampler.wait_s(101.0, pace=pace) == pace.look_s


def test_passes_out_of_turn_are_apart_and_take_no_more_than_their_share_of_the_time() -> None:
    assert PACE.next_pass_s(100.0, 0.001) == pytest.approx(100.1)
    assert PACE.next_pass_s(100.0, 0.03) == pytest.approx(100.3)
    assert Pace(touch_bytes_per_s=2 * GIB).on
