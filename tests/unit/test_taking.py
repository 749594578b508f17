"""Whom to ask for memory, and for how much."""

from __future__ import annotations

import pytest
from tests.unit.builders import line
from tests.unit.planning import REST, codes, moved, planned, step

from barostat.core.cooperation import Verdict
from barostat.core.moves import Line
from barostat.core.reasons import ReasonCode, because
from barostat.units import MIB


def test_nothing_is_taken_while_what_is_missing_is_on_its_way() -> None:
    web = line(target=1500, urgent=True)
    giving = line("db", target=500, goal_bytes=500, verdict=Verdict.MOVING)
    other = line("idle", target=500, grown_at_s=990.0)

    planned(web, giving, other)

    assert other.move is None
    assert codes(other) == [ReasonCode.SPARE]


def test_what_a_nudged_guest_still_has_to_give_is_on_its_way() -> None:
    web = line(target=1500, urgent=True)
    giving = line("db", target=500, goal_bytes=500, verdict=Verdict.NUDGE)
    other = line("idle", target=500, grown_at_s=990.0)

    planned(web, giving, other)

    assert other.move is None


def test_what_a_stuck_guest_did_not_give_is_not_on_its_way() -> None:
    web = line(target=1500, urgent=True)
    stuck = line("db", target=500, goal_bytes=500, verdict=Verdict.STUCK)
    other = line("idle", target=500, grown_at_s=990.0)

    planned(web, stuck, other)

    assert step(other) == 250


def test_what_rounding_left_of_a_shrink_that_arrived_is_not_on_its_way() -> None:
    web = line(target=1030, urgent=True)
    arrived = [line(f"n{n:02}", goal_bytes=999, granularity_bytes=2) for n in range(40)]
    other = line("idle", target=500, grown_at_s=990.0)

    planned(web, other, *arrived)

    assert step(other) == 50


def test_what_a_growing_guest_takes_is_not_on_its_way_to_others() -> None:
    web = line(target=1500, urgent=True)
    growing = line("db", target=1200, goal_bytes=1200, verdict=Verdict.MOVING)
    other = line("idle", target=500, grown_at_s=990.0)

    planned(web, growing, other)

    assert step(other) == 250


def test_those_with_the_largest_share_to_spare_are_asked_first() -> None:
    web = line(target=1100, urgent=True)
    small = line("small", actual=400, target=300, grown_at_s=990.0)
    large = line("large", actual=1000, target=700, grown_at_s=990.0)

    planned(web, small, large)

    assert step(large) == 100
    assert codes(small) == [ReasonCode.SPARE]


def test_nobody_pages_while_others_have_memory_that_they_do_not_need() -> None:
    web = line(target=1100, urgent=True)
    needy = line("needy", target=500, demand_bytes=1000, available_bytes=0)
    idle = line("idle", target=900, demand_bytes=600)

    planned(web, needy, idle)

    assert step(idle) == 100
    assert needy.move is None


def test_no_more_is_taken_than_is_missing_but_enough_to_be_worth_it() -> None:
    web = line(target=1010, urgent=True)
    idle = line("idle", target=500)

    planned(web, idle)

    assert step(idle) == 50, "the dead-band"


def test_a_step_is_bounded_by_half_of_what_is_available() -> None:
    web, idle = line(target=2000, urgent=True), line("idle", target=200, available_bytes=300)

    planned(web, idle)

    assert step(idle) == 150


def test_a_step_leaves_the_floor() -> None:
    web, idle = line(target=2000, urgent=True), line("idle", target=200, available_bytes=50)

    planned(web, idle)

    assert step(idle) == 18


def test_a_guest_with_nothing_to_spare_is_left_alone() -> None:
    web, idle = line(target=2000, urgent=True), line("idle", target=600, available_bytes=33)

    planned(web, idle)

    assert codes(idle) == [ReasonCode.NOTHING_TO_SPARE]


def test_no_step_is_larger_than_the_largest() -> None:
    web = line(target=9000, urgent=True)
    idle = line("idle", actual=16000, target=2000, available_bytes=14000, demand_bytes=1500)

    planned(web, idle)

    assert step(idle) == 2048


def test_below_its_demand_a_guest_pages_in_small_steps() -> None:
    web = line(target=2000, urgent=True)
    needy = line("needy", target=500, demand_bytes=950, available_bytes=10)
    small = line("small", actual=200, target=150, demand_bytes=199, available_bytes=1)

    planned(web, needy, small)

    assert step(needy) == 100
    assert codes(needy) == [ReasonCode.TAKEN, ReasonCode.PAGED]
    assert step(small) == 32


def test_below_its_demand_a_guest_gives_what_it_has_available_first() -> None:
    web = line(target=2000, urgent=True)
    needy = line("needy", target=500, demand_bytes=1000, available_bytes=400)

    planned(web, needy)

    assert step(needy) == 200


@pytest.mark.parametrize(("plugged", "expected"), [(0, None), (30, 30)])
def test_a_guest_whose_balloon_does_not_give_way_pages_by_unplug_alone(
    plugged: int, expected: int | None
) -> None:
    web = line(target=2000, urgent=True)
    needy = line("needy", target=500, demand_bytes=950, available_bytes=10, pageable_bytes=plugged)

    planned(web, needy)

    if expected is None:
        assert codes(needy) == [ReasonCode.NO_SAFE_PAGING]
    else:
        assert step(needy) == expected


def test_the_pool_is_filled_from_what_nobody_needs() -> None:
    idle = line("idle", target=700, demand_bytes=900)

    planned(idle, hand=10, pool=300)

    assert step(idle) == 100
    assert moved(idle).reasons[0].numbers["who"] == "the pool"


def test_the_pool_is_not_filled_from_what_a_guest_needs() -> None:
    needy = line("needy", target=700, demand_bytes=1000, available_bytes=200)

    planned(needy, hand=10, pool=300)

    assert codes(needy) == [ReasonCode.IN_USE]


def test_from_what_a_guest_needs_only_that_is_taken_for_which_others_wait() -> None:
    web = line(target=1020, urgent=True)
    needy = line("needy", target=700, demand_bytes=1000, available_bytes=200)

    planned(web, needy, pool=300)

    assert step(needy) == 20


def test_what_is_missing_is_what_others_wait_for_and_the_pool() -> None:
    web = line(target=1100, demand_bytes=1100, urgent=True)
    idle = line("idle", target=300, demand_bytes=300, available_bytes=900)

    planned(web, idle, hand=20, pool=100)

    assert moved(web).to_bytes == 1020 * MIB
    assert step(idle) == 180


@pytest.mark.parametrize("stuck_plug", [False, True])
def test_a_guest_that_rests_is_not_asked(stuck_plug: bool) -> None:
    idle = line("idle", target=500, stay=REST, stuck_plug=stuck_plug)

    planned(idle)

    assert codes(idle) == [ReasonCode.RESTING]


def test_a_guest_that_rests_is_not_asked_even_when_others_are_short() -> None:
    web, idle = line(target=2000, urgent=True), line("idle", target=500, stay=REST)

    planned(web, idle)

    assert codes(idle) == [ReasonCode.RESTING]


def test_a_stuck_unplug_falls_back_to_the_balloon_while_others_are_short() -> None:
    web = line(target=2000, urgent=True)
    idle = line("idle", target=500, stay=REST, stuck_plug=True, plugged_bytes=200)

    planned(web, idle)

    assert moved(idle).by_balloon
    assert moved(idle).reasons[-1].code is ReasonCode.BY_BALLOON
    assert moved(idle).reasons[-1].numbers == {"plugged_bytes": 200 * MIB}


def test_what_lies_idle_is_taken_back_slowly() -> None:
    idle = line(target=500)

    planned(idle)

    assert step(idle) == 50
    assert codes(idle) == [ReasonCode.TRICKLE]


@pytest.mark.parametrize(
    ("idle", "wait"),
    [(line(target=500, grown_at_s=970.0), 30), (line(target=500, shrunk_at_s=998.0), 8)],
)
def test_what_lies_idle_waits_for_its_time(idle: Line, wait: int) -> None:
    planned(idle)

    assert codes(idle) == [ReasonCode.SPARE]
    assert idle.holds[0].numbers["wait_s"] == wait


def test_the_trickle_leaves_what_the_guest_needs() -> None:
    needy = line(target=500, demand_bytes=970, available_bytes=300)
    busy = line("busy", target=500, demand_bytes=999, available_bytes=300)

    planned(needy, busy)

    assert step(needy) == 30
    assert codes(busy) == [ReasonCode.IN_USE]


def test_the_trickle_takes_nothing_where_nothing_is_available() -> None:
    idle = line(target=500, available_bytes=33)

    planned(idle)

    assert codes(idle) == [ReasonCode.NOTHING_TO_SPARE]


def test_a_small_excess_is_left_where_it_is() -> None:
    idle = line(target=960)

    planned(idle)

    assert codes(idle) == [ReasonCode.ENOUGH]


def test_a_guest_at_its_target_has_enough() -> None:
    there = line()

    planned(there, line("web", target=1500, urgent=True))

    assert codes(there) == [ReasonCode.ENOUGH]


def test_a_guest_above_its_maximum_gives_back_without_waiting_and_to_the_last_step() -> None:
    large = line(target=990, maximum_bytes=990, grown_at_s=999.0, shrunk_at_s=999.0)

    planned(large)

    assert step(large) == 10
    assert codes(large) == [ReasonCode.TRICKLE, ReasonCode.ABOVE_MAXIMUM]


def test_a_guest_above_its_maximum_is_not_made_to_page_for_nobody() -> None:
    large = line(target=900, maximum_bytes=900, demand_bytes=1000, available_bytes=20)

    planned(large)

    assert codes(large) == [ReasonCode.NOTHING_TO_SPARE]


def test_a_guest_that_does_not_take_says_so_instead_of_having_enough() -> None:
    refuse = because(ReasonCode.RESTING, wait_s=3.0, failures=1, did="take")
    deaf, content = line(want_bytes=1500, refuse=refuse), line("db", refuse=refuse)

    planned(deaf, content)

    assert codes(deaf) == [ReasonCode.RESTING]
    assert codes(content) == [ReasonCode.ENOUGH]


def test_a_guest_that_has_its_share_and_needs_more_is_said_to_be_short() -> None:
    squeezed = line(actual=400, target=400, demand_bytes=700)

    planned(squeezed)

    assert codes(squeezed) == [ReasonCode.SHORT]


def test_what_a_calm_guest_is_trimmed_by_may_fill_the_pool_and_is_called_that() -> None:
    """It looks as if it needed more than it has, and does not notice."""
    calm = line(target=990, demand_bytes=1300, available_bytes=0, trim_bytes=988)

    planned(calm, hand=-10, pool=20)

    assert step(calm) == 10
    assert codes(calm) == [ReasonCode.TRIMMED]


def test_a_calm_guest_that_others_need_more_than_its_trimming_from_pages_for_them() -> None:
    calm = line("db", target=900, demand_bytes=1300, available_bytes=0, trim_bytes=988)
    web = line("web", target=1200, demand_bytes=1300, urgent=True, pressing=True)

    planned(calm, web)

    assert step(calm) == 100
    assert codes(calm)[0] is ReasonCode.TAKEN
