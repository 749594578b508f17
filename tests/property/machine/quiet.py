"""From wherever chance has led: when nothing happens any more, it comes to rest.

Trouble ends, needs stay as they are, the engine works, and a tick comes every second. What happened
settles first. After that no guest is moved back and forth, or often; memory that nobody has is not
kept from anybody; and what is there is given to whoever should have more.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

from tests.property.machine.machine import Machine
from tests.property.machine.world import Then

from barostat.core.decide import Decision, GuestDecision
from barostat.core.moves import MoveKind
from barostat.core.policy import Policy
from barostat.core.reasons import ReasonCode
from barostat.hypervisors.simulated_spec import Character
from barostat.units import MIB

__all__ = ["Quiet"]

POLICY = Policy()
SETTLING_TICKS = 60
QUIET_TICKS = 240
"""An oscillation would turn eight times in that: a minute after each grow, and at once after."""

MOST_TURNS = 4
"""What a guest was granted for its past it gives again when that is forgotten. And when the rest of
one that never gives is over, others may hope for its memory once more: twice in that time at most.
"""

MOST_MOVES = 60
"""A guest that gives nothing is asked, nudged and let go, less and less often; one that gives is
asked once in ten seconds, and one from which others wait for memory a little more often."""

RESTLESS = {Character.MOODY, Character.GREEDY, Character.LYING}
"""Those who change what they have, or what they say they need, by themselves."""


class Quiet(Machine):
    """The machine, and what comes after it."""

    def teardown(self) -> None:
        self._calm_down()
        moved: dict[str, list[MoveKind]] = defaultdict(list)
        for _ in range(QUIET_TICKS):
            for move in self._tick().moves:
                moved[move.guest].append(move.kind)
        for kinds in moved.values():
            directions = [kind for kind in kinds if kind in {MoveKind.GROW, MoveKind.SHRINK}]
            turns = sum(one is not other for one, other in pairwise(directions))
            assert turns <= MOST_TURNS, kinds
            assert len(kinds) <= MOST_MOVES, kinds
        decision = self._tick()
        for found in decision.guests:
            self._is_at_rest(found, decision)

    def _calm_down(self) -> None:
        self.world.be_quiet()
        for resident in list(self.world.residents.values()):
            if resident.guest.spec.character in RESTLESS:
                self.world.move_out(resident)
        for _ in range(SETTLING_TICKS):
            self._tick()

    def _tick(self) -> Decision:
        wait_s, style = Then.TICK.value
        self.world.pass_time(wait_s, style)
        decision = self.world.tick()
        self.world.check()
        return decision

    def _is_at_rest(self, found: GuestDecision, decision: Decision) -> None:
        """What is promised is there, and what should be there is, or is on its way."""
        held = {reason.code for reason in found.reasons} & {
            ReasonCode.NO_SETTINGS,
            ReasonCode.BAD_SETTINGS,
            ReasonCode.DISABLED,
            ReasonCode.HELD,
            ReasonCode.NO_STATISTICS,
        }
        if held or found.move is not None:
            return
        rounding_bytes = 2 * MIB
        assert found.promised_bytes - found.assigned_bytes < rounding_bytes, found
        missing_bytes = found.target_bytes - found.assigned_bytes
        to_be_had_bytes = decision.in_hand_bytes - decision.pool_bytes
        least_bytes = POLICY.dead_band_bytes(found.assigned_bytes) + rounding_bytes
        assert min(missing_bytes, to_be_had_bytes) < least_bytes, found
