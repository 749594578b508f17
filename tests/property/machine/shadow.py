"""A second set of books, kept without the core's: what each guest must be counted at, and why.

A guest is counted at what it was seen to have or to be allowed, at what stands asked of it, and
at what was asked and taken back until a look that is later than that shows that it has not got
it. All of base RAM where it may be booting: it does not run, and has not spoken since it began to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from barostat.core.moves import Move, MoveKind
from barostat.core.observation import GuestObservation, RunState

__all__ = ["Shadow", "granted_bytes", "granularity_bytes"]


@dataclass
class _Account:
    seen_bytes: int = 0
    standing_bytes: int = 0
    withdrawn_bytes: int = 0
    withdrawn_at_s: float = 0.0
    disturbed_at_s: float = 0.0
    gives: bool = False

    @property
    def held_bytes(self) -> int:
        return max(self.seen_bytes, self.standing_bytes, self.withdrawn_bytes)

    def see(self, view: GuestObservation, granularity_bytes: int) -> None:
        has = view.devices
        base = has.wished_bytes
        if view.statistics is None and view.run_state is not RunState.RUNNING:
            base = has.boot_bytes + max(has.requested_bytes, has.plugged_bytes)
        self.seen_bytes = max(base, has.assigned_bytes)
        disturbed = view.disturbed_at_s != self.disturbed_at_s
        self.disturbed_at_s = view.disturbed_at_s
        arrived = abs(has.assigned_bytes - self.standing_bytes) < granularity_bytes
        if arrived or (disturbed and not self.gives):
            self.standing_bytes = 0
        if view.seen_at_s > self.withdrawn_at_s:
            self.withdrawn_bytes = 0

    def move(self, move: Move, now_s: float) -> None:
        if self.standing_bytes:
            self.withdrawn_bytes = max(self.withdrawn_bytes, self.standing_bytes)
            self.withdrawn_at_s = now_s
        self.standing_bytes = 0 if move.kind is MoveKind.CANCEL else move.to_bytes
        self.gives = granted_bytes(move) > 0


@dataclass
class Shadow:
    """The books. Sizes in bytes."""

    _accounts: dict[str, _Account] = field(default_factory=dict)

    def see(self, views: Mapping[str, GuestObservation]) -> None:
        """Take in what is seen; who is not seen any more is gone."""
        for name in self._accounts.keys() - views.keys():
            del self._accounts[name]
        for name, view in views.items():
            self._accounts.setdefault(name, _Account()).see(view, granularity_bytes(view))

    def held_bytes(self, name: str) -> int:
        """Say what a guest must be counted at."""
        return self._accounts[name].held_bytes if name in self._accounts else 0

    @property
    def all_held_bytes(self) -> int:
        return sum(account.held_bytes for account in self._accounts.values())

    def move(self, move: Move, now_s: float) -> None:
        """Note a move that was decided."""
        self._accounts[move.guest].move(move, now_s)

    def forget(self) -> None:
        """Begin anew, as a daemon that was killed must."""
        self._accounts.clear()


def granted_bytes(move: Move) -> int:
    """Say what a move lets its guest have, if more than it has."""
    return move.to_bytes if move.to_bytes > move.from_bytes else 0


def granularity_bytes(view: GuestObservation) -> int:
    """Say below which difference a guest has arrived."""
    return max([2**20, *(plug.block_bytes for plug in view.devices.plugs)])
