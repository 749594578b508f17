"""Who is served from what is in hand, in which order, and how far."""

from __future__ import annotations

import pytest
from tests.unit.builders import line
from tests.unit.planning import codes, moved, planned, step

from barostat.core.moves import Line, MoveKind
from barostat.core.reasons import ReasonCode
from barostat.units import MIB


def test_a_guest_grows_to_its_target_from_memory_in_hand() -> None:
    web = line(target=1500)

    ledger = planned(web, hand=800)

    assert moved(web).kind is MoveKind.GROW
    assert moved(web).to_bytes == 1500 * MIB
    assert codes(web) == [ReasonCode.DEMAND]
    assert ledger.in_hand_bytes == 300 * MIB


def test_a_guest_gets_what_there_is_and_the_rest_is_taken_from_others() -> None:
    web, db = line(target=1500, urgent=True), line("db", target=600)

    planned(web, db, hand=200)

    assert moved(web).to_bytes == 1200 * MIB
    assert codes(web) == [ReasonCode.DEMAND, ReasonCode.PARTIAL]
    assert step(db) == 250, "half of what it has available"
    assert moved(db).reasons[0].numbers["who"] == "web"


def test_a_grant_too_small_to_be_carried_out_is_not_made() -> None:
    web = line(target=1500, granularity_bytes=128)

    ledger = planned(web, hand=100)

    assert web.move is None
    assert codes(web) == [ReasonCode.WAITING]
    assert ledger.in_hand_bytes == 100 * MIB


def test_a_small_difference_is_not_worth_a_move() -> None:
    web, pressing = line(target=1040), line("db", target=1040, urgent=True)

    planned(web, pressing, hand=800)

    assert web.move is None
    assert moved(pressing).to_bytes == 1040 * MIB


def test_what_comes_to_hand_in_drops_is_not_granted_drop_by_drop() -> None:
    web, pressing = line(target=1500), line("db", target=1500, urgent=True)

    planned(web, hand=40)
    planned(pressing, hand=40)

    assert web.move is None
    assert codes(web) == [ReasonCode.WAITING]
    assert moved(pressing).to_bytes == 1040 * MIB


def test_a_guest_below_its_minimum_does_not_wait_for_the_dead_band() -> None:
    web = line(target=1010, minimum_bytes=1010)

    planned(web, hand=800)

    assert codes(web) == [ReasonCode.BELOW_MINIMUM, ReasonCode.DEMAND]


def test_the_reasons_for_a_grow_name_distress_and_growth() -> None:
    web = line(target=1500, urgent=True, distressed=True, growth_bytes_per_s=400.0 * MIB)

    planned(web, hand=800)

    assert codes(web) == [ReasonCode.DISTRESS, ReasonCode.GROWTH, ReasonCode.DEMAND]


def test_what_all_need_comes_before_anyones_buffer() -> None:
    heavy = line("heavy", target=1400, demand_bytes=1100, urgent=True, weight=9000)
    light = line("light", target=1400, demand_bytes=1100, urgent=True, weight=1)

    planned(heavy, light, hand=250)

    assert moved(heavy).to_bytes == 1150 * MIB
    assert moved(light).to_bytes == 1100 * MIB


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (
            line("b", target=1400, demand_bytes=1400, urgent=True),
            line("a", target=1400, demand_bytes=1400, weight=9000),
        ),
        (
            line("b", target=1400, demand_bytes=1400, weight=6000),
            line("a", target=1400, demand_bytes=1400),
        ),
        (line("b", target=1400, demand_bytes=1400), line("a", target=1400, demand_bytes=1390)),
        (line("a", target=1400, demand_bytes=1400), line("b", target=1400, demand_bytes=1400)),
    ],
    ids=["the urgent", "the heavier", "the one under more pressure", "the first by name"],
)
def test_who_is_served_first(first: Line, second: Line) -> None:
    for item in (first, second):
        item.move = None
        item.holds.clear()

    planned(second, first, hand=100)

    assert moved(first).to_bytes == 1100 * MIB
    assert second.move is None


def test_buffers_leave_the_pool_alone_and_demand_does_not() -> None:
    buffer = line(target=1200, demand_bytes=900, urgent=True)
    demand = line(target=1200, demand_bytes=1150, urgent=True)

    planned(buffer, hand=100, pool=80)
    planned(demand, hand=100, pool=80)

    assert moved(buffer).to_bytes == 1020 * MIB
    assert moved(demand).to_bytes == 1100 * MIB


def test_nobody_grows_into_what_a_starting_vm_waits_for() -> None:
    web = line(target=1200, demand_bytes=1150, urgent=True)
    db = line("db", target=600)

    planned(web, db, hand=100, awaited=300)

    assert web.move is None
    assert codes(web) == [ReasonCode.WAITING]
    assert moved(db).reasons[0].numbers["who"] == "web, a VM that starts"


def test_buffers_leave_the_pool_besides_what_a_starting_vm_waits_for() -> None:
    web = line(target=1200, demand_bytes=900)

    planned(web, hand=180, awaited=40, pool=40)

    assert moved(web).to_bytes == 1100 * MIB
