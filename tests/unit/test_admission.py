from __future__ import annotations

from tests.unit.builders import line

from barostat.core.admission import Admission, admit
from barostat.core.ledger import Ledger
from barostat.core.moves import Line
from barostat.core.observation import Reservation
from barostat.core.reasons import ReasonCode
from barostat.units import MIB


def waiting(guest: str, size: int) -> Reservation:
    return Reservation(guest=guest, size_bytes=size * MIB)


def admitted(
    *reservations: Reservation,
    lines: tuple[Line, ...] = (),
    hand: int = 0,
    running: tuple[str, ...] = (),
    before: tuple[Reservation, ...] = (),
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
        "possible_bytes": (1000 - 128 + 100) * MIB,
    }


def test_what_earlier_vms_wait_for_is_not_possible_for_later_ones() -> None:
    found, _ = admitted(waiting("first", 900), waiting("second", 900), lines=(line(),), hand=100)

    assert found.awaited_bytes == 900 * MIB
    assert found.refused[0].numbers["possible_bytes"] == 72 * MIB


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


def test_a_vm_that_asks_for_more_than_it_was_admitted_with_waits_again() -> None:
    found, ledger = admitted(
        waiting("new", 300), lines=(line(),), hand=200, before=(waiting("new", 100),)
    )

    assert found.set_aside_bytes == {}
    assert found.awaited_bytes == 300 * MIB
    assert ledger.promised_to("new") == 0
