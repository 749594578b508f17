"""What a decision is made of: the values that `decide` gives, and takes back at the next one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from barostat.core.allocation import Tier
from barostat.core.guest_state import GuestState
from barostat.core.moves import Move
from barostat.core.policy import DemandSource
from barostat.core.pressure import Status
from barostat.core.reasons import Reason

__all__ = ["Decision", "GuestDecision", "State", "unmoved"]


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What one decision leaves for the next.

    Attributes:
        guests: by name.
        set_aside_bytes: what is promised to VMs that may start, by their names.
        tight: not everybody got what it wanted.
    """

    guests: Mapping[str, GuestState] = field(default_factory=dict)
    set_aside_bytes: Mapping[str, int] = field(default_factory=dict)
    tight: bool = False

    @property
    def admitted(self) -> frozenset[str]:
        """The VMs that may start."""
        return frozenset(self.set_aside_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestDecision:
    """One guest as decided on. Sizes in bytes; None where the guest says nothing believable.

    Attributes:
        assigned_bytes, balloon_bytes, plugged_bytes: what it has, and how.
        demand_bytes: what it needs now.
        want_bytes: what it would get in plenty.
        target_bytes: what it should have with what there is.
        promised_bytes: what the ledger counts for it after this decision.
        pressure: demand over assigned.
        available_bytes: what its kernel says it could give without paging.
        source: what its demand is made of.
        paged_bytes: how much of its memory the host is to page for it, while it restarts.
        move: what is asked of it now, if anything.
        reasons: why, for a move or for none.
    """

    guest: str
    assigned_bytes: int
    balloon_bytes: int
    plugged_bytes: int
    promised_bytes: int
    demand_bytes: int | None
    available_bytes: int | None
    want_bytes: int
    target_bytes: int
    pressure: float | None
    status: Status
    move: Move | None
    reasons: tuple[Reason, ...]
    source: DemandSource = DemandSource.USED
    paged_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """All that was decided at one moment.

    Attributes:
        now_s: the moment.
        guests: one for each guest seen, in the order of the snapshot.
        moves: what is to be done, grows last.
        tier: how far the memory goes.
        capacity_bytes, promised_bytes, in_hand_bytes: the ledger after the decision.
        pool_bytes: what should stay in hand.
        alarms: what is wrong with the host.
        state: for the next decision.
        before: the same as if no move had been decided, nor a VM admitted.
    """

    now_s: float
    guests: tuple[GuestDecision, ...]
    moves: tuple[Move, ...]
    tier: Tier
    capacity_bytes: int
    promised_bytes: int
    in_hand_bytes: int
    pool_bytes: int
    alarms: tuple[Reason, ...]
    state: State
    before: State


def unmoved(decision: Decision) -> State:
    """Say what to go on with if nothing of a decision is carried out (a dry run, watching only).

    Demand estimates are kept. Wishes, and when a guest last grew or shrank, are as they were.
    """
    return decision.before
