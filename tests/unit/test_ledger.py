from __future__ import annotations

import pytest

from barostat.core.ledger import Ledger, held_bytes


def test_what_is_not_promised_is_in_hand() -> None:
    ledger = Ledger(1000)
    ledger.promise("web", 300)
    ledger.promise("db", 500)

    assert ledger.promised_bytes == 800
    assert ledger.in_hand_bytes == 200


def test_a_new_promise_replaces_the_last_one() -> None:
    ledger = Ledger(1000)
    ledger.promise("web", 300)
    ledger.promise("web", 250)

    assert ledger.promised_to("web") == ledger.promised_bytes == 250


def test_a_guest_that_is_not_known_is_promised_nothing() -> None:
    assert Ledger(1000).promised_to("web") == 0


@pytest.mark.parametrize("sizes", [(500, 100, 100), (100, 500, 100), (100, 100, 500)])
def test_a_guest_holds_the_most_that_it_has_may_take_or_was_asked_to_have(
    sizes: tuple[int, int, int],
) -> None:
    assert held_bytes(*sizes) == 500


def test_a_grant_is_made_from_what_is_in_hand() -> None:
    ledger = Ledger(1000)
    ledger.promise("web", 300)

    assert ledger.grant("web", 900) == 900
    assert ledger.in_hand_bytes == 100


def test_a_grant_that_is_not_covered_is_cut() -> None:
    ledger = Ledger(1000)
    ledger.promise("web", 300)
    ledger.promise("db", 500)

    assert ledger.grant("web", 900) == 500
    assert ledger.in_hand_bytes == 0


def test_a_grant_leaves_what_it_was_told_to_leave() -> None:
    ledger = Ledger(1000)
    ledger.promise("web", 300)

    assert ledger.grant("web", 900, leave_bytes=600) == 400


@pytest.mark.parametrize(("wanted", "leave"), [(200, 0), (300, 0), (900, 800), (900, 700)])
def test_a_grant_never_takes_away(wanted: int, leave: int) -> None:
    ledger = Ledger(1000)
    ledger.promise("web", 300)

    assert ledger.grant("web", wanted, leave_bytes=leave) == 300
    assert ledger.promised_bytes == 300


def test_when_more_is_promised_than_there_is_nothing_is_granted() -> None:
    ledger = Ledger(1000)
    ledger.promise("web", 300)
    ledger.promise("db", 900)

    assert ledger.in_hand_bytes == -200
    assert ledger.grant("web", 301) == 300
