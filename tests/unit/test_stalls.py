"""Waiting for memory, and what is done about it."""

from __future__ import annotations

import pytest
from tests.unit.builders import (
    POLICY,
    Host,
    codes,
    devices,
    guest,
    heard,
    of,
    settings,
    statistics,
)

from barostat.core.explain import sentence
from barostat.core.moves import MoveKind
from barostat.core.observation import Depth, GuestObservation
from barostat.core.policy import DemandPolicy, Policy
from barostat.core.reasons import ReasonCode
from barostat.core.stalls import Stalls, begun, measured
from barostat.core.statistics import Inside, Statistics
from barostat.units import MIB

QUIET = statistics(devices(), 400)
HAS_MIB = 1000


def said(at: float, stalled_ms: float | None, scanned: int | None = None) -> Inside:
    """What a program says; by default its kernel scans all the time."""
    return Inside(
        at_s=at,
        stalled_us=None if stalled_ms is None else int(stalled_ms * 1000),
        scanned_bytes=int(at * MIB) if scanned is None else scanned,
    )


def after(
    *words: Inside, has: int = HAS_MIB, says: Statistics = QUIET, first: int = HAS_MIB
) -> Stalls | None:
    stalls = begun(words[0], QUIET, assigned_bytes=first * MIB)
    for inside in words[1:]:
        assert stalls is not None
        stalls = measured(stalls, inside, says, assigned_bytes=has * MIB, policy=POLICY)
    return stalls


def known(stalls: Stalls | None) -> Stalls:
    assert stalls is not None
    return stalls


@pytest.mark.parametrize(
    ("stalled_ms", "factor"), [(5, 1.0225), (16.6667, 1.25), (33.3334, 2), (900, 2)]
)
def test_what_is_wanted_grows_by_the_square_of_the_share_and_at_most_doubles(
    stalled_ms: float, factor: float
) -> None:
    stalls = known(after(said(100, 0), said(101, stalled_ms)))

    assert stalls.harmed
    assert stalls.want_bytes == pytest.approx(HAS_MIB * MIB * factor, rel=1e-4)


def test_a_wait_below_the_target_is_no_harm() -> None:
    stalls = known(after(said(100, 0), said(101, 1.6)))

    assert not stalls.harmed
    assert stalls.want_bytes == 0
    assert stalls.lately_ratio == pytest.approx(0.0016)


def test_the_share_is_taken_between_the_moments_at_which_the_program_spoke() -> None:
    assert known(after(said(100, 0), said(105, 500))).lately_ratio == pytest.approx(0.1)


def test_a_hiccup_of_a_tenth_of_a_second_is_not_multiplied_by_ten() -> None:
    often = known(after(said(100, 0), said(100.1, 10)))
    seldom = known(after(said(100, 0), said(101, 10)))

    assert often.want_bytes == seldom.want_bytes


def test_one_wait_is_answered_once_however_often_it_is_looked_at() -> None:
    words = [said(100, 0), *(said(100 + tenth / 10, 100) for tenth in range(1, 10))]

    assert known(after(*words, has=2 * HAS_MIB)).want_bytes == 2 * HAS_MIB * MIB


def test_a_harm_stands_until_the_next_whole_window_says_otherwise() -> None:
    waits = [said(100, 0), said(101, 50)]

    assert known(after(*waits, said(101.5, 50))).harmed
    assert known(after(*waits, said(101.5, 50))).lately_ratio == pytest.approx(0.05)
    assert not known(after(*waits, said(101.5, 50), said(102, 50))).harmed


def test_what_a_guest_was_given_meanwhile_does_not_raise_what_it_wants() -> None:
    stalls = known(after(said(100, 0), said(101, 100), first=HAS_MIB, has=1500))

    assert stalls.want_bytes == 2 * HAS_MIB * MIB


@pytest.mark.parametrize(
    ("inside", "says", "harmed"),
    [
        (said(101, 500, scanned=100 * MIB), QUIET, False),
        (said(101, 500, scanned=101 * MIB), QUIET, True),
        (said(101, 500, scanned=100 * MIB), statistics(devices(), 400, swap_out_bytes=9), False),
    ],
    ids=["a container's limit", "all of it reclaims", "a container's limit that swaps"],
)
def test_only_a_guest_that_is_short_itself_is_harmed(
    inside: Inside, says: Statistics, harmed: bool
) -> None:
    assert known(after(said(100, 0), inside, says=says)).harmed is harmed


@pytest.mark.parametrize(
    ("figures", "harmed"),
    [
        ({}, False),
        ({"alloc_stalls": 3}, True),
        ({"swap_in_bytes": 9}, True),
        ({"swap_out_bytes": 9}, True),
    ],
)
def test_where_nobody_says_what_was_scanned_stalled_allocations_and_swapping_tell(
    figures: dict[str, int], harmed: bool
) -> None:
    first, then = Inside(at_s=100, stalled_us=0), Inside(at_s=101, stalled_us=500_000)
    says = statistics(devices(), 400, **figures)

    assert known(after(first, then, says=says)).harmed is harmed


def test_a_guest_that_does_not_say_how_long_it_waited_is_not_judged_by_it() -> None:
    assert after(said(100, None)) is None
    assert after(said(100, 0), said(101, None)) is None


def test_a_counter_that_fell_means_another_boot() -> None:
    stalls = known(after(said(100, 900), said(101, 50)))

    assert not stalls.harmed
    assert stalls.since.at_s == 101


def test_calm_takes_a_whole_window() -> None:
    assert not known(after(said(100, 0))).calm(0.001)
    assert known(after(said(100, 0), said(101, 0.5))).calm(0.001)
    assert not known(after(said(100, 0), said(101, 2))).calm(0.001)
    assert not known(after(said(100, 0), said(101, 0.5), said(101.2, 3))).calm(0.001)


# As decided on.


def waiting(at: float, stalled_ms: float, *, used: int = 500, boot: int = 1024) -> GuestObservation:
    seen = guest(used=used, at=at, has=devices(boot))
    return heard(seen, stalled_us=int(stalled_ms * 1000), scanned_bytes=int(at * MIB))


def test_a_guest_that_waits_is_given_more_at_once_and_told_why() -> None:
    host = Host()
    host.tick(waiting(100, 0), at=100)

    decision = host.tick(waiting(101, 20), at=101)

    assert [move.kind for move in decision.moves] == [MoveKind.GROW]
    assert of(decision).promised_bytes == pytest.approx(1024 * MIB * 1.36, rel=0.01)
    assert codes(decision)[0] is ReasonCode.STALLED
    assert "2 % of the time" in sentence(of(decision).reasons[0])
    assert of(decision).demand_bytes == 564 * MIB, "it is a buffer, not demand"


def test_words_from_within_that_are_not_new_are_not_counted_again() -> None:
    host = Host()
    host.tick(waiting(100, 0), at=100)
    host.tick(waiting(101, 20), at=101)
    stalls = host.state.guests["web"].demand

    again = heard(guest(used=500, at=102), at=101, stalled_us=20_000, scanned_bytes=101 * MIB)
    host.tick(again, at=102)

    known_again = host.state.guests["web"].demand
    assert stalls is not None
    assert known_again is not None
    assert known_again.stalls is stalls.stalls


def test_harm_begins_to_be_measured_when_a_program_is_first_heard() -> None:
    host = Host()
    host.tick(guest(used=500, at=100), at=100)

    assert host.tick(waiting(101, 900), at=101).moves == ()
    assert [m.kind for m in host.tick(waiting(102, 950), at=102).moves] == [MoveKind.GROW]


def test_a_guest_that_claims_to_wait_takes_nothing_that_another_needs() -> None:
    host = Host(2400, policy=Policy(demand=DemandPolicy()))
    for at in (100, 101, 102, 103):
        liar = waiting(at, (at - 100) * 900.0, used=700)
        seen = guest("honest", used=900, at=at)
        decision = host.tick(seen, liar, at=at)
        assert of(decision, "honest").target_bytes >= 964 * MIB
        assert not any(m.guest == "honest" and m.kind is MoveKind.SHRINK for m in decision.moves)


def test_under_shortage_a_guest_that_claims_to_wait_keeps_no_more_than_its_share() -> None:
    host = Host(2060, settings={"web": settings(weight=1), "db": settings(1024)})
    seen = [
        (guest("db", used=980, at=at), waiting(at, (at - 100) * 900.0, used=300))
        for at in (100, 101, 102)
    ]
    *_, decision = [host.tick(*both, at=both[0].seen_at_s) for both in seen]

    assert [m.kind for m in decision.moves if m.guest == "web"] != [MoveKind.GROW]
    assert of(decision, "web").target_bytes < 1024 * MIB


def test_the_wait_of_a_guest_seen_through_qga_counts_too() -> None:
    host = Host()
    calm, waited = (
        heard(guest(used=500, at=at), by=Depth.QGA, stalled_us=us, scanned_bytes=at * MIB)
        for at, us in ((100, 0), (105, 400_000))
    )
    host.tick(calm, at=100)

    assert ReasonCode.STALLED in codes(host.tick(waited, at=105))
