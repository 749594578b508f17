"""The plan: outstanding wishes, who is served, who is asked, and for how much."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tests.unit.builders import POLICY, line

from barostat.core.cooperation import Verdict
from barostat.core.ledger import Ledger
from barostat.core.moves import Line, Move, MoveKind
from barostat.core.plan import plan
from barostat.core.reasons import ReasonCode, because
from barostat.units import MIB

REST = because(ReasonCode.RESTING, wait_s=3.0, failures=1, did="give")


def planned(
    *lines: Line,
    hand: int = 0,
    pool: int = 0,
    awaited: int = 0,
    now: float = 1000.0,
) -> Ledger:
    """Plan with so much in hand besides what the lines have or were asked to have."""
    promised = [max(item.actual_bytes, item.goal_bytes) for item in lines]
    ledger = Ledger(sum(promised) + hand * MIB)
    for item, size in zip(lines, promised, strict=True):
        ledger.promise(item.guest, size)
    plan(
        lines,
        ledger,
        now_s=now,
        pool_bytes=pool * MIB,
        awaited_bytes=awaited * MIB,
        policy=POLICY,
    )
    return ledger


def moved(item: Line) -> Move:
    assert item.move is not None, item.holds
    return item.move


def step(item: Line) -> int:
    """How much a guest is asked to give, in MiB."""
    move = moved(item)
    assert move.kind is MoveKind.SHRINK
    return (move.from_bytes - move.to_bytes) // MIB


def codes(item: Line) -> Sequence[ReasonCode]:
    return [why.code for why in (item.holds if item.move is None else item.move.reasons)]


# Outstanding wishes.


def test_a_guest_under_way_is_waited_for() -> None:
    giving = line(target=700, goal_bytes=900, verdict=Verdict.MOVING)

    planned(giving)

    assert giving.move is None
    assert codes(giving) == [ReasonCode.MOVING]


def test_a_guest_that_stopped_is_told_again_in_the_same_words() -> None:
    giving = line(goal_bytes=900, verdict=Verdict.NUDGE, by_balloon=True)

    planned(giving)

    assert moved(giving).kind is MoveKind.NUDGE
    assert moved(giving).to_bytes == 900 * MIB
    assert moved(giving).by_balloon
    assert codes(giving) == [ReasonCode.NUDGED]


@pytest.mark.parametrize(
    ("verdict", "code"),
    [(Verdict.STUCK, ReasonCode.STUCK), (Verdict.STRAYED, ReasonCode.STRAYED)],
)
def test_a_guest_that_is_stuck_or_strayed_is_let_go(verdict: Verdict, code: ReasonCode) -> None:
    giving = line(target=700, goal_bytes=900, verdict=verdict)

    planned(giving)

    assert moved(giving).kind is MoveKind.CANCEL
    assert moved(giving).to_bytes == giving.actual_bytes
    assert codes(giving) == [code]


def test_a_wish_of_somebody_before_us_is_cancelled() -> None:
    found = line(target=700, foreign=True)

    planned(found)

    assert moved(found).kind is MoveKind.CANCEL
    assert codes(found) == [ReasonCode.ADOPTED]


def test_a_grow_under_way_is_recalled_when_more_is_promised_than_there_is() -> None:
    growing = line(target=1400, goal_bytes=1400, verdict=Verdict.MOVING, urgent=True)
    giving = line("db", target=500, goal_bytes=900, verdict=Verdict.MOVING)

    planned(growing, giving, hand=-100)

    assert moved(growing).kind is MoveKind.CANCEL
    assert codes(growing) == [ReasonCode.RECALLED]
    assert codes(giving) == [ReasonCode.MOVING]


def test_a_shrink_that_is_needed_back_is_cancelled() -> None:
    giving = line(target=950, goal_bytes=900, verdict=Verdict.MOVING, urgent=True)

    planned(giving, hand=500)

    assert moved(giving).kind is MoveKind.CANCEL
    assert codes(giving) == [ReasonCode.NEEDED_BACK]


def test_a_shrink_is_not_cancelled_for_less_than_a_step() -> None:
    giving = line(target=901, goal_bytes=900, verdict=Verdict.MOVING, urgent=True)

    planned(giving)

    assert giving.move is None


@pytest.mark.parametrize("verdict", [Verdict.MOVING, Verdict.NUDGE, Verdict.STUCK, Verdict.STRAYED])
def test_a_pressing_guest_grows_at_once_in_place_of_what_it_was_asked(verdict: Verdict) -> None:
    giving = line(target=1200, goal_bytes=900, verdict=verdict, urgent=True)

    planned(giving, hand=500)

    assert moved(giving).kind is MoveKind.GROW
    assert moved(giving).to_bytes == 1200 * MIB


def test_a_pressing_guest_that_cannot_be_served_still_has_its_shrink_cancelled() -> None:
    giving = line(target=1200, goal_bytes=900, verdict=Verdict.MOVING, urgent=True)

    planned(giving)

    assert moved(giving).kind is MoveKind.CANCEL
    assert [why.code for why in giving.holds] == [ReasonCode.WAITING]


def test_a_pressing_guest_under_way_is_given_more_without_waiting() -> None:
    growing = line(target=1400, goal_bytes=1100, verdict=Verdict.MOVING, urgent=True)

    planned(growing, hand=500)

    assert moved(growing).to_bytes == 1400 * MIB


def test_a_nudge_is_not_lost_when_more_cannot_be_given() -> None:
    growing = line(target=1400, goal_bytes=1100, verdict=Verdict.NUDGE, urgent=True)

    planned(growing)

    assert moved(growing).kind is MoveKind.NUDGE
    assert moved(growing).to_bytes == 1100 * MIB


def test_a_guest_under_way_that_does_not_press_waits_for_its_end() -> None:
    growing = line(target=1400, goal_bytes=1100, verdict=Verdict.MOVING)

    planned(growing, hand=500)

    assert growing.move is None
    assert codes(growing) == [ReasonCode.MOVING]


def test_a_guest_under_way_is_not_asked_for_more() -> None:
    growing = line(target=1101, goal_bytes=1100, verdict=Verdict.MOVING, urgent=True)

    planned(growing, line("db", target=2000, urgent=True))

    assert growing.move is None


def test_a_guest_that_was_just_let_go_is_not_asked_to_give() -> None:
    stuck = line(target=1001, goal_bytes=900, verdict=Verdict.STUCK, urgent=True)

    planned(stuck, line("db", target=2000, urgent=True))

    assert moved(stuck).kind is MoveKind.CANCEL
    assert stuck.holds == []


# Giving.


def test_a_guest_grows_to_its_target_from_memory_in_hand() -> None:
    web = line(target=1500)

    ledger = planned(web, hand=800)

    assert moved(web).kind is MoveKind.GROW
    assert moved(web).to_bytes == 1500 * MIB
    assert codes(web) == [ReasonCode.DEMAND]
    assert ledger.in_hand_bytes == 300 * MIB


def test_a_guest_gets_what_there_is_and_the_rest_is_taken_from_others() -> None:
    web, db = line(target=1500, urgent=True), line("db", target=600)

    planned(web, db, hand=200)

    assert moved(web).to_bytes == 1200 * MIB
    assert codes(web) == [ReasonCode.DEMAND, ReasonCode.PARTIAL]
    assert step(db) == 250, "half of what it has available"
    assert moved(db).reasons[0].numbers["who"] == "web"


def test_a_grant_too_small_to_be_carried_out_is_not_made() -> None:
    web = line(target=1500, granularity_bytes=128)

    ledger = planned(web, hand=100)

    assert web.move is None
    assert codes(web) == [ReasonCode.WAITING]
    assert ledger.in_hand_bytes == 100 * MIB


def test_a_small_difference_is_not_worth_a_move() -> None:
    web, pressing = line(target=1040), line("db", target=1040, urgent=True)

    planned(web, pressing, hand=800)

    assert web.move is None
    assert moved(pressing).to_bytes == 1040 * MIB


def test_a_guest_below_its_minimum_does_not_wait_for_the_dead_band() -> None:
    web = line(target=1010, minimum_bytes=1010)

    planned(web, hand=800)

    assert codes(web) == [ReasonCode.BELOW_MINIMUM, ReasonCode.DEMAND]


def test_the_reasons_for_a_grow_name_distress_and_growth() -> None:
    web = line(target=1500, urgent=True, distressed=True, growth_bytes_per_s=400.0 * MIB)

    planned(web, hand=800)

    assert codes(web) == [ReasonCode.DISTRESS, ReasonCode.GROWTH, ReasonCode.DEMAND]


def test_what_all_need_comes_before_anyones_buffer() -> None:
    heavy = line("heavy", target=1400, demand_bytes=1100, urgent=True, weight=9000)
    light = line("light", target=1400, demand_bytes=1100, urgent=True, weight=1)

    planned(heavy, light, hand=250)

    assert moved(heavy).to_bytes == 1150 * MIB
    assert moved(light).to_bytes == 1100 * MIB


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (
            line("b", target=1400, demand_bytes=1400, urgent=True),
            line("a", target=1400, demand_bytes=1400, weight=9000),
        ),
        (
            line("b", target=1400, demand_bytes=1400, weight=6000),
            line("a", target=1400, demand_bytes=1400),
        ),
        (line("b", target=1400, demand_bytes=1400), line("a", target=1400, demand_bytes=1390)),
        (line("a", target=1400, demand_bytes=1400), line("b", target=1400, demand_bytes=1400)),
    ],
    ids=["the urgent", "the heavier", "the one under more pressure", "the first by name"],
)
def test_who_is_served_first(first: Line, second: Line) -> None:
    for item in (first, second):
        item.move = None
        item.holds.clear()

    planned(second, first, hand=100)

    assert moved(first).to_bytes == 1100 * MIB
    assert second.move is None


def test_buffers_leave_the_pool_alone_and_demand_does_not() -> None:
    buffer = line(target=1200, demand_bytes=900, urgent=True)
    demand = line(target=1200, demand_bytes=1150, urgent=True)

    planned(buffer, hand=100, pool=80)
    planned(demand, hand=100, pool=80)

    assert moved(buffer).to_bytes == 1020 * MIB
    assert moved(demand).to_bytes == 1100 * MIB


def test_nobody_grows_into_what_a_starting_vm_waits_for() -> None:
    web = line(target=1200, demand_bytes=1150, urgent=True)
    db = line("db", target=600)

    planned(web, db, hand=100, awaited=300)

    assert web.move is None
    assert codes(web) == [ReasonCode.WAITING]
    assert moved(db).reasons[0].numbers["who"] == "web, a VM that starts"


def test_buffers_leave_the_pool_besides_what_a_starting_vm_waits_for() -> None:
    web = line(target=1200, demand_bytes=900)

    planned(web, hand=100, awaited=40, pool=40)

    assert moved(web).to_bytes == 1020 * MIB


# Taking.


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


# The trickle.


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
