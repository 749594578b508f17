"""A buffer that learns."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.builders import Host, guest, of, settings

from barostat.core.adaptive import Tuning, tuned
from barostat.core.decide import State
from barostat.core.policy import DemandPolicy, Policy
from barostat.units import MIB

LEARNING = Policy(demand=DemandPolicy(adaptive=True))
STEP, SHARE = LEARNING.demand.adaptive_step, LEARNING.demand.short_share


def learned(previous: Tuning | None, at: float, *, short: bool) -> Tuning:
    tuning = tuned(previous, at, short=short, policy=LEARNING)
    assert tuning is not None
    return tuning


def host(maximum: int = 2048) -> Host:
    return Host(policy=LEARNING, settings={"web": settings(maximum=maximum)})


def extra(of_host: Host) -> float:
    demand = of_host.state.guests["web"].demand
    assert demand is not None
    assert demand.tuning is not None
    return demand.tuning.extra_ratio


def test_buffers_are_fixed_unless_they_are_to_learn() -> None:
    assert tuned(None, 100, short=True, policy=Policy()) is None


def test_a_look_that_finds_it_short_adds_and_others_take_away_a_little() -> None:
    first = learned(Tuning(0.1, 100), 101, short=True)

    assert first.extra_ratio == pytest.approx(0.1 + STEP * (1 - SHARE))
    assert learned(first, 102, short=False).extra_ratio == pytest.approx(
        first.extra_ratio - STEP * SHARE
    )


def test_a_buffer_never_falls_below_the_guests_own() -> None:
    assert learned(Tuning(0.0, 100), 101, short=False).extra_ratio == 0


def test_looks_within_a_tick_count_as_one() -> None:
    start = Tuning(0.0, 100.0)
    found = learned(learned(start, 100.3, short=True), 100.6, short=False)

    assert found == Tuning(0.0, 100.0, short=True)
    assert learned(found, 101.1, short=False) == Tuning(STEP * (1 - SHARE), 101.1)


def test_a_guest_that_outgrows_its_buffer_is_given_a_larger_one() -> None:
    web = host()
    web.tick(guest(used=400, at=100), at=100)
    web.tick(guest(used=800, at=101), at=101)

    assert extra(web) == pytest.approx(STEP * (1 - SHARE))
    rested = web.tick(guest(used=800, at=500), at=500)
    assert of(rested).want_bytes > 864 * MIB * 1.2 + 10 * MIB


def test_a_guest_that_needs_more_than_it_may_have_teaches_nothing() -> None:
    web = host(maximum=1024)
    for at in range(100, 120):
        web.tick(guest(used=960, at=at), at=at)

    assert extra(web) == 0


def test_with_the_largest_buffer_a_guest_gets_its_maximum() -> None:
    web = host(maximum=1800)
    web.tick(guest(used=400, at=100), at=100)
    remembered = web.state.guests["web"]
    assert remembered.demand is not None
    taught = replace(remembered.demand, tuning=Tuning(LEARNING.demand.adaptive_cap, 100))
    web.state = State(guests={"web": remembered.with_demand(taught)})

    assert of(web.tick(guest(used=400, at=100), at=100.5)).target_bytes == 1800 * MIB


def test_a_guest_without_settings_learns_nothing() -> None:
    web = host()
    web.tick(guest(used=400, at=100), at=100)
    web.tick(guest(used=800, at=101), at=101, faults={"web": "broken"})

    assert extra(web) == 0
