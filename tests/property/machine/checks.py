"""What must hold of every decision, whatever was seen."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.property.machine.shadow import Shadow, granted_bytes, granularity_bytes

from barostat.core.decide import Decision, GuestDecision, State
from barostat.core.moves import Move, MoveKind
from barostat.core.observation import GuestObservation, RunState, Snapshot
from barostat.core.policy import Policy
from barostat.core.reasons import ReasonCode

__all__ = ["Checks"]

POLICY = Policy()


@dataclass
class _Shrink:
    """A shrink that has not ended: how near its guest was, when it last came nearer."""

    move: Move
    disturbed_at_s: float
    nearest_bytes: int
    since_s: float


@dataclass
class Checks:
    """The rules, and the shrinks that are under way."""

    _shrinks: dict[str, _Shrink] = field(default_factory=dict)

    def forget(self) -> None:
        """Begin anew."""
        self._shrinks.clear()

    def decision(
        self, snapshot: Snapshot, before: State, decision: Decision, shadow: Shadow
    ) -> None:
        """Judge one decision by what was seen, and by books that are not the core's."""
        self._accounts(snapshot, before, decision, shadow)
        self._turns(snapshot, decision)
        assert len({move.guest for move in decision.moves}) == len(decision.moves)
        seen = {guest.name: guest for guest in snapshot.guests}
        for found in decision.guests:
            move = found.move
            if move is None:
                assert found.reasons, "whoever is left alone is told why"
                continue
            assert move.reasons
            assert move.from_bytes == seen[move.guest].devices.assigned_bytes
            if move.kind is MoveKind.GROW:
                self._grow(snapshot, move, seen[move.guest])
            elif move.kind is MoveKind.SHRINK:
                self._shrink(snapshot, move, seen[move.guest])

    def _accounts(
        self, snapshot: Snapshot, before: State, decision: Decision, shadow: Shadow
    ) -> None:
        """What is granted, or newly set aside, is covered by what nobody has or may take."""
        present = {guest.name for guest in snapshot.guests}
        wanted = {item.guest: item.size_bytes for item in snapshot.reservations}
        waiting = {name: size for name, size in wanted.items() if name not in present}
        kept = {
            name: size
            for name, size in waiting.items()
            if before.set_aside_bytes.get(name, -1) >= size
        }
        capacity_bytes = snapshot.host.capacity_bytes
        in_hand = capacity_bytes - shadow.all_held_bytes - sum(kept.values())
        used = sum(
            size for name, size in decision.state.set_aside_bytes.items() if name not in kept
        )
        for move in decision.moves:
            used += max(0, granted_bytes(move) - shadow.held_bytes(move.guest))
        assert used <= max(0, in_hand), "only what is in hand is given away"
        if in_hand < 0 or not snapshot.host.granting:
            self._nobody_grows_on(snapshot, decision)
        assert kept.keys() <= decision.state.admitted, "an admitted VM stays admitted"
        promised = sum(found.promised_bytes for found in decision.guests)
        promised += sum(decision.state.set_aside_bytes.values())
        assert decision.promised_bytes == promised
        assert decision.in_hand_bytes == capacity_bytes - promised
        if not snapshot.host.granting:
            assert decision.state.admitted <= kept.keys()

    def _nobody_grows_on(self, snapshot: Snapshot, decision: Decision) -> None:
        """On a host that has nothing to give nobody is granted anything, or left what it was."""
        for found in decision.guests:
            move = found.move
            assert move is None or move.kind is not MoveKind.GROW
            if move is None or move.kind is MoveKind.NUDGE:
                assert _goal_bytes(found) <= found.assigned_bytes
            assert move is None or granted_bytes(move) == 0

    def _turns(self, snapshot: Snapshot, decision: Decision) -> None:
        """Out of turn nobody else is moved, and nothing else is remembered of them."""
        if not snapshot.hurried:
            return
        assert {move.guest for move in decision.moves} <= snapshot.hurried
        for name, after in decision.state.guests.items():
            assert name in snapshot.hurried or after == decision.before.guests[name]

    def _grow(self, snapshot: Snapshot, move: Move, seen: GuestObservation) -> None:
        assert move.from_bytes < move.to_bytes <= snapshot.settings[move.guest].maximum_bytes
        self._is_fit(snapshot, move, seen)

    def _shrink(self, snapshot: Snapshot, move: Move, seen: GuestObservation) -> None:
        assert snapshot.settings[move.guest].minimum_bytes <= move.to_bytes < move.from_bytes
        self._is_fit(snapshot, move, seen)
        assert snapshot.now_s - seen.disturbed_at_s >= POLICY.settle_s
        under_way = self._shrinks.get(move.guest)
        dealt_with = under_way is None or _reached(under_way, seen) or _ended(under_way, None, seen)
        assert dealt_with, "one wish at a time"

    def _is_fit(self, snapshot: Snapshot, move: Move, seen: GuestObservation) -> None:
        """Whoever is moved is seen, believed, and not held by anybody."""
        has = snapshot.settings[move.guest]
        assert seen.run_state is RunState.RUNNING
        assert seen.statistics is not None
        assert snapshot.now_s - seen.statistics_at_s <= POLICY.stale_s
        assert has.enabled
        assert not has.paused
        assert not snapshot.paused
        assert move.guest not in snapshot.settings_faults
        assert move.guest not in snapshot.host.unfit

    def shrinks(self, snapshot: Snapshot, decision: Decision) -> None:
        """Every shrink is done, cancelled, or found to be stuck, and in time."""
        moves = {move.guest: move for move in decision.moves}
        seen = {guest.name: guest for guest in snapshot.guests}
        for name in self._shrinks.keys() - seen.keys():
            del self._shrinks[name]
        for name in snapshot.hurried or seen:
            view, move, shrink = seen[name], moves.get(name), self._shrinks.get(name)
            if shrink is not None and (_reached(shrink, view) or _ended(shrink, move, view)):
                del self._shrinks[name]
            if move is not None and move.kind is MoveKind.SHRINK:
                distance = move.from_bytes - move.to_bytes
                self._shrinks[name] = _Shrink(move, view.disturbed_at_s, distance, snapshot.now_s)
            elif name in self._shrinks and view.run_state is not RunState.UNREACHABLE:
                _is_in_time(self._shrinks[name], view, snapshot.now_s)


def _goal_bytes(found: GuestDecision) -> int:
    """Say to what size a guest that is under way is left to go on."""
    goals = (r.numbers["goal_bytes"] for r in found.reasons if r.code is ReasonCode.MOVING)
    return next((int(goal) for goal in goals), 0)


def _reached(shrink: _Shrink, view: GuestObservation) -> bool:
    """Say whether a guest gave what was asked, or more: what was asked before may come loose."""
    return view.devices.assigned_bytes - shrink.move.to_bytes < granularity_bytes(view)


def _ended(shrink: _Shrink, move: Move | None, view: GuestObservation) -> bool:
    """Say whether it was cancelled, or a disturbance ended what was asked before."""
    told = move is not None and move.kind in {MoveKind.CANCEL, MoveKind.GROW}
    return told or view.disturbed_at_s != shrink.disturbed_at_s


def _is_in_time(shrink: _Shrink, view: GuestObservation, now_s: float) -> None:
    distance = view.devices.assigned_bytes - shrink.move.to_bytes
    if distance <= shrink.nearest_bytes * (1 - POLICY.progress_ratio):
        shrink.nearest_bytes, shrink.since_s = distance, now_s
    assert now_s - shrink.since_s < POLICY.stuck_s
