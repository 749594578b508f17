"""Demands to targets: exact weighted water-filling, in the order minimum, demand, buffer.

Every guest gets its minimum; what is left fills demands; what is left of that, less the pool,
fills buffers. A stage that memory does not suffice for is shared by one level for all:
`size = clip(level * weight * entitlement, floor, ceiling)`. The level is solved in whole numbers
from the sorted break-points, so it is exact, needs no iteration and cannot hand out a byte twice.
Sizes are rounded down: fewer bytes than there are guests stay idle, and since rounding keeps the
order, everything said of the level (more capacity harms nobody, ...) holds to the byte.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, assert_never

__all__ = ["Allocation", "Claim", "Mode", "Tier", "allocate"]

LEAST_WEIGHT: Final = 1
"""Weight 0 counts as the least share, not as none: a guest at 0 is last, but never shut out."""


class Mode(enum.Enum):
    """What a guest is entitled to when memory is short, before its weight is applied."""

    PRESSURE = "pressure"  # what it needs: equal pressure at equal weight
    SHARE = "share"  # what it bought, its maximum: saying more than it needs gains it nothing


class Tier(enum.Enum):
    """How far the memory reached."""

    PLENTY = "plenty"  # everyone has all that it wants
    BUFFERS_CUT = "buffers_cut"  # everyone has what it needs, not everyone its buffer
    DEMAND_CUT = "demand_cut"  # everyone has its minimum, not everyone what it needs
    SHORT = "short"  # not even the minimums fit


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What one guest may, needs and wants to have.

    Attributes:
        guest: its name.
        minimum_bytes: what it always gets.
        demand_bytes: what it needs, as estimated: may be below the minimum or above the maximum.
        want_bytes: what it gets in plenty, demand and buffer; counts within [need, maximum],
            where need is the demand within [minimum, maximum].
        maximum_bytes: what it never gets more of; a minimum above it wins.
        weight: its rank when memory is short; 0 counts as 1.
    """

    guest: str
    minimum_bytes: int
    demand_bytes: int
    want_bytes: int
    maximum_bytes: int
    weight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """Who gets what.

    Attributes:
        sizes_bytes: a size for each claim, in the claims' order.
        tier: how far the memory reached.
        idle_bytes: capacity that nobody gets: the pool, or all that is left in plenty.
        short_bytes: by how much the minimums exceed the capacity; 0 unless the tier is SHORT.
    """

    sizes_bytes: tuple[int, ...]
    tier: Tier
    idle_bytes: int
    short_bytes: int


def allocate(
    claims: Sequence[Claim], *, capacity_bytes: int, pool_bytes: int = 0, mode: Mode
) -> Allocation:
    """Share the capacity among the claims, in O(n log n).

    In a stage that is cut, no guest above its floor has more of its entitlement, by weight, than
    one below its ceiling (weighted max-min fairness, to the byte). Raising a guest's want by x,
    and its demand by no more, moves at most 2x bytes in all, plus one a guest for rounding.

    Args:
        claims: one a guest.
        capacity_bytes: all that may be handed out.
        pool_bytes: the part of it that buffers must leave alone; demand may use it.
        mode: what "entitlement" means: demand, then want (PRESSURE), or the maximum (SHARE).

    Returns:
        Sizes that sum to the capacity at most, unless the minimums alone exceed it: then each
        guest gets its minimum and the tier is SHORT. No guest is put below its minimum here.
    """
    low = [claim.minimum_bytes for claim in claims]
    need = [_clip(claim.demand_bytes, claim.minimum_bytes, claim.maximum_bytes) for claim in claims]
    spare = capacity_bytes - sum(low)
    if spare < 0:
        return Allocation(sizes_bytes=tuple(low), tier=Tier.SHORT, idle_bytes=0, short_bytes=-spare)
    if sum(need) > capacity_bytes:
        demands = _entitlements(claims, [claim.demand_bytes for claim in claims], mode)
        sizes = _fill(low, need, demands, capacity_bytes)
        return _fitting(sizes, Tier.DEMAND_CUT, capacity_bytes)
    want = [
        _clip(claim.want_bytes, floor, claim.maximum_bytes)
        for claim, floor in zip(claims, need, strict=True)
    ]
    for_buffers = max(capacity_bytes - pool_bytes, sum(need))
    if sum(want) > for_buffers:
        wants = _entitlements(claims, [claim.want_bytes for claim in claims], mode)
        sizes = _fill(need, want, wants, for_buffers)
        return _fitting(sizes, Tier.BUFFERS_CUT, capacity_bytes)
    return _fitting(want, Tier.PLENTY, capacity_bytes)


def _clip(value: int, floor: int, ceiling: int) -> int:
    """Bring a value into its bounds; a floor above the ceiling wins."""
    return max(floor, min(value, ceiling))


def _fitting(sizes: list[int], tier: Tier, capacity_bytes: int) -> Allocation:
    idle_bytes = capacity_bytes - sum(sizes)
    return Allocation(sizes_bytes=tuple(sizes), tier=tier, idle_bytes=idle_bytes, short_bytes=0)


def _entitlements(claims: Sequence[Claim], asked: list[int], mode: Mode) -> list[int]:
    """Say what each guest's size is proportional to.

    What a guest asked for is taken as it is, not clipped: the pressure of a guest whose demand is
    above its maximum is judged by that demand.
    """
    match mode:
        case Mode.PRESSURE:
            basis = asked
        case Mode.SHARE:
            basis = [claim.maximum_bytes for claim in claims]
        case _:
            assert_never(mode)
    return [
        max(claim.weight, LEAST_WEIGHT) * size for claim, size in zip(claims, basis, strict=True)
    ]


def _fill(low: list[int], high: list[int], entitled: list[int], budget: int) -> list[int]:
    """Find the sizes `clip(level * entitled, low, high)` whose sum is the budget, rounded down.

    Needs `sum(low) <= budget < sum(high)`, and entitled > 0 wherever low < high: both kinds of
    entitlement are at least `high` there, which is above `low` and so above 0.
    """
    free = [i for i in range(len(low)) if low[i] < high[i]]
    level, per = _level(free, low, high, entitled, budget)
    sizes = list(low)
    for i in free:
        sizes[i] = _clip(level * entitled[i] // per, low[i], high[i])
    return sizes


def _level(
    free: list[int], low: list[int], high: list[int], entitled: list[int], budget: int
) -> tuple[int, int]:
    """Find the level at which the sizes sum to the budget, as an exact fraction.

    The sum of sizes over the level is a line with a break wherever a guest leaves its floor
    (low / entitled) or meets its ceiling (high / entitled). Walk the breaks in order, keeping the
    line's two coefficients, up to the one beyond which the sum would pass the budget.
    """
    # Two different fractions with denominators below 2**k differ by more than 4**-k, so scaled
    # by 4**k and cut to whole numbers they sort exactly, where floats could tie or swap.
    shift = 2 * max(entitled[i] for i in free).bit_length()
    ends = [(low[i] << shift) // entitled[i] for i in free]
    ends += [(high[i] << shift) // entitled[i] for i in free]
    count = len(free)
    fixed, slope = sum(low), 0
    for event in sorted(range(2 * count), key=ends.__getitem__)[:-1]:  # the last is above budget
        rises = event < count
        i = free[event if rises else event - count]
        end, entitlement = (low if rises else high)[i], entitled[i]
        if fixed * entitlement + slope * end > budget * entitlement:
            break
        if rises:
            fixed -= end
            slope += entitlement
        else:
            fixed += end
            slope -= entitlement
    return budget - fixed, slope
