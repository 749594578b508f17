"""The brain: one pure function from what is seen to what is done, with every reason.

`decide(snapshot, state, policy) -> Decision` calls, in this order: demand, cooperation, ledger,
admission, allocation, plan. The daemon, a dry run, an explanation, a replay and the simulator all
call it: what is simulated is what runs. It keeps nothing: what it must remember is in
`Decision.state`, or, where nothing of the decision is carried out, in `unmoved(decision)`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import assert_never

from barostat.core.admission import admit
from barostat.core.allocation import Tier
from barostat.core.assess import Assessment, assess
from barostat.core.cooperation import Verdict, aim
from barostat.core.decision import Decision, GuestDecision, State, unmoved
from barostat.core.guest_state import GuestState
from barostat.core.ledger import Ledger, held_bytes
from barostat.core.moves import Line, Move, MoveKind
from barostat.core.observation import GuestObservation, RunState, Snapshot
from barostat.core.paged import page_restarts
from barostat.core.plan import plan
from barostat.core.policy import DemandSource, Policy
from barostat.core.pressure import Status, pressure_ratio, status_of
from barostat.core.reasons import Reason, ReasonCode, because
from barostat.core.settings import MemorySettings
from barostat.core.squeezes import squeezed
from barostat.core.targets import set_targets

__all__ = ["Decision", "GuestDecision", "State", "decide", "unmoved"]


def decide(snapshot: Snapshot, state: State, policy: Policy) -> Decision:
    """Decide what to do now.

    Args:
        snapshot: what is seen.
        state: what the last decision left; `State()` at the start.
        policy: the numbers to act by.
    """
    now_s, host = snapshot.now_s, snapshot.host
    known = _assess_all(snapshot, state, policy)
    lines = [item.line for item in known.values() if item.line is not None]
    ledger = _open_ledger(snapshot, known)
    sought = page_restarts(snapshot, known, ledger)
    alarms = _lost(ledger, known.values())
    admission = admit(
        snapshot.reservations,
        running=_answering(snapshot),
        before=state.set_aside_bytes,
        lines=lines,
        ledger=ledger,
        mode=policy.mode,
        granting=host.granting,
    )
    awaited = admission.awaited_bytes + sought
    owed = _owed_bytes(ledger, host.wanted_back_bytes)
    pool = 0 if owed else _pool_bytes(lines, host.capacity_bytes, policy)
    tier, tight, short = _share_out(lines, ledger, awaited + owed, pool, policy)
    plan(
        lines,
        ledger,
        now_s=now_s,
        pool_bytes=pool,
        awaited_bytes=awaited,
        policy=policy,
        owed_bytes=owed,
        granting=host.granting,
    )
    turn = _whose_turn(snapshot, known)
    _leave_waiting(known, turn, ledger)
    guests = _decided(snapshot, known, ledger)
    after = {
        name: _remember(item, item.move, now_s, policy) if name in turn else item.before
        for name, item in known.items()
    }
    before = {name: item.before for name, item in known.items()}
    return Decision(
        now_s=now_s,
        guests=guests,
        moves=_in_order(guests),
        tier=tier,
        capacity_bytes=ledger.capacity_bytes,
        promised_bytes=ledger.promised_bytes,
        in_hand_bytes=ledger.in_hand_bytes,
        pool_bytes=pool,
        alarms=(*host.alarms, *alarms, *short, *admission.refused),
        state=State(guests=after, set_aside_bytes=admission.set_aside_bytes, tight=tight),
        before=State(guests=before, set_aside_bytes=state.set_aside_bytes, tight=tight),
    )


def _assess_all(snapshot: Snapshot, state: State, policy: Policy) -> dict[str, Assessment]:
    return {
        guest.name: assess(
            guest,
            snapshot.settings.get(guest.name),
            snapshot.settings_faults.get(guest.name),
            snapshot.host.unfit.get(guest.name),
            state.guests.get(guest.name),
            now_s=snapshot.now_s,
            held=snapshot.paused,
            tight=state.tight,
            policy=policy,
            in_use_bytes=snapshot.host.in_use.get(guest.name),
        )
        for guest in snapshot.guests
    }


def _open_ledger(snapshot: Snapshot, known: Mapping[str, Assessment]) -> Ledger:
    """Promise every guest the most that it has, was asked to have, or may take by itself."""
    ledger = Ledger(snapshot.host.capacity_bytes)
    for guest in snapshot.guests:
        item = known[guest.name]
        held = _held_bytes(item)
        if _may_boot(guest):
            held = max(held, _unguarded_bytes(item))
        ledger.promise(guest.name, held)
    return ledger


def _answering(snapshot: Snapshot) -> Collection[str]:
    """Name the guests that are there; one that does not answer may have ended, and start anew."""
    return {guest.name for guest in snapshot.guests if guest.run_state is not RunState.UNREACHABLE}


def _whose_turn(snapshot: Snapshot, known: Mapping[str, Assessment]) -> Collection[str]:
    """Say for whom this is decided: everybody, or out of turn those that cannot wait."""
    return snapshot.hurried or known.keys()


def _leave_waiting(known: Mapping[str, Assessment], turn: Collection[str], ledger: Ledger) -> None:
    """Take back what was planned for guests whose turn it is not; their reasons stand."""
    for name, item in known.items():
        if name in turn:
            continue
        if item.line is not None and item.line.move is not None:
            # SAFETY: what is not granted now must not be promised: nobody would take it back.
            ledger.promise(name, _held_bytes(item) - item.paged_bytes)
        item.pass_over()


def _held_bytes(item: Assessment) -> int:
    """Say what is promised to a guest of which nothing is asked."""
    sizes, granted = item.sizes, item.state.wish.granted_bytes
    return held_bytes(sizes.actual_bytes, sizes.wished_bytes, granted)


def _may_boot(guest: GuestObservation) -> bool:
    """Say whether a guest boots, or may have been stopped or lost sight of while it did."""
    if guest.run_state is RunState.BOOTING:
        return True
    # SAFETY: a guest that is reset while it is paused, say, is not seen to boot.
    return guest.run_state is not RunState.RUNNING and guest.statistics is None


def _unguarded_bytes(item: Assessment) -> int:
    # SAFETY: until its driver is loaded a guest holds all of its base RAM, whatever its balloon
    # is said to have: that is the balloon of its life before the reset.
    return item.sizes.unballooned_bytes


def _lost(ledger: Ledger, known: Iterable[Assessment]) -> list[Reason]:
    """Raise the alarm if more is promised than there is: the host lost it, or a guest took it.

    After our own restart nobody knows what balloons were asked for. Until that is settled in the
    next decisions all of their RAM is promised, which is no sign that anything was lost.
    """
    missing = -ledger.in_hand_bytes - sum(item.sizes.doubtful_bytes for item in known)
    return [because(ReasonCode.CAPACITY_LOST, missing_bytes=missing)] if missing > 0 else []


def _owed_bytes(ledger: Ledger, wanted_back_bytes: int) -> int:
    """Say what must stay in hand so that the host has back from the guests what it wants."""
    if not wanted_back_bytes:
        return 0
    # SAFETY: a host that wants memory back has none, whatever the ledger calls in hand: all of it
    # must come from the guests. What more is promised than there is must come back anyway.
    return max(0, wanted_back_bytes + ledger.in_hand_bytes)


def _pool_bytes(lines: Sequence[Line], capacity: int, policy: Policy) -> int:
    """Say how much should stay in hand: what the fastest grower takes until it can be served."""
    ahead_s = policy.tick_s + policy.latency_s
    fastest = max((line.growth_bytes_per_s for line in lines), default=0.0)
    low, high = capacity * policy.pool_low_ratio, capacity * policy.pool_high_ratio
    return int(max(low, min(fastest * ahead_s, high)))


def _share_out(
    lines: Sequence[Line], ledger: Ledger, set_aside: int, pool: int, policy: Policy
) -> tuple[Tier, bool, list[Reason]]:
    """Share what is neither pinned nor reserved among the guests that may be moved.

    Returns:
        How far it goes, whether it is tight, and an alarm where not even minimums are reached.
    """
    movable = sum(ledger.promised_to(line.guest) for line in lines)
    capacity = ledger.capacity_bytes - (ledger.promised_bytes - movable) - set_aside
    shared, tight = set_targets(lines, capacity_bytes=capacity, pool_bytes=pool, mode=policy.mode)
    if shared.tier is not Tier.SHORT:
        return shared.tier, tight, []
    missing = sum(line.minimum_bytes for line in lines) - capacity
    if missing <= 0:  # guests that may not be asked now hold the rest
        return Tier.DEMAND_CUT, tight, []
    return Tier.SHORT, tight, [because(ReasonCode.MINIMUMS_TOO_LARGE, missing_bytes=missing)]


def _decided(
    snapshot: Snapshot, known: Mapping[str, Assessment], ledger: Ledger
) -> tuple[GuestDecision, ...]:
    return tuple(
        _guest_decision(guest, known[guest.name], snapshot.settings.get(guest.name), ledger)
        for guest in snapshot.guests
    )


def _guest_decision(
    guest: GuestObservation, item: Assessment, settings: MemorySettings | None, ledger: Ledger
) -> GuestDecision:
    sizes, line, demand, move = item.sizes, item.line, item.before.demand, item.move
    assigned = sizes.actual_bytes
    needed = None if demand is None else demand.demand_bytes
    return GuestDecision(
        guest=guest.name,
        assigned_bytes=assigned,
        balloon_bytes=sizes.balloon_bytes,
        plugged_bytes=sizes.plugged_bytes,
        promised_bytes=ledger.promised_to(guest.name),
        demand_bytes=needed,
        available_bytes=None if demand is None else demand.statistics.available_bytes,
        want_bytes=assigned if line is None else line.want_bytes,
        target_bytes=assigned if line is None else line.target_bytes,
        pressure=None if needed is None else pressure_ratio(needed, assigned),
        status=Status.PAGING if item.paged_bytes else _status(needed, assigned, settings),
        move=move,
        reasons=(*(item.holds if move is None else move.reasons), *_doubts(line), *item.paging),
        source=DemandSource.USED if demand is None else demand.source,
        paged_bytes=item.paged_bytes,
    )


def _doubts(line: Line | None) -> tuple[Reason, ...]:
    """Say that a guest got less than it asked for because not all of that can be true."""
    if line is None or line.credible_bytes is None:
        return ()
    needed, credible = line.demand_bytes, line.credible_bytes
    if needed <= credible or line.target_bytes >= needed:
        return ()
    return (because(ReasonCode.DOUBTED, demand_bytes=needed, credible_bytes=credible),)


def _status(needed: int | None, assigned: int, settings: MemorySettings | None) -> Status:
    """Judge a guest where Dynamic Memory is on for it, as Hyper-V does."""
    if needed is None or settings is None or not settings.enabled:
        return Status.UNKNOWN
    return status_of(needed, assigned, buffer_percent=settings.buffer_percent)


def _in_order(guests: Sequence[GuestDecision]) -> tuple[Move, ...]:
    """Take first, then give."""
    moves = [guest.move for guest in guests if guest.move is not None]
    return tuple(sorted(moves, key=lambda move: move.kind is MoveKind.GROW))


def _remember(item: Assessment, move: Move | None, now_s: float, policy: Policy) -> GuestState:
    """Note what is asked of a guest now."""
    state = item.state
    if move is None or move.kind is MoveKind.NUDGE:
        return state
    under_way = item.line is not None and item.line.verdict in {Verdict.MOVING, Verdict.NUDGE}
    squeeze = squeezed(
        state.wish.squeeze,
        from_bytes=move.from_bytes,
        to_bytes=move.to_bytes,
        demand_bytes=None if state.demand is None else state.demand.demand_bytes,
        now_s=now_s,
        policy=policy,
    )
    wish = aim(
        state.wish,
        move.to_bytes,
        actual_bytes=move.from_bytes,
        now_s=now_s,
        under_way=under_way,
        by_balloon=move.by_balloon,
        squeeze=squeeze,
    )
    match move.kind:
        case MoveKind.GROW:
            return state.with_wish(wish, grown_at_s=now_s)
        case MoveKind.SHRINK:
            return state.with_wish(wish, shrunk_at_s=now_s)
        case MoveKind.CANCEL:
            return state.with_wish(wish)
        case _:
            assert_never(move.kind)
