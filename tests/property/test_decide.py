"""What must hold of every decision, whatever guests, host and operators do between two of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.property.world import BLOCK_BYTES, Guest

from barostat.core.allocation import Mode, Tier
from barostat.core.decide import Decision, GuestDecision, State, decide, unmoved
from barostat.core.moves import Move, MoveKind
from barostat.core.observation import (
    Depth,
    GuestObservation,
    HostObservation,
    Reservation,
    RunState,
    Snapshot,
)
from barostat.core.policy import DemandPolicy, DemandSource, Policy
from barostat.core.reasons import ReasonCode
from barostat.core.settings import MemorySettings
from barostat.core.statistics import Inside
from barostat.units import MIB

POLICY = Policy()
DEMANDS = [
    DemandPolicy(),
    DemandPolicy(source=DemandSource.COMMITTED),
    DemandPolicy(adaptive=True),
    DemandPolicy(trim=True),
]
MACHINES, STEPS = 400, 50  # 20,000 steps
NAMES = ("a", "b", "c", "d", "e")
sizes_mib = st.integers(64, 1500)
shares = st.sampled_from([0.0, 0.1, 0.5, 1.0, 1.0])


def reached(move: Move, actual_bytes: int) -> bool:
    return abs(actual_bytes - move.to_bytes) < BLOCK_BYTES


@dataclass
class Shrink:
    """A shrink that has not ended: how near its guest was, when it last came nearer."""

    move: Move
    asked_at_s: float
    nearest_bytes: int
    since_s: float


class Adversary(RuleBasedStateMachine):
    """Everything that may go wrong, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1000.0
        self.state = State()
        self.policy = POLICY
        self.capacity_bytes = 4096 * MIB
        self.guests: dict[str, Guest] = {}
        self.settings: dict[str, MemorySettings] = {}
        self.reservations: dict[str, Reservation] = {}
        self.shrinks: dict[str, Shrink] = {}
        self.excused = False
        self.granting = True
        self.wanted_back_bytes = 0

    # The world.

    @initialize(
        boots=st.lists(st.integers(256, 1024), min_size=1, max_size=4),
        deflate=st.booleans(),
        mode=st.sampled_from(Mode),
        demand=st.sampled_from(DEMANDS),
        data=st.data(),
    )
    def begin(
        self,
        boots: list[int],
        deflate: bool,
        mode: Mode,
        demand: DemandPolicy,
        data: st.DataObject,
    ) -> None:
        self.policy = Policy(mode=mode, demand=demand)
        for name, boot in zip(NAMES, boots, strict=False):
            self._arrive(name, boot, deflate, data.draw(sizes_mib))
        for guest in self.guests.values():
            guest.disturbed_at_s = self.now_s - 100

    def _arrive(self, name: str, boot: int, deflate: bool, used: int) -> None:
        self.guests[name] = Guest(
            name=name,
            boot_bytes=boot * MIB,
            region_bytes=1024 * MIB,
            deflate_on_oom=deflate,
            used_bytes=used * MIB,
            disturbed_at_s=self.now_s,
            hot=used % 2 == 1,
        )
        self.settings[name] = MemorySettings(
            startup_bytes=boot * MIB,
            minimum_bytes=boot * MIB // 2,
            maximum_bytes=(boot + 800) * MIB,
        )

    def _some(self, data: st.DataObject) -> Guest:
        return self.guests[data.draw(st.sampled_from(sorted(self.guests)))]

    @rule(data=st.data(), used=sizes_mib)
    def needs_another_amount(self, data: st.DataObject, used: int) -> None:
        self._some(data).use(used * MIB)

    @rule(data=st.data())
    def hears(self, data: st.DataObject) -> None:
        self._some(data).hear()

    @rule(data=st.data(), share=shares)
    def obeys(self, data: st.DataObject, share: float) -> None:
        self._some(data).obey(share)

    @rule(share=shares)
    def all_hear_and_obey(self, share: float) -> None:
        for guest in self.guests.values():
            guest.hear()
            guest.obey(share)

    @rule()
    def all_page(self) -> None:
        for guest in self.guests.values():
            guest.thrash()

    @rule(
        data=st.data(),
        waited_us=st.sampled_from([-(10**6), 0, 1000, 50_000, 2**50]),
        scanned=st.sampled_from([None, 0, MIB, 2**50]),
        committed=st.none() | st.integers(0, 2**50),
        by=st.sampled_from([Depth.AGENT, Depth.AGENT, Depth.QGA]),
    )
    def says_from_within_what_it_likes(
        self,
        data: st.DataObject,
        waited_us: int,
        scanned: int | None,
        committed: int | None,
        by: Depth,
    ) -> None:
        guest = self._some(data)
        last = guest.inside or Inside(at_s=0, stalled_us=10**6, scanned_bytes=0)
        guest.heard_by = by
        guest.inside = Inside(
            at_s=self.now_s,
            committed_bytes=committed,
            stalled_us=(last.stalled_us or 0) + waited_us,
            refaulted_bytes=committed,
            scanned_bytes=None if scanned is None else (last.scanned_bytes or 0) + scanned,
        )

    @rule()
    def all_are_heard_to_be_calm_for_long(self) -> None:
        for _ in range(25):
            self.all_hear_and_obey(1.0)
            for guest in self.guests.values():
                guest.heard_by = Depth.AGENT
                last = guest.inside or Inside(at_s=0, stalled_us=0)
                guest.inside = replace(last, at_s=self.now_s)
            self.is_decided_on(3.0, True)

    @rule(data=st.data(), mute=st.booleans())
    def falls_silent(self, data: st.DataObject, mute: bool) -> None:
        self._some(data).mute = mute

    @rule(
        data=st.data(),
        state=st.sampled_from([RunState.PAUSED, RunState.MIGRATING, RunState.UNREACHABLE]),
    )
    def cannot_be_judged(self, data: st.DataObject, state: RunState) -> None:
        guest = self._some(data)
        seen_as_it_is = guest.seen is not None and guest.seen.devices == guest.devices
        if guest.run_state is RunState.RUNNING and seen_as_it_is:
            guest.enter(state, self.now_s)

    @rule(data=st.data())
    def runs_again(self, data: st.DataObject) -> None:
        guest = self._some(data)
        if guest.run_state is not RunState.RUNNING:
            guest.enter(RunState.RUNNING, self.now_s)

    @rule(data=st.data(), size=st.integers(1, 400))
    def takes_memory_back_by_itself(self, data: st.DataObject, size: int) -> None:
        guest = self._some(data)
        if guest.run_state is not RunState.UNREACHABLE:  # what nobody sees nobody can count
            guest.deflate_itself(size * MIB)
            self.excused = True

    @rule(data=st.data())
    def is_reset(self, data: st.DataObject) -> None:
        guest = self._some(data)
        if guest.run_state in {RunState.RUNNING, RunState.BOOTING}:
            guest.reset(self.now_s)
            self.excused = True

    @precondition(lambda self: len(self.guests) > 1)
    @rule(data=st.data())
    def ends(self, data: st.DataObject) -> None:
        name = self._some(data).name
        del self.guests[name]
        del self.settings[name]
        self.shrinks.pop(name, None)

    @rule(name=st.sampled_from(NAMES), size=st.integers(256, 1500))
    def wants_to_start(self, name: str, size: int) -> None:
        if name not in self.guests and name not in self.state.admitted:
            self.reservations[name] = Reservation(guest=name, size_bytes=size * MIB)

    @rule(name=st.sampled_from(NAMES), deflate=st.booleans(), used=sizes_mib)
    def starts_or_gives_up(self, name: str, deflate: bool, used: int) -> None:
        wanted = self.reservations.get(name)
        if wanted is not None and name in self.state.admitted:
            self._arrive(name, wanted.size_bytes // MIB, deflate, used)
        self.reservations.pop(name, None)

    @rule(capacity=st.integers(1024, 6000))
    def host_has_another_capacity(self, capacity: int) -> None:
        self.excused = self.excused or capacity * MIB < self.capacity_bytes
        self.capacity_bytes = capacity * MIB

    @rule(wanted=st.sampled_from([0, 0, 16, 100, 600, 4000]))
    def host_brakes(self, wanted: int) -> None:
        self.granting, self.wanted_back_bytes = False, wanted * MIB

    @rule()
    def host_lets_its_brakes_go(self) -> None:
        self.granting, self.wanted_back_bytes = True, 0

    @rule(
        data=st.data(),
        weight=st.integers(0, 10_000),
        buffer=st.integers(5, 200),
        enabled=st.booleans(),
    )
    def is_set_otherwise(
        self, data: st.DataObject, weight: int, buffer: int, enabled: bool
    ) -> None:
        name = self._some(data).name
        self.settings[name] = replace(
            self.settings[name], weight=weight, buffer_percent=buffer, enabled=enabled
        )

    # The decisions.

    @rule(wait_s=st.sampled_from([0.3, 1.0, 1.0, 1.0, 3.0, 12.0, 70.0]), carried_out=st.booleans())
    def is_decided_on(self, wait_s: float, carried_out: bool) -> None:
        self._decide_on(wait_s, frozenset(), carried_out)

    @rule(data=st.data(), wait_s=st.sampled_from([0.05, 0.2, 1.0, 6.0]), carried_out=st.booleans())
    def is_decided_on_out_of_turn(
        self, data: st.DataObject, wait_s: float, carried_out: bool
    ) -> None:
        some = data.draw(st.sets(st.sampled_from(sorted(self.guests)), min_size=1))
        self._decide_on(wait_s, frozenset(some), carried_out)

    def _decide_on(self, wait_s: float, hurried: frozenset[str], carried_out: bool) -> None:
        self.now_s += wait_s
        seen = {name: guest.look(self.now_s) for name, guest in sorted(self.guests.items())}
        for name, item in seen.items():
            if name in self.shrinks and item.disturbed_at_s >= self.shrinks[name].asked_at_s:
                del self.shrinks[name]  # a disturbance ends what was asked before
        decision = self._decide(seen, hurried)
        self._check_turns(decision, hurried)
        self._check_accounts(decision)
        self._check_grants(decision, seen)
        self._check_brakes(decision)
        for found in decision.guests:
            self._check_move(decision, found, seen[found.guest])
        if not carried_out:
            self.state = unmoved(decision)
            return
        self.state = decision.state
        for move in decision.moves:
            self.guests[move.guest].pending = move
        self._follow_shrinks(decision, {name: seen[name] for name in hurried or seen})

    @rule()
    def a_minute_goes_by_in_peace(self) -> None:
        for _ in range(20):
            self.all_hear_and_obey(1.0)
            self.is_decided_on(3.0, True)

    def _decide(self, seen: dict[str, GuestObservation], hurried: frozenset[str]) -> Decision:
        snapshot = Snapshot(
            now_s=self.now_s,
            host=HostObservation(
                capacity_bytes=self.capacity_bytes,
                granting=self.granting,
                wanted_back_bytes=self.wanted_back_bytes,
            ),
            guests=tuple(seen.values()),
            settings=dict(self.settings),
            reservations=tuple(self.reservations.values()),
            hurried=hurried,
        )
        return decide(snapshot, self.state, self.policy)

    def _check_turns(self, decision: Decision, hurried: frozenset[str]) -> None:
        """Out of turn nobody else is moved, and nothing else is remembered of them."""
        if not hurried:
            return
        assert {move.guest for move in decision.moves} <= hurried
        for name, after in decision.state.guests.items():
            assert name in hurried or after == decision.before.guests[name]

    def _check_accounts(self, decision: Decision) -> None:
        set_aside = sum(
            item.size_bytes
            for item in self.reservations.values()
            if item.guest in decision.state.admitted
        )
        promised = sum(found.promised_bytes for found in decision.guests) + set_aside
        assert decision.promised_bytes == promised
        assert decision.in_hand_bytes == self.capacity_bytes - promised
        assert len({move.guest for move in decision.moves}) == len(decision.moves)

    def _check_grants(self, decision: Decision, seen: dict[str, GuestObservation]) -> None:
        """What is granted is covered by what nobody has, may take, or was promised."""
        held = {name: self._as_seen(self.guests[name], seen[name]) for name in seen}
        set_aside = sum(
            item.size_bytes
            for item in self.reservations.values()
            if item.guest in self.state.admitted
        )
        in_hand = self.capacity_bytes - sum(held.values()) - set_aside
        granted = sum(
            max(0, move.to_bytes - held[move.guest])
            for move in decision.moves
            if move.kind is MoveKind.GROW
        )
        assert granted <= max(0, in_hand)

    def _check_brakes(self, decision: Decision) -> None:
        """While the host brakes nobody grows, nobody new may start, and nothing is given away."""
        if self.granting:
            return
        assert not any(move.kind is MoveKind.GROW for move in decision.moves)
        assert decision.state.admitted <= self.state.admitted

    def _as_seen(self, guest: Guest, seen: GuestObservation) -> int:
        granted = 0
        if guest.pending is not None and guest.pending.kind is not MoveKind.CANCEL:
            granted = guest.pending.to_bytes
        return max(seen.devices.wished_bytes, granted)

    def _check_move(self, decision: Decision, found: GuestDecision, seen: GuestObservation) -> None:
        move, has = found.move, self.settings[found.guest]
        if move is None:
            assert found.reasons
            return
        assert move.reasons
        assert move.reasons[0].numbers
        if move.kind is MoveKind.GROW:
            assert move.from_bytes < move.to_bytes <= has.maximum_bytes
        if move.kind is MoveKind.SHRINK:
            assert has.minimum_bytes <= move.to_bytes < move.from_bytes
            self._check_shrink(decision, found, seen, move)

    def _check_shrink(
        self, decision: Decision, found: GuestDecision, seen: GuestObservation, move: Move
    ) -> None:
        assert seen.run_state is RunState.RUNNING
        assert seen.statistics is not None
        assert self.now_s - seen.statistics_at_s <= POLICY.stale_s
        assert self.now_s - seen.disturbed_at_s >= POLICY.settle_s
        assert self.settings[found.guest].enabled
        step = move.from_bytes - move.to_bytes
        if move.reasons[0].code is ReasonCode.TRIMMED:
            assert seen.heard_by is Depth.AGENT
            assert step <= move.from_bytes * self.policy.demand.trim_ratio
        elif step > seen.statistics.available_bytes:
            assert decision.tier in {Tier.DEMAND_CUT, Tier.SHORT}, "nobody pages in plenty"
            assert seen.devices.deflate_on_oom or step <= seen.devices.plugged_bytes
        trimmed = move.reasons[0].code is ReasonCode.TRIMMED
        if found.demand_bytes is not None and move.to_bytes < found.demand_bytes and not trimmed:
            too_large = move.from_bytes > self.settings[found.guest].maximum_bytes
            assert too_large or decision.tier in {Tier.DEMAND_CUT, Tier.SHORT}
        under_way = self.shrinks.get(found.guest)
        assert under_way is None or reached(under_way.move, seen.devices.assigned_bytes)

    def _follow_shrinks(self, decision: Decision, seen: dict[str, GuestObservation]) -> None:
        """Every shrink is done, cancelled, or found to be stuck, and in time."""
        moves = {move.guest: move for move in decision.moves}
        for name, item in seen.items():
            actual, move = item.devices.assigned_bytes, moves.get(name)
            shrink = self.shrinks.get(name)
            if shrink is not None and reached(shrink.move, actual):
                del self.shrinks[name]
            if move is not None and move.kind in {MoveKind.CANCEL, MoveKind.GROW}:
                self.shrinks.pop(name, None)
            if move is not None and move.kind is MoveKind.SHRINK:
                distance = move.from_bytes - move.to_bytes
                self.shrinks[name] = Shrink(move, self.now_s, distance, self.now_s)
            elif name in self.shrinks and item.run_state is not RunState.UNREACHABLE:
                self._is_in_time(self.shrinks[name], actual)

    def _is_in_time(self, shrink: Shrink, actual: int) -> None:
        distance = abs(actual - shrink.move.to_bytes)
        if distance <= shrink.nearest_bytes * (1 - POLICY.progress_ratio):
            shrink.nearest_bytes, shrink.since_s = distance, self.now_s
        assert self.now_s - shrink.since_s < POLICY.stuck_s

    @invariant()
    def never_more_is_promised_than_there_is(self) -> None:
        """Unless the host lost memory, or a guest took what was not given to it."""
        held = sum(guest.may_have_bytes for guest in self.guests.values())
        held += sum(
            item.size_bytes
            for item in self.reservations.values()
            if item.guest in self.state.admitted
        )
        if held <= self.capacity_bytes:
            self.excused = False
        assert self.excused or held <= self.capacity_bytes


Adversary.TestCase.settings = settings(
    max_examples=MACHINES, stateful_step_count=STEPS, deadline=None
)
test_whatever_happens_no_decision_hurts = pytest.mark.timeout(900)(Adversary.TestCase)
for _promise in ("capacity", "confirmed", "minimum", "ends", "doubt"):
    test_whatever_happens_no_decision_hurts = pytest.mark.trust(
        _promise, "anything happens to guests and their host, in any order"
    )(test_whatever_happens_no_decision_hurts)
