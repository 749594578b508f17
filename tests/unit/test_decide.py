"""The brain as a whole: guests as they are seen go in, a decision with its reasons comes out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.builders import Host, codes, devices, guest, of, settings

from barostat.core.allocation import Tier
from barostat.core.decide import Decision, State, unmoved
from barostat.core.moves import Move, MoveKind
from barostat.core.observation import Reservation, RunState
from barostat.core.pressure import Status
from barostat.core.reasons import ReasonCode
from barostat.units import MIB


def move_of(decision: Decision, name: str = "web") -> Move:
    move = of(decision, name).move
    assert move is not None, of(decision, name).reasons
    return move


def test_a_guest_that_needs_more_gets_it_at_once_from_memory_in_hand() -> None:
    decision = Host(4096).tick(guest(used=900))

    assert move_of(decision).kind is MoveKind.GROW
    assert move_of(decision).to_bytes == int((900 + 64) * MIB * 1.2)
    assert codes(decision) == [ReasonCode.DEMAND]
    assert of(decision).promised_bytes == move_of(decision).to_bytes
    assert decision.in_hand_bytes == 4096 * MIB - decision.promised_bytes


def test_a_decision_shows_what_a_guest_has_needs_and_should_have() -> None:
    found = of(Host(4096).tick(guest(used=536, has=devices(balloon=124, plugged=100))))

    assert found.assigned_bytes == 1000 * MIB
    assert found.balloon_bytes == 124 * MIB
    assert found.plugged_bytes == 100 * MIB
    assert found.demand_bytes == 600 * MIB
    assert found.want_bytes == found.target_bytes == 720 * MIB
    assert found.available_bytes == (1000 - 600) * MIB
    assert found.pressure == 0.6
    assert found.status is Status.OK


def test_a_guest_that_never_spoke_shows_no_demand_and_no_status() -> None:
    found = of(Host().tick(replace(guest(), statistics=None)))

    assert found.demand_bytes is None
    assert found.available_bytes is None
    assert found.pressure is None
    assert found.status is Status.UNKNOWN
    assert found.want_bytes == found.target_bytes == found.assigned_bytes


@pytest.mark.parametrize("which", ["off", "none"])
def test_status_is_judged_only_where_dynamic_memory_is_on(which: str) -> None:
    host = Host()
    host.settings["web"] = settings(enabled=False)

    decision = host.tick(guest(), faults={"web": "no such thing"} if which == "none" else None)

    assert of(decision).status is Status.UNKNOWN
    assert of(decision).pressure is not None


def test_a_stale_guest_still_shows_what_was_last_known_of_it() -> None:
    host = Host()
    host.tick(guest(used=750, at=100), at=100)

    found = of(host.tick(guest(used=750, at=100), at=110))

    assert found.demand_bytes == 814 * MIB
    assert found.status is Status.OK
    assert [reason.code for reason in found.reasons] == [ReasonCode.STALE]


def test_moves_take_first_and_give_after() -> None:
    giver, taker = guest("a", used=100), guest("b", used=900)
    stuck = guest("c", used=400, has=devices(balloon=100, target=None))

    decision = Host(3300).tick(taker, giver, stuck)

    kinds = [move.kind for move in decision.moves]
    assert kinds == [MoveKind.SHRINK, MoveKind.CANCEL, MoveKind.GROW]


def test_memory_taken_from_one_reaches_the_other_when_it_has_left() -> None:
    host = Host(2048)
    idle, busy = guest("idle", used=100), guest("busy", used=900)

    first = host.tick(idle, busy)
    asked = move_of(first, "idle")
    assert of(first, "busy").move is None
    gone = guest(
        "idle", used=100, at=101, has=devices(balloon=(asked.from_bytes - asked.to_bytes) // MIB)
    )
    second = host.tick(gone, guest("busy", used=900, at=101), at=101)

    assert move_of(second, "busy").kind is MoveKind.GROW


def test_what_a_starting_vm_needs_is_set_aside_and_taken_from_guests() -> None:
    host = Host(2048)
    new = Reservation(guest="new", size_bytes=1200 * MIB)

    waiting = host.tick(guest(used=100), at=100, reservations=[new])

    assert waiting.state.admitted == frozenset()
    assert move_of(waiting).kind is MoveKind.SHRINK
    smaller = guest(used=100, at=101, has=devices(balloon=300))
    ready = host.tick(smaller, at=101, reservations=[new])
    assert ready.state.admitted == {"new"}
    assert ready.in_hand_bytes <= 124 * MIB


def test_a_vm_that_came_needs_its_reservation_no_more() -> None:
    host = Host(4096)
    new = Reservation(guest="new", size_bytes=1024 * MIB)
    host.tick(reservations=[new])

    decision = host.tick(guest("new"), at=101, reservations=[new])

    assert decision.state.admitted == frozenset()
    assert decision.promised_bytes == 1024 * MIB


def test_a_vm_that_cannot_be_made_room_for_is_an_alarm_and_squeezes_nobody() -> None:
    huge = Reservation(guest="huge", size_bytes=9000 * MIB)

    decision = Host(4096).tick(guest(used=780), reservations=[huge])

    assert [alarm.code for alarm in decision.alarms] == [ReasonCode.NO_ROOM]
    assert decision.moves == ()


def test_a_host_that_lost_memory_raises_an_alarm_grants_nothing_and_takes() -> None:
    decision = Host(1500).tick(guest("a", used=300), guest("b", used=950))

    alarm = decision.alarms[0]
    assert alarm.code is ReasonCode.CAPACITY_LOST
    assert alarm.numbers == {"missing_bytes": 548 * MIB}
    assert [move.kind for move in decision.moves] == [MoveKind.SHRINK]


def test_balloons_of_which_nobody_knows_what_was_asked_are_no_loss_of_the_hosts() -> None:
    unknown = devices(balloon=512, target=None)
    host = Host(1500)

    decision = host.tick(guest("a", used=300, has=unknown), guest("b", used=300, has=unknown))

    assert decision.in_hand_bytes < 0
    assert decision.alarms == ()
    assert [move.kind for move in decision.moves] == [MoveKind.CANCEL, MoveKind.CANCEL]


def test_minimums_that_do_not_fit_are_an_alarm_and_stay_untouched() -> None:
    host = Host(1000)
    host.settings = {"a": settings(900), "b": settings(900)}

    decision = host.tick(guest("a", used=100), guest("b", used=100))

    codes_ = [alarm.code for alarm in decision.alarms]
    assert codes_ == [ReasonCode.CAPACITY_LOST, ReasonCode.MINIMUMS_TOO_LARGE]
    assert decision.tier is Tier.SHORT
    assert decision.alarms[1].numbers == {"missing_bytes": 800 * MIB}
    assert all(item.target_bytes == 900 * MIB for item in decision.guests)


def test_guests_that_may_not_be_asked_yet_are_no_alarm_about_minimums() -> None:
    settling = [guest(name, used=100, disturbed=99) for name in ("a", "b")]

    decision = Host(1800).tick(*settling)

    assert [alarm.code for alarm in decision.alarms] == [ReasonCode.CAPACITY_LOST]
    assert decision.tier is Tier.DEMAND_CUT
    assert decision.moves == ()


def test_pinned_guests_count_at_what_they_have_or_may_take() -> None:
    growing = guest(
        "a", has=devices(plugged=100, requested=600), run_state=RunState.MIGRATING, used=900
    )

    decision = Host(2800).tick(growing, guest("b", used=950))

    assert of(decision, "a").promised_bytes == 1624 * MIB
    assert of(decision, "b").target_bytes == (2800 - 1624) * MIB - decision.pool_bytes


def test_a_guest_that_boots_holds_all_of_its_boot_memory_whatever_its_balloon_had() -> None:
    reset = guest("a", has=devices(balloon=500), run_state=RunState.BOOTING)

    decision = Host(2048).tick(reset, guest("b", used=950))

    assert of(decision, "a").promised_bytes == 1024 * MIB
    assert of(decision, "b").move is None


def test_the_pool_follows_the_fastest_grower_within_its_bounds() -> None:
    host = Host(10_000)
    calm = host.tick(guest("a", used=300, at=100), at=100)
    fast = host.tick(guest("a", used=500, at=101), at=101)
    leap = host.tick(guest("a", used=1900, at=102, has=devices(2048)), at=102)
    alone = Host(10_000).tick()

    assert calm.pool_bytes == alone.pool_bytes == 200 * MIB
    assert fast.pool_bytes == 300 * MIB
    assert leap.pool_bytes == 1000 * MIB


def test_what_was_asked_is_remembered_and_waited_for() -> None:
    host = Host(4096)
    grown = move_of(host.tick(guest(used=900)))

    second = host.tick(guest(used=900, at=101), at=101)

    assert second.moves == ()
    assert codes(second) == [ReasonCode.MOVING]
    assert of(second).promised_bytes == grown.to_bytes


def test_a_grown_guest_is_not_trickled_from_before_its_time() -> None:
    host = Host(4096)
    goal = move_of(host.tick(guest(used=900))).to_bytes // MIB
    host.settings["web"] = settings(buffer=5)

    later = host.tick(guest(used=500, at=101, has=devices(plugged=goal - 1024)), at=101)
    much_later = host.tick(guest(used=500, at=1500, has=devices(plugged=goal - 1024)), at=1500)

    assert later.moves == ()
    assert move_of(much_later).kind is MoveKind.SHRINK


def test_a_shrunk_guest_is_trickled_from_again_after_a_while() -> None:
    host = Host(8192)
    first = move_of(host.tick(guest(used=100)))
    smaller = devices(balloon=(first.from_bytes - first.to_bytes) // MIB)

    soon = host.tick(guest(used=100, at=102, has=smaller), at=102)
    late = host.tick(guest(used=100, at=112, has=smaller), at=112)

    assert soon.moves == ()
    assert codes(soon) == [ReasonCode.SPARE]
    assert move_of(late).kind is MoveKind.SHRINK


def test_a_stuck_shrink_is_cancelled_and_the_guest_rests() -> None:
    host = Host(8192)
    host.tick(guest(used=100))
    seen = [host.tick(guest(used=100, at=t), at=t) for t in range(101, 108)]
    kinds = [move.kind for decision in seen for move in decision.moves]

    assert kinds == [MoveKind.NUDGE, MoveKind.CANCEL]
    assert codes(seen[-1]) == [ReasonCode.RESTING]


def test_a_shrink_is_cancelled_when_its_guest_falls_silent() -> None:
    host = Host(8192)
    host.tick(guest(used=100, at=100), at=100)

    decision = host.tick(guest(used=100, at=100), at=106)
    after = host.tick(guest(used=100, at=100), at=107)

    assert codes(decision) == [ReasonCode.HALTED, ReasonCode.STALE]
    assert move_of(decision).kind is MoveKind.CANCEL
    assert after.moves == ()


def test_nothing_carried_out_leaves_wishes_as_they_were_and_keeps_what_was_learnt() -> None:
    host = Host(4096)
    host.tick(guest(used=300, at=99), at=99)
    before = host.state.guests["web"]
    new = Reservation(guest="new", size_bytes=100 * MIB)

    decision = host.tick(guest(used=950, at=100), at=100, reservations=[new])
    left = unmoved(decision)

    assert decision.moves
    assert decision.state.admitted == {"new"}
    assert left.admitted == frozenset()
    assert left.guests["web"].wish == before.wish
    assert left.guests["web"].grown_at_s == before.grown_at_s
    assert left.guests["web"].demand == decision.state.guests["web"].demand


def test_nothing_carried_out_again_and_again_decides_the_same() -> None:
    host = Host(8192)
    kinds = []
    for second in range(100, 130):
        decision = host.tick(guest(used=100, at=second), at=second)
        kinds.append(move_of(decision).kind)
        host.state = unmoved(decision)

    assert set(kinds) == {MoveKind.SHRINK}


def test_nothing_carried_out_does_not_count_a_stuck_guest_twice() -> None:
    host = Host(8192)
    host.tick(guest(used=100))

    for second in range(101, 120):
        host.state = unmoved(host.tick(guest(used=100, at=second), at=second))

    assert host.state.guests["web"].wish.giving.failures == 0


def test_the_same_input_gives_the_same_decision() -> None:
    first, second = Host(2048), Host(2048)
    guests = guest("a", used=900), guest("b", used=200)

    assert first.tick(*guests) == second.tick(*guests)


def test_a_host_without_guests_is_no_error() -> None:
    decision = Host(1024).tick()

    assert decision.guests == ()
    assert decision.in_hand_bytes == 1024 * MIB
    assert decision.tier is Tier.PLENTY
    assert decision.state == State()


def test_every_move_carries_numbers() -> None:
    host = Host(2600)
    seen = [
        host.tick(guest("a", used=100, at=t), guest("b", used=950, at=t), at=t)
        for t in range(100, 112)
    ]
    moves = [move for decision in seen for move in decision.moves]

    assert {move.kind for move in moves} == set(MoveKind)
    assert all(reason.numbers for move in moves for reason in move.reasons)
    assert all(
        reason.numbers for decision in seen for item in decision.guests for reason in item.reasons
    )
