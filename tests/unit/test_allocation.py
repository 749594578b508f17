from __future__ import annotations

import pytest

from barostat.core.allocation import Allocation, Claim, Mode, Tier, allocate


def claim(
    guest: str = "web",
    *,
    minimum: int = 100,
    demand: int = 400,
    want: int = 480,
    maximum: int = 1000,
    weight: int = 5000,
) -> Claim:
    return Claim(
        guest=guest,
        minimum_bytes=minimum,
        demand_bytes=demand,
        want_bytes=want,
        maximum_bytes=maximum,
        weight=weight,
    )


def share(*claims: Claim, capacity: int, pool: int = 0, mode: Mode = Mode.PRESSURE) -> Allocation:
    return allocate(claims, capacity_bytes=capacity, pool_bytes=pool, mode=mode)


def test_in_plenty_everyone_gets_what_it_wants_and_the_rest_stays_idle() -> None:
    result = share(claim(), claim("db", demand=500, want=600), capacity=2000)

    assert result.sizes_bytes == (480, 600)
    assert result.tier is Tier.PLENTY
    assert result.idle_bytes == 920
    assert result.short_bytes == 0


def test_no_claims_leave_the_whole_capacity_idle() -> None:
    result = share(capacity=2000)

    assert result == Allocation(sizes_bytes=(), tier=Tier.PLENTY, idle_bytes=2000, short_bytes=0)


def test_a_want_above_the_maximum_stops_at_the_maximum() -> None:
    assert share(claim(want=3000), capacity=9000).sizes_bytes == (1000,)


def test_a_want_below_the_demand_counts_as_the_demand() -> None:
    assert share(claim(want=10), capacity=9000).sizes_bytes == (400,)


def test_a_demand_below_the_minimum_gets_the_minimum() -> None:
    assert share(claim(demand=10, want=12), capacity=9000).sizes_bytes == (100,)


def test_a_minimum_above_the_maximum_wins() -> None:
    crossed = claim(minimum=700, maximum=500, demand=2000, want=2000)

    assert share(crossed, capacity=9000).sizes_bytes == (700,)


@pytest.mark.parametrize("mode", Mode)
def test_minimums_that_do_not_fit_are_given_all_the_same_and_counted_as_short(mode: Mode) -> None:
    result = share(claim(), claim("db", minimum=300), capacity=350, mode=mode)

    assert result.sizes_bytes == (100, 300)
    assert result.tier is Tier.SHORT
    assert result.short_bytes == 50
    assert result.idle_bytes == 0


def test_minimums_that_just_fit_are_not_short() -> None:
    result = share(claim(), claim("db", minimum=300), capacity=400)

    assert result.sizes_bytes == (100, 300)
    assert result.tier is Tier.DEMAND_CUT
    assert result.short_bytes == 0


def test_cut_demand_leaves_equal_pressure_at_equal_weight() -> None:
    result = share(claim(demand=400), claim("db", demand=800), capacity=900)

    assert result.sizes_bytes == (300, 600)
    assert result.tier is Tier.DEMAND_CUT


def test_cut_demand_follows_the_weight() -> None:
    result = share(claim(weight=2500), claim("db", weight=5000), capacity=450)

    assert result.sizes_bytes == (150, 300)


def test_a_heavy_guest_stops_at_its_need_and_the_rest_goes_to_the_light_one() -> None:
    result = share(claim(weight=1), claim("db", weight=10_000), capacity=700)

    assert result.sizes_bytes == (300, 400)


def test_a_light_guest_never_falls_below_its_minimum() -> None:
    result = share(claim(weight=1), claim("db", weight=10_000), capacity=450)

    assert result.sizes_bytes == (100, 350)


def test_a_demand_above_the_maximum_weighs_with_all_of_it() -> None:
    result = share(claim(demand=1600), claim("db", demand=800), capacity=1200)

    assert result.sizes_bytes == (800, 400)


def test_weight_zero_counts_as_the_least_weight() -> None:
    db = claim("db", weight=3)

    assert share(claim(weight=0), db, capacity=400) == share(claim(weight=1), db, capacity=400)
    assert share(claim(weight=0), db, capacity=400).sizes_bytes == (100, 300)


def test_share_mode_divides_by_what_the_guests_bought() -> None:
    rich = claim(demand=900, want=900, maximum=900)
    poor = claim("db", demand=450, want=450, maximum=450)

    assert share(rich, poor, capacity=600, mode=Mode.SHARE).sizes_bytes == (400, 200)


def test_share_mode_takes_no_notice_of_a_guest_that_asks_for_more() -> None:
    honest = share(claim(), claim("db"), capacity=500, mode=Mode.SHARE)
    greedy = share(claim(demand=999, want=999), claim("db"), capacity=500, mode=Mode.SHARE)

    assert honest.sizes_bytes == greedy.sizes_bytes == (250, 250)


def test_buffers_are_cut_before_any_demand() -> None:
    result = share(claim(), claim("db"), capacity=880)

    assert result.sizes_bytes == (440, 440)
    assert result.tier is Tier.BUFFERS_CUT


def test_demands_that_just_fit_leave_only_the_buffers_cut() -> None:
    result = share(claim(), claim("db"), capacity=800)

    assert result.sizes_bytes == (400, 400)
    assert result.tier is Tier.BUFFERS_CUT


def test_a_want_above_the_maximum_weighs_with_all_of_it() -> None:
    result = share(claim(want=1600), claim("db", want=800), capacity=1350)

    assert result.sizes_bytes == (900, 450)


def test_of_cut_buffers_the_one_with_most_to_lose_gets_most() -> None:
    # Equal shares of what each wants: 0.75 of 800 and of 480, but nobody below its need.
    result = share(claim(want=800), claim("db", want=480), capacity=1000)

    assert result.sizes_bytes == (600, 400)


def test_buffers_leave_the_pool_alone() -> None:
    result = share(claim(), claim("db"), capacity=1000, pool=120)

    assert result.sizes_bytes == (440, 440)
    assert result.tier is Tier.BUFFERS_CUT
    assert result.idle_bytes == 120


def test_demand_may_use_the_pool() -> None:
    result = share(claim(), claim("db"), capacity=850, pool=400)

    assert result.sizes_bytes == (400, 400)
    assert result.tier is Tier.BUFFERS_CUT
    assert result.idle_bytes == 50


def test_demand_that_uses_the_pool_is_plenty_when_nobody_wants_a_buffer() -> None:
    result = share(claim(want=400), claim("db", want=400), capacity=850, pool=400)

    assert result.tier is Tier.PLENTY


def test_bytes_that_cannot_be_divided_stay_idle() -> None:
    result = share(claim(), claim("db"), claim("ci"), capacity=500)

    assert result.sizes_bytes == (166, 166, 166)
    assert result.idle_bytes == 2


def test_break_points_that_a_float_cannot_tell_apart_are_put_in_order() -> None:
    # The second guest meets its ceiling a hair before the first: 1 - 40 / 2**60 of its demand.
    huge = 2**60
    first = claim(minimum=0, demand=huge, want=huge, maximum=huge, weight=1)
    second = claim("db", minimum=0, demand=huge, want=huge, maximum=huge - 40, weight=1)

    result = share(first, second, capacity=2 * huge - 50)

    assert result.sizes_bytes == (huge - 10, huge - 40)
    assert result.idle_bytes == 0
