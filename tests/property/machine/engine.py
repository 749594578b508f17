"""The actor in miniature: one outstanding move a guest, a newer one replaces the older.

What it sends for a move is what the real one sends. It may be late, fail, or say everything twice;
what it never does is bring back a move that was replaced.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.property.machine.resident import Resident

from barostat.core.moves import Move, MoveKind
from barostat.engine import act
from barostat.hypervisors.refusals import check_wish
from barostat.hypervisors.simulated_memory import PAGE_BYTES

__all__ = ["Engine", "Style"]


class Style(enum.Enum):
    """How the engine goes about what was decided."""

    AT_ONCE = "at once"  # and goes on until the guest has arrived
    LATE = "late"  # it has not come to it yet
    REFUSED = "refused"  # every operation ends with an error
    TWICE = "twice"  # each wish is sent again, as a client does that lost the answer


@dataclass
class _Operation:
    move: Move
    minimum_bytes: int
    fresh: bool = True


@dataclass
class Engine:
    """Carries out moves on residents."""

    _operations: dict[str, _Operation] = field(default_factory=dict)

    def perform(self, move: Move, *, minimum_bytes: int) -> None:
        """Take on a move; whatever is under way with the same guest is replaced."""
        self._operations[move.guest] = _Operation(move, minimum_bytes)

    def drop(self, name: str) -> None:
        """End what is under way with a guest, unfinished."""
        self._operations.pop(name, None)

    def stop(self) -> None:
        """Be killed: nothing under way is ever finished, or cancelled."""
        self._operations.clear()

    def granted_bytes(self, name: str) -> int:
        """Say what a guest may yet be told that it may have."""
        operation = self._operations.get(name)
        gives = operation is not None and operation.move.kind in {MoveKind.GROW, MoveKind.NUDGE}
        return operation.move.to_bytes if operation is not None and gives else 0

    def work(self, residents: Mapping[str, Resident], style: Style) -> None:
        """Go on with every operation, once."""
        for name, operation in list(self._operations.items()):
            resident = residents[name]
            if style is Style.REFUSED or resident.unreachable:
                self.drop(name)  # it ends with an error; the core finds out by what it sees
            elif style is not Style.LATE:
                self._step(resident, operation)
                if style is Style.TWICE:
                    self._step(resident, operation)

    def _step(self, resident: Resident, operation: _Operation) -> None:
        """Look at the guest, and send what it should be asked for now."""
        move, devices = operation.move, resident.devices()
        before_bytes = resident.may_have_bytes
        for wish in act._wishes(move, devices, fresh=operation.fresh):
            check_wish(resident.name, devices, wish)
            resident.guest.request(wish)
        operation.fresh = False
        self._check_wished(resident, operation, before_bytes)
        if act._arrived(move, devices):
            self._operations.pop(resident.name, None)

    def _check_wished(self, resident: Resident, operation: _Operation, before_bytes: int) -> None:
        """No wish goes above what was granted, or makes a guest go below its minimum."""
        move = operation.move
        most_bytes = max(before_bytes, move.to_bytes) + PAGE_BYTES  # balloons hold whole pages
        assert resident.may_have_bytes <= most_bytes
        if move.kind is MoveKind.SHRINK:
            assert resident.asked_bytes >= min(move.to_bytes, resident.actual_bytes)
            assert move.to_bytes >= operation.minimum_bytes
