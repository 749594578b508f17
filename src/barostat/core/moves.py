"""The two values a plan is made of: a guest's line in it, and the move that it ends with."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from barostat.core.cooperation import Verdict
from barostat.core.policy import DemandSource
from barostat.core.reasons import Reason
from barostat.core.squeezes import Squeeze

__all__ = ["Line", "Move", "MoveKind"]


class MoveKind(enum.Enum):
    """What a move asks of a guest."""

    GROW = "grow"
    SHRINK = "shrink"
    CANCEL = "cancel"  # stay at what you have: the last wish no longer stands
    NUDGE = "nudge"  # the last wish again


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A wish to send to a guest: have `to_bytes`.

    `by_balloon` lets the balloon take what an unplug did not give.
    """

    guest: str
    kind: MoveKind
    from_bytes: int
    to_bytes: int
    reasons: tuple[Reason, ...]
    by_balloon: bool = False


@dataclass(slots=True, kw_only=True)
class Line:
    """One guest's line in a plan: what is known of it, and what was decided so far.

    Attributes:
        actual_bytes, plugged_bytes: what it has, and how much of that is plugged.
        goal_bytes: what it was last asked to have.
        demand_bytes, buffered_bytes: what it needs now, and that with its buffer.
        want_bytes, target_bytes: what it should have in plenty, and with what there is.
        available_bytes: what its kernel could give without paging.
        floor_bytes: what a shrink leaves of that.
        pageable_bytes: how far it can be taken below its demand without danger of an OOM kill.
        minimum_bytes, maximum_bytes: its bounds.
        granularity_bytes: no smaller move can be carried out.
        dead_band_bytes: no smaller move is worth it, while nobody waits.
        weight: rank among those who wait for memory.
        distressed, harmed: it pages with nothing left; it waits for memory for too long.
        stall_ratio: the share of the time in which it waits for memory, as far as it says.
        pressing: it is one of these, or will have used up what it has before the next look.
        urgent: it does not wait for the dead-band.
        verdict: how it stands to its last wish.
        by_balloon: its last wish let the balloon take what an unplug did not give.
        stay: why it may not be shrunk now, or None.
        refuse: why it may not be grown now, or None.
        foreign: a wish of somebody before us is half done.
        stuck_plug: its last unplug got stuck; under shortage the balloon may take over.
        grown_at_s, shrunk_at_s: its last moves.
        credible_bytes: the most that it can need, by what the host sees; None where it cannot tell.
        harmed_at_s: when it last waited for memory for too long.
        squeeze: how it did when it was made to page for others, None if it never was.
        trim_bytes: what it is trimmed to, below what it should have; None if it is not.
        source: what its demand is made of.
        reach_bytes: to what it can be grown at once; None if nobody knows.
        move: the outcome, if anything is to be done.
        holds: the outcome where there is no move.
    """

    guest: str
    actual_bytes: int
    plugged_bytes: int
    goal_bytes: int
    demand_bytes: int
    buffered_bytes: int
    want_bytes: int
    available_bytes: int
    floor_bytes: int
    pageable_bytes: int
    minimum_bytes: int
    maximum_bytes: int
    granularity_bytes: int
    dead_band_bytes: int
    buffer_percent: int
    weight: int
    growth_bytes_per_s: float
    distressed: bool
    pressing: bool
    urgent: bool
    verdict: Verdict
    by_balloon: bool
    stay: Reason | None
    refuse: Reason | None
    foreign: bool
    stuck_plug: bool
    grown_at_s: float
    shrunk_at_s: float
    harmed_at_s: float = float("-inf")
    harmed: bool = False
    stall_ratio: float = 0.0
    squeeze: Squeeze | None = None
    trim_bytes: int | None = None
    source: DemandSource = DemandSource.USED
    credible_bytes: int | None = None
    reach_bytes: int | None = None
    target_bytes: int = 0
    move: Move | None = None
    holds: list[Reason] = field(default_factory=list)

    @property
    def excess_bytes(self) -> int:
        """What it has beyond its target."""
        return self.actual_bytes - self.target_bytes

    @property
    def next_bytes(self) -> int:
        """Its target, as far as it can be grown to that at once."""
        return self.within_reach(self.target_bytes)

    @property
    def surplus_bytes(self) -> int:
        """What it has beyond both its target and what it needs."""
        return self.actual_bytes - max(self.target_bytes, self.demand_bytes)

    def within_reach(self, size_bytes: int) -> int:
        """Say how far on its way to a size it can be grown at once."""
        return size_bytes if self.reach_bytes is None else min(size_bytes, self.reach_bytes)
