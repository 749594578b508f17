"""What is decided while the host itself is short of memory."""

from __future__ import annotations

from tests.unit.builders import Host, codes, guest, of, settings

from barostat.core.allocation import Tier
from barostat.core.explain import sentence, summary
from barostat.core.moves import MoveKind
from barostat.core.observation import Reservation
from barostat.core.reasons import ReasonCode, because
from barostat.units import MIB


def given_mib(*moved: str, host: Host, wanted: int) -> int:
    """How much idle guests are asked to give when the host wants so many MiB back."""
    seen = [guest(name, used=100) for name in moved]
    decision = host.tick(*seen, granting=False, wanted_back=wanted)
    assert all(move.kind is MoveKind.SHRINK for move in decision.moves)
    return sum(move.from_bytes - move.to_bytes for move in decision.moves) // MIB


def test_a_guest_that_would_grow_is_held_while_the_host_is_short() -> None:
    decision = Host().tick(guest(used=950), granting=False)

    assert decision.moves == ()
    assert codes(decision) == [ReasonCode.HOST_PRESSED]
    assert "the host itself is short" in sentence(of(decision).reasons[0])


def test_nothing_is_taken_for_a_guest_that_could_not_have_it() -> None:
    seen = guest("idle", used=640), guest("busy", used=1000)

    served, pressed = Host(2100).tick(*seen), Host(2100).tick(*seen, granting=False)

    assert codes(served, "idle") == [ReasonCode.TAKEN]
    assert codes(pressed, "idle") == [ReasonCode.TRICKLE], "as if nobody waited"


def test_a_guest_grows_as_soon_as_the_host_lets_it() -> None:
    host = Host()
    host.tick(guest(used=950), granting=False)

    decision = host.tick(guest(used=950, at=101), at=101)

    assert [move.kind for move in decision.moves] == [MoveKind.GROW]


def test_a_grow_under_way_is_recalled_and_says_why() -> None:
    host = Host()
    host.tick(guest(used=950))

    decision = host.tick(guest(used=950, at=101), at=101, granting=False)

    assert decision.moves[0].kind is MoveKind.CANCEL
    assert codes(decision) == [ReasonCode.BRAKED]


def test_what_the_host_wants_back_is_taken_though_the_ledger_has_memory_in_hand() -> None:
    assert given_mib("a", "b", host=Host(8192), wanted=300) >= 300


def test_what_is_on_its_way_to_the_host_is_not_asked_for_again() -> None:
    host = Host()
    asked = of(host.tick(guest(used=100), granting=False, wanted_back=200)).move
    assert asked is not None

    later = host.tick(
        guest(used=100, at=101),
        guest("other", used=800, at=101, disturbed=0),
        at=101,
        granting=False,
        wanted_back=200,
    )

    assert of(later, "other").move is None


def test_what_the_host_wants_back_is_taken_from_what_guests_need_where_nothing_is_idle() -> None:
    host = Host()
    host.settings["web"] = settings(512)

    decision = host.tick(guest(used=940), granting=False, wanted_back=200)

    move = of(decision).move
    assert move is not None
    assert decision.tier is Tier.DEMAND_CUT
    assert "memory is short for the host itself" in summary(move)


def test_not_even_the_host_is_given_what_a_guest_has_as_its_minimum() -> None:
    host = Host()
    host.settings["web"] = settings(1000)

    decision = host.tick(guest(used=100), granting=False, wanted_back=900)

    assert all(move.to_bytes >= 1000 * MIB for move in decision.moves)
    assert ReasonCode.MINIMUMS_TOO_LARGE in [alarm.code for alarm in decision.alarms]


def test_memory_that_is_promised_twice_need_not_be_given_twice() -> None:
    host = Host(1024)
    host.tick(guest(used=100))
    overdrawn = Host(824, state=host.state)

    alone = overdrawn.tick(guest(used=100, at=101), at=101)
    both = Host(824, state=host.state).tick(
        guest(used=100, at=101), at=101, granting=False, wanted_back=150
    )

    assert of(both).target_bytes >= of(alone).target_bytes


def test_a_vm_that_waits_to_start_waits_until_the_host_has_memory_again() -> None:
    host = Host()
    new = [Reservation(guest="new", size_bytes=400 * MIB)]

    pressed = host.tick(guest(used=780), reservations=new, granting=False)
    later = host.tick(guest(used=780, at=101), at=101, reservations=new)

    assert pressed.state.admitted == frozenset()
    assert pressed.moves == ()
    assert later.state.admitted == {"new"}


def test_a_vm_that_may_start_already_keeps_its_memory() -> None:
    host = Host()
    new = [Reservation(guest="new", size_bytes=400 * MIB)]
    host.tick(guest(used=780), reservations=new)

    pressed = host.tick(guest(used=780, at=101), at=101, reservations=new, granting=False)

    assert pressed.state.admitted == {"new"}


def test_what_is_wrong_with_the_host_is_said_first() -> None:
    low = because(
        ReasonCode.HOST_LOW, available_bytes=MIB, total_bytes=1024 * MIB, mark_bytes=20 * MIB
    )

    decision = Host(500).tick(guest(used=500), alarms=[low])

    assert [alarm.code for alarm in decision.alarms] == [
        ReasonCode.HOST_LOW,
        ReasonCode.CAPACITY_LOST,
    ]


def test_a_guest_whose_memory_cannot_be_freed_is_held_and_counted() -> None:
    why = because(ReasonCode.PASSTHROUGH, device="0000:01:00.0")

    decision = Host().tick(guest(used=100), unfit={"web": why})

    assert of(decision).reasons == (why,)
    assert of(decision).promised_bytes == 1024 * MIB
    assert "0000:01:00.0" in sentence(why)
