"""Scenarios for the guards of the core: each says whether all went well."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from tests.unit.builders import POLICY, Host, devices, guest, heard, line, of, settings, statistics

from barostat.core.decide import Decision
from barostat.core.ledger import Ledger
from barostat.core.moves import Move, MoveKind
from barostat.core.observation import Depth, Devices, GuestObservation, Reservation, RunState
from barostat.core.plan import plan
from barostat.core.policy import DemandPolicy, Policy
from barostat.core.reasons import ReasonCode, because
from barostat.core.statistics import Statistics
from barostat.units import MIB

PLENTY = 1 << 60


def kinds(decision: Decision, name: str = "web") -> list[MoveKind]:
    return [move.kind for move in decision.moves if move.guest == name]


def worst_bytes(decision: Decision, guests: Sequence[GuestObservation]) -> int:
    """What the guests have, may take, or are granted now, all together."""
    granted = {move.guest: move.to_bytes for move in decision.moves if move.kind is MoveKind.GROW}
    return sum(
        max(seen.devices.wished_bytes, seen.devices.assigned_bytes, granted.get(seen.name, 0))
        for seen in guests
    )


def host_with_a_short_guest(
    capacity: int, *, at_first: int = 1024, reservations: Sequence[Reservation] = ()
) -> tuple[Host, GuestObservation]:
    """A host, and a guest of 1024 MiB on it that has just swapped out 200 and needs them back.

    It has its minimum, and the highest weight.
    """
    host = Host(at_first)
    host.settings["short"] = settings(1024, weight=10_000)
    host.tick(guest("short", used=960, at=99), at=99, reservations=reservations)
    host.capacity = capacity
    says = statistics(devices(), 960, swap_out_bytes=200 * MIB)
    return host, guest("short", says=says)


# The ledger.


def busy_guest_waits_for_memory_that_another_still_has() -> bool:
    guests = guest("idle", used=100), guest("busy", used=900)
    decision = Host(2060).tick(*guests)
    return worst_bytes(decision, guests) <= 2060 * MIB


def memory_that_was_asked_back_is_not_granted_before_it_has_left() -> bool:
    host = Host(2060)
    host.tick(guest("idle", used=100), guest("busy", used=900))
    later = guest("idle", used=100, at=101), guest("busy", used=900, at=101)
    return worst_bytes(host.tick(*later, at=101), later) <= 2060 * MIB


def memory_that_a_guest_took_back_by_itself_is_not_granted_to_another() -> bool:
    host = Host(2060)
    host.tick(guest("idle", used=600), guest("busy", used=600))
    for second, balloon in ((101, 300), (102, 300)):
        shrunk = guest("idle", used=600, at=second, has=devices(balloon=balloon))
        host.tick(shrunk, guest("busy", used=600, at=second), at=second)
    took_back = guest("idle", used=900, at=103, has=devices(target=724))
    both = took_back, guest("busy", used=950, at=103)
    return worst_bytes(host.tick(*both, at=103), both) <= 2060 * MIB


def host_that_lost_memory_grants_nothing() -> bool:
    host, short = host_with_a_short_guest(1500)
    host.settings["idle"] = settings(weight=1)
    decision = host.tick(guest("idle", used=700), short)
    return kinds(decision, "short") == []


def a_grow_under_way_ends_when_its_memory_is_gone() -> bool:
    host = Host(4096)
    host.tick(guest(used=900, at=100), at=100)
    host.capacity = 1100
    return kinds(host.tick(guest(used=900, at=101), at=101)) == [MoveKind.CANCEL]


def memory_of_a_guest_that_boots_is_not_granted_to_another() -> bool:
    reset = guest("a", has=devices(balloon=500), run_state=RunState.BOOTING)
    decision = Host(2060).tick(reset, guest("b", used=950))
    return kinds(decision, "b") == []


def memory_of_a_guest_that_was_stopped_while_it_booted_is_not_granted_to_another() -> bool:
    stopped = replace(guest("a", has=devices(balloon=500)), statistics=None)
    stopped = replace(stopped, run_state=RunState.PAUSED)
    decision = Host(2060).tick(stopped, guest("b", used=950))
    return kinds(decision, "b") == []


def a_grant_that_was_recalled_unseen_is_not_made_again() -> bool:
    host = Host(2600)
    unseen = guest("a", used=980, at=100)
    granted = of(host.tick(unseen, guest("b", used=400, at=100), at=100), "a").promised_bytes
    braked = host.tick(unseen, guest("b", used=400, at=101), at=101, granting=False)
    decision = host.tick(unseen, guest("b", used=1000, at=102), at=102)
    recalled = kinds(braked, "a") == [MoveKind.CANCEL]
    return recalled and granted + of(decision, "b").promised_bytes <= 2600 * MIB


def a_grant_on_its_way_is_not_made_again_when_its_guest_is_reset() -> bool:
    host = Host(2600)
    first = host.tick(guest("a", used=980), guest("b", used=400))
    granted = of(first, "a").promised_bytes
    after = guest("a", used=300, at=101, disturbed=101), guest("b", used=1000, at=101)
    decision = host.tick(*after, at=101)
    return granted + of(decision, "b").promised_bytes <= 2600 * MIB


def what_waits_for_its_turn_is_not_promised() -> bool:
    both = guest("calm", used=900), guest("hurried", used=900)
    decision = Host().tick(*both, hurried=["hurried"])
    return of(decision, "calm").promised_bytes == 1024 * MIB


# The host itself.


def nobody_grows_on_a_host_that_is_itself_short() -> bool:
    decision = Host().tick(guest(used=950), granting=False)
    return kinds(decision) == [] and decision.in_hand_bytes > 0


def a_grow_under_way_ends_when_the_host_is_itself_short() -> bool:
    host = Host()
    host.tick(guest(used=950, at=100), at=100)
    return kinds(host.tick(guest(used=950, at=101), at=101, granting=False)) == [MoveKind.CANCEL]


def nobody_starts_on_a_host_that_is_itself_short() -> bool:
    new = Reservation(guest="new", size_bytes=400 * MIB)
    decision = Host().tick(guest(used=500), reservations=[new], granting=False)
    return decision.state.admitted == frozenset()


def a_host_that_wants_memory_back_has_it_from_the_guests() -> bool:
    decision = Host().tick(guest(used=500), granting=False, wanted_back=200)
    return sum(move.from_bytes - move.to_bytes for move in decision.moves) >= 200 * MIB


def what_a_guest_gives_and_the_host_does_not_get_is_not_given_to_another() -> bool:
    host = Host(2060)
    why = because(ReasonCode.HUGEPAGES)
    decision = host.tick(guest("huge", used=100), guest("busy", used=900), unfit={"huge": why})
    return kinds(decision, "huge") == []


# What a guest keeps.


def nothing_is_taken_below_the_minimum() -> bool:
    host, short = host_with_a_short_guest(2060)
    host.settings["idle"] = settings(900)
    decision = host.tick(guest("idle", used=100), short)
    return all(move.to_bytes >= 900 * MIB for move in decision.moves)


def a_step_leaves_the_guest_room() -> bool:
    host, short = host_with_a_short_guest(2060)
    host.settings["idle"] = settings(weight=1)
    decision = host.tick(guest("idle", used=760), short)
    step = sum(m.from_bytes - m.to_bytes for m in decision.moves if m.guest == "idle")
    return (of(decision, "idle").available_bytes or 0) - step >= POLICY.floor_low_bytes


def two_steps_are_not_taken_out_of_the_same_available_memory() -> bool:
    host, short = host_with_a_short_guest(2060)
    host.settings["idle"] = settings(weight=1)
    spoke = guest("idle", used=560, at=100)
    first = host.tick(spoke, short)
    given_mib = sum(m.from_bytes - m.to_bytes for m in first.moves if m.guest == "idle") // MIB
    shrunk = replace(spoke, devices=devices(balloon=given_mib), seen_at_s=101.0)
    second = host.tick(shrunk, replace(short, seen_at_s=101, statistics_at_s=101), at=101)
    step = sum(m.from_bytes - m.to_bytes for m in second.moves if m.guest == "idle")
    left = 1024 - given_mib - (560 + 64) - step // MIB
    return left * MIB >= POLICY.floor_low_bytes


def the_pool_is_not_filled_from_what_a_guest_needs() -> bool:
    needy = line("needy", target=700, demand_bytes=1000, available_bytes=10)
    ledger = Ledger(1010 * MIB)
    ledger.promise("needy", 1000 * MIB)
    plan([needy], ledger, now_s=0, pool_bytes=300 * MIB, awaited_bytes=0, policy=POLICY)
    return needy.move is None


def a_guest_whose_balloon_does_not_give_way_is_not_made_to_page() -> bool:
    host, short = host_with_a_short_guest(2060)
    host.settings["other"] = settings(weight=1)
    decision = host.tick(guest("other", used=950, has=devices(deflate=False)), short)
    return kinds(decision, "other") == []


def memory_that_never_came_online_is_not_demand() -> bool:
    dark = Statistics(total_bytes=100 * MIB, available_bytes=60 * MIB)
    decision = Host().tick(guest(says=dark))
    return (of(decision).demand_bytes or PLENTY) < 300 * MIB


# What a program in the guest says.


def a_container_at_its_own_limit_is_not_given_more() -> bool:
    host = Host()
    host.tick(heard(guest(at=100), stalled_us=0, scanned_bytes=0), at=100)
    waited = heard(guest(at=101), stalled_us=500_000, scanned_bytes=0)
    return MoveKind.GROW not in kinds(host.tick(waited, at=101))


def nothing_is_trickled_from_a_guest_that_just_waited_for_memory() -> bool:
    host = Host(settings={"web": settings(maximum=1024)})
    for at in range(100, 140):
        waited_us = 500_000 if at > 100 else 0
        seen = guest(used=300, at=at, disturbed=95)
        seen = heard(seen, stalled_us=waited_us, scanned_bytes=at * MIB)
        if MoveKind.SHRINK in kinds(host.tick(seen, at=at)):
            return False
    return True


def trimmed_for(seconds: int, has: Devices, *, by: Depth = Depth.AGENT, used: int) -> list[Move]:
    """What is decided of a guest that never waits for memory, and gives what it is asked."""
    policy = Policy(demand=DemandPolicy(trim=True))
    host, moves = Host(policy=policy, settings={"web": settings(64)}), list[Move]()
    for at in range(100, 100 + seconds):
        seen = heard(guest(used=used, at=at, has=has), by=by, stalled_us=0, scanned_bytes=0)
        for move in host.tick(seen, at=at).moves:
            has = devices(balloon=1024 - move.to_bytes // MIB)
            moves.append(move)
    return moves


def a_guest_that_cannot_say_at_once_that_it_waits_is_not_trimmed() -> bool:
    moves = trimmed_for(100, devices(balloon=400), by=Depth.QGA, used=500)
    return MoveKind.SHRINK not in [move.kind for move in moves]


def a_guest_is_not_trimmed_into_what_its_kernel_needs() -> bool:
    moves = trimmed_for(120, devices(balloon=784), used=150)
    return all(move.to_bytes >= 232 * MIB for move in moves)


def a_guest_with_hardly_a_free_page_is_plugged_in_steps() -> bool:
    """It has 2 MiB free, and needs 2.25 to describe each section of 128 MiB."""
    says = statistics(devices(), 960, free_bytes=2 * MIB, swap_out_bytes=200 * MIB)
    host = Host()
    host.tick(guest(used=500, at=99), at=99)
    return all(move.to_bytes <= (1024 + 128) * MIB for move in host.tick(guest(says=says)).moves)


# Doubt means hold.


def idle_guest_is_not_shrunk(run_state: RunState) -> Callable[[], bool]:
    def scenario() -> bool:
        return MoveKind.SHRINK not in kinds(Host().tick(guest(used=100, run_state=run_state)))

    return scenario


def guest_that_fell_silent_is_not_shrunk() -> bool:
    host = Host()
    host.tick(guest(used=100, at=100, disturbed=95), at=100)
    silent = replace(guest(used=100, at=100, disturbed=95), seen_at_s=900.0)
    return host.tick(silent, at=900).moves == ()


def guest_that_cannot_be_believed_is_not_shrunk() -> bool:
    host = Host()
    host.tick(guest(used=100, at=100, disturbed=95), at=100)
    absurd = replace(guest(at=900, disturbed=95), statistics=None)
    return host.tick(absurd, at=900).moves == ()


def guest_that_falls_silent_while_it_gives_is_told_to_stop() -> bool:
    host = Host()
    host.tick(guest(used=100, at=100), at=100)
    decision = host.tick(replace(guest(used=100, at=100), seen_at_s=106.0), at=106)
    return kinds(decision) == [MoveKind.CANCEL]


def guest_that_just_started_is_not_shrunk() -> bool:
    return Host().tick(guest(used=100, disturbed=95)).moves == ()


# Guests that do not do as they are asked.


def unmoved_for(seconds: int, host: Host, has: Devices | None = None) -> list[MoveKind]:
    """Look at an idle guest that gives nothing, once a second."""
    return [
        move.kind
        for at in range(100, 100 + seconds)
        for move in host.tick(guest(used=100, at=at, has=has), at=at).moves
    ]


def guest_is_asked_for_one_thing_at_a_time() -> bool:
    host, short = host_with_a_short_guest(2060)
    first = host.tick(guest("idle", used=560), short)
    again = replace(short, seen_at_s=101, statistics_at_s=101)
    second = host.tick(guest("idle", used=560, at=101), again, at=101)
    return kinds(first, "idle") == [MoveKind.SHRINK] and kinds(second, "idle") == []


def guest_that_gives_nothing_is_let_go() -> bool:
    return MoveKind.CANCEL in unmoved_for(20, Host())


def guest_that_gave_nothing_is_left_alone_for_a_while() -> bool:
    return unmoved_for(30, Host()).count(MoveKind.SHRINK) == 1


def guest_that_gives_nothing_is_asked_less_and_less() -> bool:
    return unmoved_for(400, Host()).count(MoveKind.SHRINK) <= 5


def guest_that_takes_nothing_is_not_granted_again_at_once() -> bool:
    host = Host()
    asked = [
        move.kind
        for at in range(100, 110)
        for move in host.tick(guest(used=950, at=at), at=at).moves
    ]
    return asked.count(MoveKind.GROW) == 1


def others_are_asked_for_what_a_resting_guest_does_not_give() -> bool:
    host = Host(3000)
    large = devices(plugged=176)
    for at in range(100, 106):  # alone with a starting VM, the first does not give
        first = guest("first", used=100, at=at, has=large)
        host.tick(first, at=at, reservations=[Reservation(guest="x", size_bytes=2400 * MIB)])
    seen = (
        guest("first", used=100, at=107, has=replace(large, deflate_on_oom=False)),
        guest("second", used=836, at=107),
        guest("third", used=736, at=107, has=devices(800)),
    )
    return kinds(host.tick(*seen, at=107), "second") == [MoveKind.SHRINK]


def guest_that_runs_short_while_it_gives_is_told_to_stop() -> bool:
    host = Host(2060)
    host.tick(guest("a", used=500), guest("b", used=1000))
    later = guest("a", used=940, at=101), guest("b", used=500, at=101)
    decision = host.tick(*later, at=101)
    return kinds(decision, "a") in ([MoveKind.CANCEL], [MoveKind.GROW])


def what_a_guest_may_take_by_a_wish_that_is_no_more_does_not_stay_promised() -> bool:
    host, has = Host(), devices(balloon=300, target=None)
    cancelled = 0
    for at in range(100, 180):  # nothing that is asked of it ever comes to it
        decision = host.tick(guest(used=560, at=at, has=has), at=at)
        cancelled += kinds(decision) == [MoveKind.CANCEL]
    return 2 <= cancelled <= 4


# What is set aside.


def buffers_leave_the_pool_alone() -> bool:
    decision = Host(2120).tick(guest("idle", used=300), guest("busy", used=860))
    return decision.in_hand_bytes >= decision.pool_bytes


def memory_that_a_starting_vm_waits_for_is_not_given_to_others() -> bool:
    host, short = host_with_a_short_guest(2400)
    new = Reservation(guest="new", size_bytes=400 * MIB)
    decision = host.tick(guest("idle", used=100), short, reservations=[new])
    return kinds(decision, "short") == []


def memory_of_an_admitted_vm_stays_its_own() -> bool:
    new = Reservation(guest="new", size_bytes=400 * MIB)
    host, short = host_with_a_short_guest(1400, at_first=1424, reservations=[new])
    decision = host.tick(short, reservations=[new])
    return kinds(decision, "short") == []


def nobody_is_squeezed_for_a_vm_that_cannot_start() -> bool:
    huge = Reservation(guest="huge", size_bytes=9000 * MIB)
    return Host(4096).tick(guest(used=780), reservations=[huge]).moves == ()


def nobody_pages_for_a_vm_that_weighs_no_more() -> bool:
    new = Reservation(guest="new", size_bytes=400 * MIB)
    return Host(1100).tick(guest(used=780), reservations=[new]).moves == ()
