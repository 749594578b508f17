"""The soak's books tell what a fault took from what the daemon gave."""

from __future__ import annotations

import math

import pytest
from tests.soak.books import Books, Sizes, growth, held_bytes, promised_too_much

from barostat.core.moves import MoveKind
from barostat.service.documents import Guest, Host, Move, Overview
from barostat.units import MIB


def sizes(base_mib: int, *, plugged_mib: int = 0, requested_mib: int = 0) -> Sizes:
    return Sizes(
        base_bytes=base_mib * MIB,
        plugged_bytes=plugged_mib * MIB,
        requested_bytes=requested_mib * MIB,
    )


def overview(*grown: tuple[str, int], promised_mib: int = 0, capacity_mib: int = 1000) -> Overview:
    guests = tuple(
        Guest.model_construct(
            name=name, move=Move(kind=MoveKind.GROW, from_bytes=0, to_bytes=to_mib * MIB)
        )
        for name, to_mib in grown
    )
    host = Host.model_construct(
        promised_bytes=promised_mib * MIB, capacity_bytes=capacity_mib * MIB
    )
    return Overview.model_construct(host=host, guests=guests)


def test_what_nothing_excuses_is_told_once() -> None:
    books = Books()

    assert [books.judge(excess, now_s=0) for excess in (-9, 0, 5, 5, 4, 5)] == [0, 0, 5, 0, 0, 1]


def test_a_fault_excuses_as_much_as_it_took_and_no_more() -> None:
    books = Books()
    books.excuse("a guest is reset", 100, until_s=60)

    assert books.judge(100, now_s=1) == 0
    assert books.judge(130, now_s=2) == 30


def test_what_is_too_much_when_its_excuse_ends_may_only_become_less() -> None:
    books = Books()
    books.excuse("a guest is reset", 100, until_s=60)

    assert [books.judge(excess, now_s=61) for excess in (80, 70, 70, 75)] == [0, 0, 0, 5]


def test_capacity_that_has_returned_excuses_nothing() -> None:
    books = Books()
    loss = books.excuse("the host lost memory", 100)
    assert books.judge(100, now_s=10) == 0

    loss.until_s = 20

    assert books.judge(0, now_s=20) == 0
    assert books.judge(1, now_s=21) == 1
    assert books.excuses == []


def test_an_excuse_without_an_end_holds_until_it_is_given_one() -> None:
    assert Books().excuse("the host lost memory", 1).until_s == math.inf


def test_a_guest_holds_what_it_has_or_may_plug_or_was_granted() -> None:
    seen = {
        "plugs": sizes(256, plugged_mib=10, requested_mib=20),
        "unplugs": sizes(256, plugged_mib=30, requested_mib=10),
        "grows": sizes(200),
    }

    assert held_bytes([seen], [overview(("grows", 240))]) == (276 + 286 + 240) * MIB


def test_memory_that_went_from_one_to_another_between_two_looks_is_not_counted_twice() -> None:
    before = {"giver": sizes(256), "taker": sizes(300)}
    after = {"giver": sizes(200), "taker": sizes(300)}

    assert held_bytes([before, after], [None, None]) == 500 * MIB


def test_a_grant_that_was_recalled_between_two_looks_does_not_count() -> None:
    seen = {"web": sizes(256)}

    assert held_bytes([seen], [overview(("web", 400)), overview()]) == 256 * MIB


@pytest.mark.parametrize(
    ("promised_mib", "grown", "who"),
    [(1000, ("web",), ""), (1001, (), ""), (1001, ("web", "db"), "db, web granted")],
)
def test_a_grant_by_a_pass_that_promises_more_than_there_is_is_told(
    promised_mib: int, grown: tuple[str, ...], who: str
) -> None:
    said = promised_too_much(overview(*((name, 300) for name in grown), promised_mib=promised_mib))

    assert said.startswith(who)
    assert bool(said) == bool(who)


def test_growth_is_of_medians_so_that_a_spike_is_none() -> None:
    samples = [(float(second), 10.0 + second / 10) for second in range(100)]
    samples[-1] = (99.0, 500.0)

    assert growth(samples, window_s=10) == pytest.approx(8.9, abs=0.2)
    assert growth([], window_s=10) == 0
