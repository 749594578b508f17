"""Smart Paging: the host pages for a guest that restarts, what is missing, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.builders import codes, of
from tests.unit.paging_scenarios import (
    FULL_MIB,
    Place,
    boots,
    db,
    paged_mib,
    restarted,
    status_of_web,
    web,
)

from barostat.core.decide import unmoved
from barostat.core.moves import MoveKind
from barostat.core.observation import RunState
from barostat.core.paging import MOST_S
from barostat.core.pressure import Status
from barostat.core.reasons import ReasonCode
from barostat.units import MIB


@pytest.mark.trust("capacity", "a VM restarts larger than what the host has left")
def test_what_is_missing_for_a_guest_that_restarts_is_paged_and_not_promised() -> None:
    _, decision = restarted()

    assert paged_mib(decision) == 512
    assert of(decision).promised_bytes == 512 * MIB
    assert decision.promised_bytes == FULL_MIB * MIB
    assert decision.alarms == ()


def test_a_guest_that_is_paged_has_the_status_paging_and_says_why() -> None:
    _, decision = restarted()

    assert status_of_web(decision) is Status.PAGING
    assert codes(decision) == [ReasonCode.BOOTING, ReasonCode.PAGING]
    assert of(decision).reasons[1].numbers == {"paged_bytes": 512 * MIB, "most_s": MOST_S}


def test_memory_for_a_guest_that_is_paged_is_asked_from_those_that_have_more_than_they_need() -> (
    None
):
    place = Place()
    place.runs()
    now = place.now + 20
    rich = replace(db(now), statistics=web(now, has=1024).statistics)

    decision = place.tick(boots(now), rich, after_s=20)

    move = of(decision, "db").move
    assert move is not None
    assert move.kind is MoveKind.SHRINK
    assert [reason.code for reason in move.reasons] == [ReasonCode.TAKEN]


def test_what_others_gave_is_paged_no_more() -> None:
    place, _ = restarted()
    reset = boots(place.now)

    decision = place.tick(reset, db(place.now + 1, balloon=80))

    assert paged_mib(decision) == 512 - 80


@pytest.mark.trust("rest")
def test_paging_is_over_when_all_has_been_found_and_does_not_begin_again() -> None:
    place, _ = restarted()
    reset = boots(place.now)
    place.capacity += 512
    found = place.tick(reset, db(place.now + 1))

    place.capacity -= 100
    later = place.tick(reset, db(place.now + 1))

    assert paged_mib(found) == 0
    assert status_of_web(found) is not Status.PAGING
    assert paged_mib(later) == 0


def test_paging_ends_when_the_guest_s_balloon_has_taken_back_what_it_had() -> None:
    place, _ = restarted()
    since = place.now

    loaded = place.tick(web(place.now + 1, has=900, since=since), db(place.now + 1))
    shrunk = place.tick(web(place.now + 1, has=512, since=since), db(place.now + 1))

    assert paged_mib(loaded) == 900 - 512
    assert status_of_web(loaded) is Status.PAGING
    assert paged_mib(shrunk) == 0
    assert status_of_web(shrunk) is not Status.PAGING


def test_a_guest_that_is_reset_while_it_is_paged_does_not_begin_anew() -> None:
    place, decision = restarted()
    for _ in range(int(MOST_S) // 60 - 1):
        decision = place.resets(after_s=60)
    assert paged_mib(decision) == 512

    decision = place.resets(after_s=61)

    assert paged_mib(decision) == 0


@pytest.mark.trust("doubt", "the host has no swap that it could page to")
def test_a_host_that_cannot_page_says_why_and_that_more_is_promised_than_there_is() -> None:
    _, decision = restarted(Place(why_not="it has no swap"))

    assert paged_mib(decision) == 0
    assert codes(decision) == [ReasonCode.BOOTING, ReasonCode.NOT_PAGED]
    assert [alarm.code for alarm in decision.alarms] == [ReasonCode.CAPACITY_LOST]


def test_a_host_with_too_little_swap_pages_nothing() -> None:
    _, decision = restarted(Place(swap=511))

    assert paged_mib(decision) == 0


def test_two_guests_that_restart_do_not_have_the_same_swap() -> None:
    place = Place(capacity=2048, swap=900)
    at = place.now + 1
    place.tick(web(at), replace(web(at), name="web2"), db(at))
    at = place.now + 1

    decision = place.tick(boots(at), replace(boots(at), name="web2"), db(at))

    assert [of(decision, name).paged_bytes // MIB for name in ("web", "web2")] == [768, 0]


def test_a_guest_that_restarts_with_all_that_it_had_is_not_paged() -> None:
    _, decision = restarted(Place(capacity=FULL_MIB + 512))

    assert paged_mib(decision) == 0
    assert codes(decision) == [ReasonCode.BOOTING]


def test_a_guest_without_dynamic_memory_is_not_paged() -> None:
    place, _ = restarted()
    place.enabled = False

    decision = place.tick(boots(place.now), db(place.now + 1))

    assert paged_mib(decision) == 0
    assert status_of_web(decision) is Status.UNKNOWN


def test_a_guest_that_is_paused_while_it_is_paged_stays_paged() -> None:
    place, _ = restarted()
    stopped = replace(boots(place.now), run_state=RunState.PAUSED)

    assert paged_mib(place.tick(stopped, db(place.now + 1))) == 512


def test_paging_goes_on_where_nothing_of_a_decision_is_carried_out() -> None:
    place, decision = restarted()
    place.state = unmoved(decision)

    assert paged_mib(place.tick(boots(place.now), db(place.now + 1))) == 512


def test_a_decision_out_of_turn_for_another_leaves_paging_as_it_is() -> None:
    place, first = restarted()
    place.hurried = ("db",)

    decision = place.tick(boots(place.now), db(place.now + 1))

    assert paged_mib(decision) == 512
    assert of(decision).promised_bytes == of(first).promised_bytes
