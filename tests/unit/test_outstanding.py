"""What becomes of the wish that a guest has not come to yet."""

from __future__ import annotations

import pytest
from tests.unit.builders import line
from tests.unit.planning import codes, moved, planned

from barostat.core.cooperation import Verdict
from barostat.core.moves import MoveKind
from barostat.core.reasons import ReasonCode
from barostat.units import MIB


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


def test_a_guest_that_is_let_go_is_asked_for_nothing_new_in_the_same_breath() -> None:
    giving = line(target=1400, goal_bytes=900, verdict=Verdict.STUCK)

    planned(giving, hand=1000)

    assert moved(giving).kind is MoveKind.CANCEL
    assert codes(giving) == [ReasonCode.STUCK]


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
