from __future__ import annotations

import pytest
from tests.unit.builders import line

from barostat.core.allocation import Mode, Tier
from barostat.core.moves import Line
from barostat.core.targets import set_targets
from barostat.units import MIB


def targets(*lines: Line, capacity: int, pool: int = 0) -> tuple[list[int], Tier, bool]:
    shared, tight = set_targets(
        lines, capacity_bytes=capacity * MIB, pool_bytes=pool * MIB, mode=Mode.PRESSURE
    )
    return [item.target_bytes // MIB for item in lines], shared.tier, tight


def needs(name: str, now: int, lately: int, *, pressing: bool = False) -> Line:
    return line(
        name,
        demand_bytes=now,
        buffered_bytes=now * 6 // 5,
        want_bytes=lately,
        pressing=pressing,
    )


def test_in_plenty_everyone_gets_what_it_needed_lately() -> None:
    lines = needs("a", 500, 1000), needs("b", 500, 600)

    assert targets(*lines, capacity=1600) == ([1000, 600], Tier.PLENTY, False)


def test_what_is_needed_now_goes_before_what_was_needed_lately() -> None:
    lines = needs("past", 500, 2000), needs("now", 1000, 1200)

    assert targets(*lines, capacity=1900) == ([700, 1200], Tier.PLENTY, True)


def test_buffers_go_before_demand() -> None:
    lines = needs("a", 500, 600), needs("b", 500, 600)

    assert targets(*lines, capacity=1100) == ([550, 550], Tier.BUFFERS_CUT, True)
    assert targets(*lines, capacity=900) == ([450, 450], Tier.DEMAND_CUT, True)


@pytest.mark.parametrize(("pressing", "expected"), [(False, 1100), (True, 1200)])
def test_the_pool_is_there_for_a_guest_that_presses(pressing: bool, expected: int) -> None:
    web = needs("web", 1000, 1200, pressing=pressing)

    assert targets(web, capacity=1200, pool=100)[0] == [expected]


def test_no_lines_have_no_targets() -> None:
    assert targets(capacity=100) == ([], Tier.PLENTY, False)
