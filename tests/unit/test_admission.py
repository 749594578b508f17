from __future__ import annotations

import pytest
from tests.unit.builders import line

from barostat.core.admission import Admission, admit
from barostat.core.allocation import Mode
from barostat.core.ledger import Ledger
from barostat.core.moves import Line
from barostat.core.observation import Reservation
from barostat.core.reasons import ReasonCode
from barostat.units import MIB


def waiting(guest: str, size: int, *, weight: int = 5000) -> Reservation:
    return Reservation(guest=guest, size_bytes=size * MIB, weight=weight)


def admitted(
    *reservations: Reservation,
    lines: tuple[Line, ...] = (),
    hand: int = 0,
    running: tuple[str, ...] = (),
    before: tuple[Reservation, ...] = (),
    mode: Mode = Mode.PRESSURE,
) -> tuple[Admission, Ledger]:
    ledger = Ledger(sum(item.actual_bytes for item in lines) + hand * MIB)
    for item in lines:
        ledger.promise(item.guest, item.actual_bytes)
    found = admit(
        reservations,
        running=running,
        before={item.guest: item.size_bytes for item in before},
        lines=lines,
        ledger=ledger,
        mode=mode,
    )
    return found, ledger


def test_a_vm_whose_memory_is_in_hand_may_start_and_has_it_promised() -> None:
    found, ledger = admitted(waiting("new", 300), hand=500)

    assert found.set_aside_bytes == {"new": 300 * MIB}
    assert ledger.promised_to("new") == 300 * MIB


def test_a_vm_whose_memory_must_come_from_guests_waits_for_it() -> None:
    found, ledger = admitted(waiting("new", 300), lines=(line(),), hand=100)

    assert found.set_aside_bytes == {}
    assert found.awaited_bytes == 300 * MIB
    assert ledger.promised_to("new") == 0


def test_vms_start_in_the_order_of_their_coming() -> None:
    found, _ = admitted(waiting("large", 300), waiting("small", 50), lines=(line(),), hand=100)

    assert found.set_aside_bytes == {}
    assert found.awaited_bytes == 350 * MIB


def test_a_vm_that_cannot_be_made_room_for_squeezes_nobody_and_keeps_nobody_waiting() -> None:
    found, _ = admitted(waiting("huge", 1000), waiting("small", 50), lines=(line(),), hand=100)

    assert found.set_aside_bytes == {"small": 50 * MIB}
    assert found.awaited_bytes == 0
    assert [reason.code for reason in found.refused] == [ReasonCode.NO_ROOM]
    assert found.refused[0].numbers == {
        "guest": "huge",
        "size_bytes": 1000 * MIB,
        "possible_bytes": (1000 - 500 + 100) * MIB,
    }


def test_what_earlier_vms_wait_for_is_not_possible_for_later_ones() -> None:
    found, _ = admitted(waiting("first", 500), waiting("second", 500), lines=(line(),), hand=100)

    assert found.awaited_bytes == 500 * MIB
    assert found.refused[0].numbers["possible_bytes"] == 100 * MIB


def test_a_vm_that_was_admitted_keeps_its_memory_even_when_the_host_lost_some() -> None:
    found, ledger = admitted(
        waiting("new", 300), hand=-100, before=(waiting("new", 300), waiting("gone", 9))
    )

    assert found.set_aside_bytes == {"new": 300 * MIB}
    assert ledger.in_hand_bytes == -400 * MIB


def test_nothing_is_possible_on_a_host_that_lost_memory() -> None:
    found, _ = admitted(waiting("new", 300), hand=-100)

    assert found.refused[0].numbers["possible_bytes"] == 0


def test_a_vm_that_is_there_needs_no_reservation() -> None:
    found, ledger = admitted(
        waiting("web", 300),
        lines=(line(),),
        hand=500,
        running=("web",),
        before=(waiting("web", 300),),
    )

    assert found.set_aside_bytes == {}
    assert ledger.promised_to("web") == 1000 * MIB


@pytest.mark.trust("capacity", "a VM that is starting asks again, for more")
def test_a_vm_that_asks_for_more_keeps_what_it_was_admitted_with_and_waits_for_the_rest() -> None:
    found, ledger = admitted(
        waiting("new", 300), lines=(line(),), hand=200, before=(waiting("new", 100),)
    )

    assert found.set_aside_bytes == {"new": 100 * MIB}
    assert found.awaited_bytes == 200 * MIB
    assert ledger.promised_to("new") == 100 * MIB


def test_what_more_a_vm_asks_for_is_promised_when_it_is_in_hand() -> None:
    found, ledger = admitted(waiting("new", 300), hand=300, before=(waiting("new", 100),))

    assert found.set_aside_bytes == {"new": 300 * MIB}
    assert (found.awaited_bytes, ledger.in_hand_bytes) == (0, 0)


@pytest.mark.trust("capacity", "a VM that is starting asks again, for less")
def test_a_vm_that_asks_for_less_may_still_be_taking_what_it_was_admitted_with() -> None:
    found, ledger = admitted(waiting("new", 100), hand=300, before=(waiting("new", 300),))

    assert found.set_aside_bytes == {"new": 300 * MIB}
    assert ledger.promised_to("new") == 300 * MIB


def test_what_a_vm_held_that_does_not_answer_is_a_part_of_its_next_startup() -> None:
    seen = line("other")
    ledger = Ledger(seen.actual_bytes + 300 * MIB)
    ledger.promise("other", seen.actual_bytes)
    ledger.promise("web", 200 * MIB)  # it was shut down a moment ago, and nobody has seen it yet

    found = admit(
        [waiting("web", 300)],
        running=["other"],
        before={},
        lines=[seen],
        ledger=ledger,
        mode=Mode.PRESSURE,
    )

    assert found.set_aside_bytes == {"web": 300 * MIB}
    assert ledger.in_hand_bytes == 0


def test_buffers_and_what_lies_idle_are_there_for_every_vm_that_starts() -> None:
    busy = line(actual=1000, demand_bytes=800)

    found, _ = admitted(waiting("new", 200, weight=0), lines=(busy,))

    assert found.awaited_bytes == 200 * MIB


@pytest.mark.trust("start", "a VM starts that weighs no more than those who need the memory")
@pytest.mark.parametrize("weight", [0, 4000, 5000])
def test_what_a_guest_needs_is_not_taken_for_a_vm_that_weighs_no_more(weight: int) -> None:
    busy = line(actual=1000, demand_bytes=800)

    found, _ = admitted(waiting("new", 300, weight=weight), lines=(busy,))

    assert found.awaited_bytes == 0
    assert found.refused[0].numbers["possible_bytes"] == 200 * MIB


@pytest.mark.parametrize("mode", list(Mode))
def test_a_heavier_vm_takes_lighter_ones_down_to_their_share(mode: Mode) -> None:
    light = line(actual=1000, demand_bytes=800, maximum_bytes=800, weight=2500)

    fits, _ = admitted(waiting("new", 600, weight=5000), lines=(light,), mode=mode)
    large, _ = admitted(waiting("new", 602, weight=5000), lines=(light,), mode=mode)

    assert fits.awaited_bytes == 600 * MIB
    assert large.refused[0].numbers["possible_bytes"] == 600 * MIB


def test_however_heavy_a_vm_is_everybody_keeps_the_minimum() -> None:
    light = line(actual=1000, demand_bytes=800, weight=0)

    found, _ = admitted(waiting("new", 900, weight=10_000), lines=(light,))

    assert found.refused[0].numbers["possible_bytes"] == (1000 - 128) * MIB


def test_a_guest_that_needs_more_than_it_has_goes_before_a_vm_of_its_weight() -> None:
    short = line(actual=1000, demand_bytes=1200)

    found, _ = admitted(waiting("new", 300), lines=(short,), hand=400)

    assert found.refused[0].numbers["possible_bytes"] == 200 * MIB
