from __future__ import annotations

import pytest
from tests.unit.builders import POLICY

from barostat.core.cooperation import Verdict, WishState, aim, judge
from barostat.units import MIB

FOUND = WishState(goal_bytes=1000 * MIB, from_bytes=1000 * MIB)


def asked(goal: int, *, actual: int = 1000, at: float = 0.0, wish: WishState = FOUND) -> WishState:
    return aim(wish, goal * MIB, actual_bytes=actual * MIB, now_s=at)


def look(
    wish: WishState, actual: float, at: float, *, unfinished: bool = True
) -> tuple[WishState, Verdict]:
    return judge(
        wish,
        actual_bytes=int(actual * MIB),
        granularity_bytes=2 * MIB,
        unfinished=unfinished,
        now_s=at,
        policy=POLICY,
    )


def stuck(wish: WishState, actual: int, at: float) -> WishState:
    """Let a wish come to nothing, and cancel it."""
    failed, verdict = look(wish, actual, at)
    assert verdict is Verdict.STUCK
    return asked(actual, actual=actual, at=at, wish=failed)


def test_a_guest_that_was_asked_nothing_is_idle() -> None:
    assert look(FOUND, 1000, 5) == (FOUND, Verdict.IDLE)


def test_a_goal_is_reached_within_the_step_of_the_coarsest_device() -> None:
    assert look(asked(900), 901.5, 1)[1] is Verdict.IDLE
    assert look(asked(900), 902, 1)[1] is not Verdict.IDLE


def test_a_guest_that_comes_nearer_is_moving_and_its_clock_starts_again() -> None:
    moved, verdict = look(asked(900), 950, 4)

    assert verdict is Verdict.MOVING
    assert look(moved, 950, 8)[1] is not Verdict.STUCK
    assert look(moved, 950, 9)[1] is Verdict.STUCK


def test_without_progress_the_wish_is_written_again_once_in_a_while() -> None:
    wish = asked(900)
    assert look(wish, 1000, 1) == (wish, Verdict.MOVING)

    nudged, verdict = look(wish, 1000, 2.5)

    assert verdict is Verdict.NUDGE
    assert look(nudged, 1000, 3.5)[1] is Verdict.MOVING


def test_a_guest_without_progress_is_stuck_and_rests_twice_as_long_each_time() -> None:
    wish, pauses = FOUND, []
    for round_ in range(7):
        at = 1000.0 * round_
        wish = stuck(asked(900, at=at, wish=wish), 1000, at + 5)
        pauses.append(wish.giving.rest_until_s - at - 5)

    assert pauses == [30, 60, 120, 240, 480, 600, 600]
    assert wish.giving.failures == 7


def test_a_guest_that_is_stuck_for_weeks_breaks_nothing() -> None:
    wish = FOUND
    for round_ in range(1100):
        wish = stuck(asked(900, at=1000.0 * round_, wish=wish), 1000, 1000.0 * round_ + 5)

    assert wish.giving.failures == 1100


@pytest.mark.parametrize(("actual", "failures"), [(910, 0), (911, 1)])
def test_a_guest_that_did_nearly_all_and_stops_is_let_go_with_a_clean_name(
    actual: int, failures: int
) -> None:
    moved, _ = look(asked(900), actual, 1)

    wish, verdict = look(moved, actual, 6)

    assert verdict is Verdict.STUCK
    assert wish.giving.failures == failures


def test_a_crumb_now_and_then_is_no_progress() -> None:
    wish, verdict = asked(500), Verdict.MOVING
    for second in range(1, 7):
        wish, verdict = look(wish, 1000 - second, second)
        if verdict is Verdict.STUCK:
            break

    assert verdict is Verdict.STUCK


def test_a_guest_that_comes_nearer_little_by_little_is_not_stuck() -> None:
    wish, verdicts = asked(500), set()
    for second in range(1, 50):
        wish, verdict = look(wish, 1000 - 10 * second, second)
        verdicts.add(verdict)

    assert verdicts == {Verdict.MOVING}


def test_the_first_failure_leaves_a_second_chance_and_the_next_one_does_not() -> None:
    first = stuck(asked(900), 1000, 5)
    second = stuck(asked(900, at=10, wish=first), 1000, 15)

    assert first.giving.second_chance
    assert not second.giving.second_chance


def test_giving_clears_the_name_of_one_that_did_not_give() -> None:
    tried = asked(900, at=100, wish=stuck(asked(900), 1000, 5))

    wish, verdict = look(tried, 900, 101)

    assert verdict is Verdict.IDLE
    assert wish.giving.failures == 0


def test_growing_does_not_clear_the_name_of_one_that_did_not_give() -> None:
    grown = asked(1100, at=100, wish=stuck(asked(900), 1000, 5))

    wish, verdict = look(grown, 1100, 101)

    assert verdict is Verdict.IDLE
    assert wish.giving.failures == 1


def test_one_that_does_not_take_rests_from_growing_alone_and_shortly_at_first() -> None:
    wish = stuck(asked(1100), 1000, 5)

    assert wish.taking.rest_until_s == 5 + POLICY.stuck_s
    assert wish.giving.failures == 0


def test_taking_clears_the_name_of_one_that_did_not_take() -> None:
    tried = asked(1100, at=100, wish=stuck(asked(1100), 1000, 5))

    assert look(tried, 1100, 101)[0].taking.failures == 0


def test_a_cancelled_wish_clears_nobodys_name() -> None:
    wish = stuck(asked(900), 1000, 5)

    assert look(wish, 1000, 6) == (wish, Verdict.IDLE)


def test_a_grow_that_goes_further_wins_no_more_patience() -> None:
    wish = asked(1100)
    for second in range(1, 5):
        wish, verdict = look(wish, 1000, second)
        assert verdict is not Verdict.STUCK
        wish = aim(
            wish,
            (1100 + 50 * second) * MIB,
            actual_bytes=1000 * MIB,
            now_s=second,
            under_way=True,
        )

    assert look(wish, 1000, 5)[1] is Verdict.STUCK


def test_a_grow_after_one_that_arrived_has_all_its_patience() -> None:
    there, _ = look(asked(1100), 1100, 50)

    again = asked(1200, actual=1100, at=50, wish=there)

    assert look(again, 1100, 51)[1] is Verdict.MOVING


def test_a_shrink_that_replaces_another_starts_afresh() -> None:
    again = aim(asked(900), 800 * MIB, actual_bytes=950 * MIB, now_s=4, under_way=True)

    assert look(again, 950, 8)[1] is not Verdict.STUCK


def test_a_guest_that_takes_back_what_it_gave_has_strayed_and_rests() -> None:
    there, _ = look(asked(900), 900, 1)

    wish, verdict = look(there, 960, 2)

    assert verdict is Verdict.STRAYED
    assert wish.giving.rest_until_s == 2 + POLICY.rest_low_s
    assert not wish.giving.second_chance


def test_a_guest_that_goes_on_giving_because_it_was_never_told_to_stop_has_strayed() -> None:
    stopped = asked(950, actual=950, at=1, wish=asked(900))

    wish, verdict = look(stopped, 920, 2)

    assert verdict is Verdict.STRAYED
    assert wish.giving.failures == 0


@pytest.mark.parametrize("actual", [920, 980])
def test_a_guest_that_moved_and_whose_devices_want_nothing_else_is_simply_there(
    actual: int,
) -> None:
    stopped = asked(950, actual=950, at=1, wish=asked(900))

    wish, verdict = look(stopped, actual, 2, unfinished=False)

    assert verdict is Verdict.IDLE
    assert wish.goal_bytes == actual * MIB
