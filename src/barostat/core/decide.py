"""The brain: one pure function from what is seen to what is done, with every reason.

`decide(snapshot, state, policy) -> Decision` calls, in this order: demand, cooperation, ledger,
allocation, plan. The daemon, a dry run, an explanation, a replay and the simulator all call it:
what is simulated is what runs. It keeps nothing: what it must remember is in `Decision.state`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from barostat.core.allocation import Allocation, Tier, allocate
from barostat.core.assess import Assessment, GuestState, assess, claim_of
from barostat.core.cooperation import aim
from barostat.core.ledger import Ledger
from barostat.core.moves import Line, Move, MoveKind
from barostat.core.observation import GuestObservation, Snapshot
from barostat.core.plan import plan
from barostat.core.policy import Policy
from barostat.core.pressure import Status, pressure_ratio, status_of
from barostat.core.reasons import Reason, ReasonCode, because
from barostat.core.settings import DEFAULT_BUFFER_PERCENT, MemorySettings

__all__ = ["Decision", "GuestDecision", "State", "decide"]


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What one decision leaves for the next.

    Attributes:
        guests: by name.
        admitted: reservations whose memory is promised: their VM may start.
        tight: not everybody got what it wanted.
    """

    guests: Mapping[str, GuestState] = field(default_factory=dict)
    admitted: frozenset[str] = frozenset()
    tight: bool = False


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """All that was decided at one moment.

    Attributes:
        now_s: the moment.
        guests: one for each guest seen, in the order of the snapshot.
        moves: what is to be done, shrinks first.
        tier: how far the memory goes.
        capacity_bytes, promised_bytes, in_hand_bytes: the ledger after the decision.
        pool_bytes: what should stay in hand.
        alarms: what is wrong with the host.
        state: for the next decision.
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


def decide(snapshot: Snapshot, state: State, policy: Policy) -> Decision:
    """Decide what to do now.

    Args:
        snapshot: what is seen.
        state: what the last decision left; `State()` at the start.
        policy: the numbers to act by.
    """
    known = _assess_all(snapshot, state, policy)
    ledger = _open_ledger(snapshot, known)
    lines = [item.line for item in known.values() if item.line is not None]
    alarms = []
    if ledger.in_hand_bytes < 0:
        alarms.append(because(ReasonCode.CAPACITY_LOST, missing_bytes=-ledger.in_hand_bytes))
    admitted, awaited = _admit(snapshot, state, ledger)
    pool = _pool_bytes(lines, snapshot.host.capacity_bytes, policy)
    shared = _set_targets(lines, ledger, awaited, pool, policy)
    if shared.tier is Tier.SHORT:
        short = because(ReasonCode.MINIMUMS_TOO_LARGE, missing_bytes=shared.short_bytes)
        alarms.append(short)
    plan(
        lines,
        ledger,
        now_s=snapshot.now_s,
        pool_bytes=pool,
        awaited_bytes=awaited,
        policy=policy,
    )
    guests = tuple(
        _guest_decision(guest, known[guest.name], snapshot.settings.get(guest.name), ledger)
        for guest in snapshot.guests
    )
    moves = [guest.move for guest in guests if guest.move is not None]
    return Decision(
        now_s=snapshot.now_s,
        guests=guests,
        moves=tuple(sorted(moves, key=lambda move: move.kind is MoveKind.GROW)),
        tier=shared.tier,
        capacity_bytes=ledger.capacity_bytes,
        promised_bytes=ledger.promised_bytes,
        in_hand_bytes=ledger.in_hand_bytes,
        pool_bytes=pool,
        alarms=tuple(alarms),
        state=State(
            guests={name: _remember(item, snapshot.now_s) for name, item in known.items()},
            admitted=admitted,
            tight=shared.tier is not Tier.PLENTY,
        ),
    )


def _assess_all(snapshot: Snapshot, state: State, policy: Policy) -> dict[str, Assessment]:
    return {
        guest.name: assess(
            guest,
            snapshot.settings.get(guest.name),
            snapshot.settings_faults.get(guest.name),
            state.guests.get(guest.name),
            now_s=snapshot.now_s,
            tight=state.tight,
            policy=policy,
        )
        for guest in snapshot.guests
    }


def _open_ledger(snapshot: Snapshot, known: Mapping[str, Assessment]) -> Ledger:
    """Promise every guest the most that it has, was asked to have, or may take by itself."""
    ledger = Ledger(snapshot.host.capacity_bytes)
    for guest in snapshot.guests:
        goal = known[guest.name].state.wish.goal_bytes
        sizes = (guest.devices.assigned_bytes, guest.devices.wished_bytes, goal)
        ledger.promise(guest.name, sizes)
    return ledger


def _admit(snapshot: Snapshot, state: State, ledger: Ledger) -> tuple[frozenset[str], int]:
    """Promise waiting VMs their startup memory, in the order of their coming, once it is in hand.

    Returns:
        Those admitted, and what the others still wait for, in bytes.
    """
    running = {guest.name for guest in snapshot.guests}
    admitted, awaited = set(), 0
    for item in snapshot.reservations:
        if item.guest in running:
            continue
        before = item.guest in state.admitted
        if before or (not awaited and ledger.in_hand_bytes >= item.size_bytes):
            ledger.promise(item.guest, (item.size_bytes,))
            admitted.add(item.guest)
        else:
            awaited += item.size_bytes
    return frozenset(admitted), awaited


def _pool_bytes(lines: Sequence[Line], capacity: int, policy: Policy) -> int:
    """Say how much should stay in hand: what the fastest grower takes until it can be served."""
    ahead_s = policy.tick_s + policy.latency_s
    fastest = max((line.growth_bytes_per_s for line in lines), default=0.0)
    low, high = capacity * policy.pool_low_ratio, capacity * policy.pool_high_ratio
    return int(max(low, min(fastest * ahead_s, high)))


def _set_targets(
    lines: Sequence[Line], ledger: Ledger, awaited: int, pool: int, policy: Policy
) -> Allocation:
    """Share what is neither pinned nor reserved among the guests that may be moved."""
    movable = sum(ledger.promised_to(line.guest) for line in lines)
    capacity = ledger.capacity_bytes - (ledger.promised_bytes - movable) - awaited
    shared = allocate(
        [claim_of(line) for line in lines],
        capacity_bytes=capacity,
        pool_bytes=pool,
        mode=policy.mode,
    )
    for line, size in zip(lines, shared.sizes_bytes, strict=True):
        line.target_bytes = size
    return shared


def _guest_decision(
    guest: GuestObservation, item: Assessment, settings: MemorySettings | None, ledger: Ledger
) -> GuestDecision:
    devices, line, demand = guest.devices, item.line, item.state.demand
    assigned = devices.assigned_bytes
    needed = None if demand is None else demand.demand_bytes
    buffer_percent = DEFAULT_BUFFER_PERCENT if settings is None else settings.buffer_percent
    reasons: tuple[Reason, ...] = () if item.pinned is None else (item.pinned,)
    if line is not None:
        reasons = tuple(line.holds) if line.move is None else line.move.reasons
    return GuestDecision(
        guest=guest.name,
        assigned_bytes=assigned,
        balloon_bytes=devices.balloon_bytes,
        plugged_bytes=devices.plugged_bytes,
        promised_bytes=ledger.promised_to(guest.name),
        demand_bytes=needed,
        available_bytes=None if demand is None else demand.statistics.available_bytes,
        want_bytes=assigned if line is None else line.want_bytes,
        target_bytes=assigned if line is None else line.target_bytes,
        pressure=None if needed is None else pressure_ratio(needed, assigned),
        status=Status.UNKNOWN
        if needed is None
        else status_of(needed, assigned, buffer_percent=buffer_percent),
        move=None if line is None else line.move,
        reasons=reasons,
    )


def _remember(item: Assessment, now_s: float) -> GuestState:
    """Note what is asked of a guest now."""
    move = None if item.line is None else item.line.move
    if move is None or move.kind is MoveKind.NUDGE:
        return item.state
    wish = aim(
        item.state.wish,
        move.to_bytes,
        actual_bytes=move.from_bytes,
        now_s=now_s,
        by_balloon=move.by_balloon,
    )
    match move.kind:
        case MoveKind.GROW:
            return replace(item.state, wish=wish, grown_at_s=now_s)
        case MoveKind.SHRINK:
            return replace(item.state, wish=wish, shrunk_at_s=now_s)
        case MoveKind.CANCEL:
            return replace(item.state, wish=wish)
