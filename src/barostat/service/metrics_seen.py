"""What is exported: the newest pass, and what is counted from one pass to the next.

All of it is frozen, and replaced as a whole at every pass: it can be written out in another thread
while the next pass is made. Only what was really seen is counted. A guest that does not answer
keeps its account; one that left takes it along.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from barostat.core.decision import GuestDecision
from barostat.core.moves import Move
from barostat.core.observation import Depth, GuestObservation, RunState
from barostat.engine.act import Outcome
from barostat.engine.loop import Tick
from barostat.host.host import HostReport
from barostat.units import MIB

__all__ = ["BOUNDS_S", "Account", "Durations", "Seen", "ended", "looked"]

BOUNDS_S: Final = (0.01, 0.03, 0.1, 0.3, 1.0)
"""A pass comes every second; what takes longer than the last of these makes it late."""

_DEPTHS: Final = {depth: rank for rank, depth in enumerate(Depth)}

STRAY_BYTES: Final = 8 * MIB
"""A size that changes by less is not worth the name: no move of ours is smaller either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What was counted of one guest since it was first seen. Sizes in bytes.

    Attributes:
        assigned_bytes: what it had at the last look.
        visible_bytes: the most that it could see since it booted.
        added_bytes, removed_bytes: what came and went.
        additions, removals: operations that ended and had moved something.
        strays: how often its size changed though nothing had been asked of it.
        settled: nothing is asked of it: its size is expected to stay.
        began_bytes: what it had when the operation under way began; None: there is none.
        depth: how deep it was seen into at the last look.
        demotions: how often it was seen less deep while it ran on.
    """

    assigned_bytes: int
    visible_bytes: int
    added_bytes: int = 0
    removed_bytes: int = 0
    additions: int = 0
    removals: int = 0
    strays: int = 0
    settled: bool = False
    began_bytes: int | None = None
    depth: Depth = Depth.STATIC
    demotions: int = 0


def looked(
    before: Account | None, seen: GuestObservation, decided: GuestDecision, *, goal_bytes: int
) -> Account:
    """Bring a guest's account up to a look.

    What a guest has after a reset was neither added nor removed: it begins anew from there.

    Args:
        before: the account after the last look, None before the first.
        seen: the guest as it was seen.
        decided: what was decided on it.
        goal_bytes: what it was last asked to have.
    """
    assigned, move = decided.assigned_bytes, decided.move
    visible = seen.devices.boot_bytes + decided.plugged_bytes
    if before is None:
        before = Account(assigned_bytes=assigned, visible_bytes=visible, depth=seen.depth)
    before = _seen_into(before, seen)
    if seen.run_state is RunState.BOOTING:
        return replace(before, assigned_bytes=assigned, visible_bytes=visible, settled=False)
    change, running = assigned - before.assigned_bytes, seen.run_state is RunState.RUNNING
    began = _began(before.began_bytes, move)
    settled = running and began is None and abs(goal_bytes - assigned) < STRAY_BYTES
    if not change and settled is before.settled and began == before.began_bytes:
        return before
    return Account(
        assigned_bytes=assigned,
        visible_bytes=max(visible, before.visible_bytes),
        added_bytes=before.added_bytes + max(0, change),
        removed_bytes=before.removed_bytes + max(0, -change),
        additions=before.additions,
        removals=before.removals,
        strays=before.strays + (before.settled and running and abs(change) >= STRAY_BYTES),
        settled=settled,
        began_bytes=began,
        depth=before.depth,
        demotions=before.demotions,
    )


def _seen_into(before: Account, seen: GuestObservation) -> Account:
    """Count a loss of depth, which no boot explains: who spoke fell silent, or is not believed."""
    if seen.depth is before.depth:
        return before
    lost = seen.run_state is RunState.RUNNING and _DEPTHS[seen.depth] < _DEPTHS[before.depth]
    return replace(before, depth=seen.depth, demotions=before.demotions + lost)


def _began(before_bytes: int | None, move: Move | None) -> int | None:
    """A move for a guest that is already on its way only leads the same operation elsewhere."""
    return move.from_bytes if before_bytes is None and move is not None else before_bytes


def ended(account: Account, outcome: Outcome) -> Account:
    """Note the end of an operation: it counts for what it came to, not for what was asked."""
    began, now = account.began_bytes, outcome.assigned_bytes
    change = 0 if began is None or now is None else now - began
    return replace(
        account,
        additions=account.additions + (change > 0),
        removals=account.removals + (change < 0),
        began_bytes=None,
    )


@dataclass(frozen=True, slots=True)
class Durations:
    """How long something took, each time: counts up to each of `BOUNDS_S` and beyond; seconds."""

    counts: tuple[int, ...] = (0,) * (len(BOUNDS_S) + 1)
    sum_s: float = 0.0

    def and_one_of(self, took_s: float) -> Durations:
        """Count one more."""
        place = bisect_left(BOUNDS_S, took_s)
        counts = (*self.counts[:place], self.counts[place] + 1, *self.counts[place + 1 :])
        return Durations(counts, self.sum_s + took_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """All that is exported at one moment.

    Attributes:
        tick: the newest pass over all guests, None before the first.
        at_s: when that was, in seconds since the epoch.
        ticks: how many there were.
        hurried: how many there were out of turn.
        looks: how many looks at single guests there were between passes.
        observing, deciding: how long their parts took.
        accounts: by guest.
        host: the box, None where it was not looked at.
        faults: how many guests or connections should be seen and are not.
        limit_faults: around how many guests a limit does not stand where it belongs.
        moving: what is decided is done.
    """

    tick: Tick | None = None
    at_s: float = 0.0
    ticks: int = 0
    hurried: int = 0
    looks: int = 0
    observing: Durations = Durations()
    deciding: Durations = Durations()
    accounts: Mapping[str, Account] = field(default_factory=dict)
    host: HostReport | None = None
    faults: int = 0
    limit_faults: int = 0
    moving: bool = True
