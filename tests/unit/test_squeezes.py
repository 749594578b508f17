"""Who needed back what others had of it pages no more for them, for a while."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.builders import POLICY, line
from tests.unit.planning import codes, planned, step

from barostat.core.moves import Line
from barostat.core.reasons import ReasonCode
from barostat.core.squeezes import Squeeze, squeezed
from barostat.units import MIB

REGAINED = Squeeze(
    at_s=990.0, to_bytes=900 * MIB, regained_bytes=60 * MIB, failures=1, rest_until_s=1020.0
)


def asked(
    last: Squeeze | None, to: int, *, at: float, had: int = 1000, demand: int | None = 1200
) -> Squeeze | None:
    """Note a move from what it had to what it is asked for, in MiB."""
    return squeezed(
        last,
        from_bytes=had * MIB,
        to_bytes=to * MIB,
        demand_bytes=None if demand is None else demand * MIB,
        now_s=at,
        policy=POLICY,
    )


def regained(last: Squeeze | None, *, at: float) -> Squeeze:
    """Have it squeezed by 50 MiB, and given that again a second later."""
    found = asked(asked(last, 950, at=at), 1000, had=950, at=at + 1)
    assert found is not None
    return found


def needy(*, above: int = 50, squeeze: Squeeze | None = REGAINED) -> Line:
    return line("db", target=1000 - above, demand_bytes=1200, squeeze=squeeze)


def short() -> Line:
    return line("web", target=1500, demand_bytes=1600, urgent=True, pressing=True)


def test_a_guest_that_gives_what_it_does_not_need_is_not_squeezed() -> None:
    assert asked(None, 900, demand=800, at=10) is None
    assert asked(None, 900, demand=None, at=10) is None


def test_a_guest_that_keeps_being_without_what_it_gave_is_squeezed_again_without_a_rest() -> None:
    first = asked(None, 950, at=10)
    later = asked(first, 900, had=950, at=300)

    assert later == Squeeze(at_s=300, to_bytes=900 * MIB)
    assert asked(later, 1000, had=900, at=300 + POLICY.minute_s + 1) is later
    assert asked(later, 900, had=900, at=301) is later


def test_a_guest_that_needs_it_back_at_once_rests_longer_each_time() -> None:
    first = regained(None, at=100)
    second = regained(first, at=first.rest_until_s)
    third = regained(second, at=second.rest_until_s)
    fourth = regained(third, at=third.rest_until_s)

    rests = [found.rest_until_s - found.at_s - 1 for found in (first, second, third, fourth)]
    assert rests == [30, 60, 120, 120]
    assert fourth.regained_bytes == 50 * MIB


def test_when_it_came_long_ago_it_counts_no_more() -> None:
    first = regained(None, at=100)

    again = regained(first, at=first.rest_until_s + POLICY.minute_s + 1)

    assert again.failures == 1


def test_what_is_given_back_piece_by_piece_is_one_time() -> None:
    first = regained(None, at=100)

    more = asked(first, 1020, at=102)

    assert more == replace(first, regained_bytes=70 * MIB)
    assert asked(Squeeze(at_s=100, to_bytes=1000 * MIB), 990, had=980, at=101) == Squeeze(
        at_s=100, to_bytes=1000 * MIB
    )


def test_a_guest_at_rest_does_not_page_for_other_guests() -> None:
    db, web = needy(), short()

    planned(db, web)

    assert db.move is None
    assert codes(db) == [ReasonCode.REGAINED]


@pytest.mark.parametrize("squeeze", [None, replace(REGAINED, rest_until_s=1000.0)])
def test_one_that_is_not_at_rest_does(squeeze: Squeeze | None) -> None:
    db, web = needy(squeeze=squeeze), short()

    planned(db, web)

    assert step(db) == 50


def test_where_far_more_is_at_stake_nobody_rests() -> None:
    db, web = needy(above=120), short()

    planned(db, web)

    assert step(db) == 120


def test_for_one_below_its_minimum_and_for_a_vm_that_starts_nobody_rests() -> None:
    db, web = needy(), short()
    web.minimum_bytes = 1200 * MIB
    planned(db, web)
    assert step(db) == 50

    db = needy()
    planned(db, awaited=50)
    assert step(db) == 50
