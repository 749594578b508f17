"""What sharing promises, on random instances: small numbers for ties, large ones for rounding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import floor
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from barostat.core.allocation import Allocation, Claim, Mode, Tier, allocate

EXAMPLES = 200  # for each of the fourteen properties below: 2,800 in all
many = settings(max_examples=EXAMPLES, deadline=None)


@dataclass(frozen=True)
class Instance:
    claims: tuple[Claim, ...]
    capacity_bytes: int
    pool_bytes: int
    mode: Mode

    def solve(self) -> Allocation:
        return allocate(
            self.claims,
            capacity_bytes=self.capacity_bytes,
            pool_bytes=self.pool_bytes,
            mode=self.mode,
        )

    def with_claim(self, k: int, claim: Claim) -> Instance:
        return replace(self, claims=(*self.claims[:k], claim, *self.claims[k + 1 :]))

    @property
    def for_buffers_bytes(self) -> int:
        return max(self.capacity_bytes - self.pool_bytes, sum(map(need, self.claims)))


def need(claim: Claim) -> int:
    return max(claim.minimum_bytes, min(claim.demand_bytes, claim.maximum_bytes))


def want(claim: Claim) -> int:
    return max(need(claim), min(claim.want_bytes, claim.maximum_bytes))


def entitlement(claim: Claim, tier: Tier, mode: Mode) -> int:
    asked = claim.demand_bytes if tier is Tier.DEMAND_CUT else claim.want_bytes
    return max(claim.weight, 1) * (asked if mode is Mode.PRESSURE else claim.maximum_bytes)


def bounds(claim: Claim, tier: Tier) -> tuple[int, int]:
    if tier is Tier.DEMAND_CUT:
        return claim.minimum_bytes, need(claim)
    return need(claim), want(claim)


WEIGHTS = st.one_of(st.sampled_from([0, 1, 2500, 5000, 10_000]), st.integers(0, 10_000))
ODD_BYTES = st.integers(0, 255)


@dataclass(frozen=True)
class Scale:
    """Whole units for the shape of an instance, and a few odd bytes where a unit is large."""

    unit_bytes: int
    units: int

    def draw(self, draw: st.DrawFn, times: int = 1) -> int:
        units = draw(st.integers(0, times * self.units))
        odd = draw(ODD_BYTES) if self.unit_bytes > 1 else 0
        return units * self.unit_bytes + odd


SCALES = st.sampled_from([Scale(1, 12), Scale(1, 2000), Scale(2**20, 4096), Scale(2**50, 1000)])


@st.composite
def claims(draw: st.DrawFn, scale: Scale, guest: str) -> Claim:
    minimum, demand = scale.draw(draw), scale.draw(draw, 3)
    # Mostly in order; now and then a maximum below the minimum, or a want below the demand.
    above_minimum = draw(st.sampled_from([minimum, minimum, minimum, 0]))
    above_demand = draw(st.sampled_from([demand, demand, demand, 0]))
    return Claim(
        guest=guest,
        minimum_bytes=minimum,
        demand_bytes=demand,
        want_bytes=above_demand + scale.draw(draw),
        maximum_bytes=above_minimum + scale.draw(draw, 2),
        weight=draw(WEIGHTS),
    )


@st.composite
def instances(draw: st.DrawFn, *, least: int = 1, modes: Sequence[Mode] = tuple(Mode)) -> Instance:
    scale = draw(SCALES)
    count = draw(st.integers(least, 6))
    guests = tuple(draw(claims(scale, f"g{i}")) for i in range(count))
    # Where the stages begin and end; the two that are cut are drawn most.
    ends = [
        0,
        sum(claim.minimum_bytes for claim in guests),
        sum(map(need, guests)),
        sum(map(want, guests)),
        sum(map(want, guests)) + scale.draw(draw),
    ]
    stage = draw(st.sampled_from([0, 1, 1, 2, 2, 3]))
    span = ends[stage + 1] - ends[stage]
    part = span * draw(st.integers(0, 1000)) // 1000 + draw(ODD_BYTES)
    capacity = ends[stage] + min(part, span)
    pool = scale.draw(draw) if draw(st.booleans()) else 0
    return Instance(guests, capacity, pool, draw(st.sampled_from(modes)))


def distance(one: Allocation, other: Allocation) -> int:
    pairs = zip(one.sizes_bytes, other.sizes_bytes, strict=True)
    return sum(abs(a - b) for a, b in pairs)


@pytest.mark.trust("capacity")
@many
@given(instances())
def test_sharing_is_feasible_and_its_books_balance(instance: Instance) -> None:
    result = instance.solve()

    for size, claim in zip(result.sizes_bytes, instance.claims, strict=True):
        assert claim.minimum_bytes <= size <= want(claim)
    total = sum(result.sizes_bytes)
    assert total + result.idle_bytes - result.short_bytes == instance.capacity_bytes
    assert result.idle_bytes >= 0
    assert result.short_bytes >= 0
    assert (result.short_bytes > 0) == (result.tier is Tier.SHORT)


@many
@given(instances())
def test_no_byte_stays_idle_that_someone_could_have_but_for_rounding(instance: Instance) -> None:
    result = instance.solve()
    total, count = sum(result.sizes_bytes), len(instance.claims)

    match result.tier:
        case Tier.PLENTY:
            assert result.sizes_bytes == tuple(map(want, instance.claims))
        case Tier.BUFFERS_CUT:
            assert 0 <= instance.for_buffers_bytes - total < count
        case Tier.DEMAND_CUT:
            assert 0 <= result.idle_bytes < count
        case Tier.SHORT:
            assert total == sum(claim.minimum_bytes for claim in instance.claims)


@many
@given(instances())
def test_no_buffer_is_given_while_a_demand_is_unmet_or_from_the_pool(instance: Instance) -> None:
    result = instance.solve()
    pairs = list(zip(result.sizes_bytes, instance.claims, strict=True))

    if any(size > need(claim) for size, claim in pairs):
        assert all(size >= need(claim) for size, claim in pairs)
        assert result.idle_bytes >= instance.pool_bytes


@many
@given(instances())
def test_a_cut_is_weighted_max_min_fair(instance: Instance) -> None:
    result = instance.solve()
    if result.tier in {Tier.SHORT, Tier.PLENTY}:
        return

    rows = [
        (size, *bounds(claim, result.tier), entitlement(claim, result.tier, instance.mode))
        for size, claim in zip(result.sizes_bytes, instance.claims, strict=True)
    ]
    above = [Fraction(size, per) for size, low, _, per in rows if size > low]
    below = [Fraction(size + 1, per) for size, _, high, per in rows if size < high]
    # One byte more would put any guest below its ceiling ahead of every guest above its floor.
    assert max(above, default=Fraction(0)) < min(below)


@many
@given(instances(), st.integers(0, 2**40))
def test_more_capacity_harms_nobody(instance: Instance, more: int) -> None:
    before = instance.solve()
    after = replace(instance, capacity_bytes=instance.capacity_bytes + more).solve()

    for small, large in zip(before.sizes_bytes, after.sizes_bytes, strict=True):
        assert small <= large
    assert distance(before, after) <= more + len(instance.claims)


@many
@given(instances(), st.integers(0, 2**40))
def test_a_larger_pool_enriches_nobody(instance: Instance, more: int) -> None:
    after = replace(instance, pool_bytes=instance.pool_bytes + more).solve()

    for large, small in zip(instance.solve().sizes_bytes, after.sizes_bytes, strict=True):
        assert small <= large


def assert_only_first_rises(before: Allocation, after: Allocation) -> None:
    assert after.sizes_bytes[0] >= before.sizes_bytes[0]
    for large, small in zip(before.sizes_bytes[1:], after.sizes_bytes[1:], strict=True):
        assert small <= large


@many
@given(instances(), st.data())
def test_a_guest_that_needs_more_gets_no_less_and_nobody_else_more(
    instance: Instance, data: st.DataObject
) -> None:
    first = instance.claims[0]
    more = data.draw(st.integers(0, 2 * first.maximum_bytes))
    wanted = data.draw(st.integers(0, 2 * first.maximum_bytes))
    grown = replace(
        first, demand_bytes=first.demand_bytes + more, want_bytes=first.want_bytes + wanted
    )

    assert_only_first_rises(instance.solve(), instance.with_claim(0, grown).solve())


@many
@given(instances(), st.integers(0, 10_000))
def test_a_heavier_guest_gets_no_less_and_nobody_else_more(instance: Instance, more: int) -> None:
    heavier = replace(instance.claims[0], weight=instance.claims[0].weight + more)

    assert_only_first_rises(instance.solve(), instance.with_claim(0, heavier).solve())


@many
@given(instances(least=2))
def test_nobody_loses_when_a_guest_leaves(instance: Instance) -> None:
    before = instance.solve()
    after = replace(instance, claims=instance.claims[1:]).solve()

    for small, large in zip(before.sizes_bytes[1:], after.sizes_bytes, strict=True):
        assert small <= large


@pytest.mark.trust("rest")
@many
@given(instances(), st.data())
def test_small_changes_of_demand_move_little(instance: Instance, data: st.DataObject) -> None:
    scale = max(claim.maximum_bytes for claim in instance.claims)
    changed, moved = [], 0
    for claim in instance.claims:
        demand = max(0, claim.demand_bytes + data.draw(st.integers(-scale, scale)))
        wanted = demand + data.draw(st.integers(0, scale))
        changed.append(replace(claim, demand_bytes=demand, want_bytes=wanted))
        moved += max(abs(demand - claim.demand_bytes), abs(wanted - claim.want_bytes))
    after = replace(instance, claims=tuple(changed)).solve()

    assert distance(instance.solve(), after) <= 2 * moved + len(changed)


@many
@given(instances(), st.integers(5, 2000), st.data())
def test_with_buffers_in_percent_a_byte_of_demand_moves_two_bytes_and_their_buffers(
    instance: Instance, percent: int, data: st.DataObject
) -> None:
    def buffered(claim: Claim, demand: int) -> Claim:
        wanted = demand * (100 + percent) // 100
        return replace(claim, demand_bytes=demand, want_bytes=wanted)

    before = replace(
        instance, claims=tuple(buffered(claim, claim.demand_bytes) for claim in instance.claims)
    )
    demand = data.draw(st.integers(0, 3 * instance.claims[0].maximum_bytes))
    after = before.with_claim(0, buffered(before.claims[0], demand))

    change = abs(demand - before.claims[0].demand_bytes)
    limit = Fraction(2 * (100 + percent) * change, 100) + 2 + len(instance.claims)
    assert distance(before.solve(), after.solve()) <= limit


@many
@given(instances(), st.randoms(use_true_random=False))
def test_the_order_of_claims_does_not_matter(instance: Instance, random: Random) -> None:
    shuffled = list(instance.claims)
    random.shuffle(shuffled)
    before, after = instance.solve(), replace(instance, claims=tuple(shuffled)).solve()

    def by_guest(shared: Allocation, order: Sequence[Claim]) -> dict[str, int]:
        return dict(zip([claim.guest for claim in order], shared.sizes_bytes, strict=True))

    assert by_guest(before, instance.claims) == by_guest(after, shuffled)


def sizes_at(instance: Instance, tier: Tier, level: Fraction) -> list[Fraction]:
    sizes = []
    for claim in instance.claims:
        low, high = bounds(claim, tier)
        filled = level * entitlement(claim, tier, instance.mode)
        sizes.append(max(Fraction(low), min(filled, Fraction(high))))
    return sizes


@many
@given(instances())
def test_sizes_are_those_of_a_slow_search_for_the_level(instance: Instance) -> None:
    result = instance.solve()
    if result.tier in {Tier.SHORT, Tier.PLENTY}:
        return
    demand_cut = result.tier is Tier.DEMAND_CUT
    budget = instance.capacity_bytes if demand_cut else instance.for_buffers_bytes
    largest = max(entitlement(claim, result.tier, instance.mode) for claim in instance.claims)
    lower, upper = Fraction(0), Fraction(2 * 3 * 2**60)  # above any ceiling of any instance

    while (upper - lower) * largest > Fraction(1, 2):
        middle = (lower + upper) / 2
        if sum(sizes_at(instance, result.tier, middle)) <= budget:
            lower = middle
        else:
            upper = middle

    least = [floor(size) for size in sizes_at(instance, result.tier, lower)]
    most = [floor(size) for size in sizes_at(instance, result.tier, upper)]
    for small, size, large in zip(least, result.sizes_bytes, most, strict=True):
        assert small <= size <= large


@pytest.mark.trust("liars", "a guest lies about its demand")
@many
@given(instances(modes=[Mode.SHARE]), st.data())
def test_in_share_mode_a_guest_gains_nothing_by_lying_about_its_demand(
    instance: Instance, data: st.DataObject
) -> None:
    honest = instance.claims[0]
    said = data.draw(st.integers(0, 3 * honest.maximum_bytes))
    wanted = said + data.draw(st.integers(0, honest.maximum_bytes))
    liar = replace(honest, demand_bytes=said, want_bytes=wanted)

    truth = instance.solve().sizes_bytes[0]
    lie = instance.with_claim(0, liar).solve().sizes_bytes[0]

    assert min(lie, need(honest)) <= min(truth, need(honest))


def test_in_pressure_mode_a_guest_gains_by_lying_which_is_what_share_mode_is_for() -> None:
    honest = Claim(
        guest="g0",
        minimum_bytes=0,
        demand_bytes=100,
        want_bytes=100,
        maximum_bytes=1000,
        weight=1,
    )
    liar = replace(honest, demand_bytes=300, want_bytes=300)
    instance = Instance((honest, replace(honest, guest="g1")), 120, 0, Mode.PRESSURE)

    assert instance.solve().sizes_bytes == (60, 60)
    assert instance.with_claim(0, liar).solve().sizes_bytes == (90, 30)
