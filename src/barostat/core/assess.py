"""One guest, before anything is compared: what it needs, whether it may be moved, and if not, why.

Doubt means hold. A guest that cannot be judged is pinned: counted at what it has or may take,
moved in neither direction; a shrink that is still under way in it is cancelled. One that has just
been disturbed, or did not give when asked, may still grow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from barostat.core.cooperation import Verdict, WishState, judge
from barostat.core.demand import estimate
from barostat.core.guest_state import GuestState, remembered
from barostat.core.lines import line_of
from barostat.core.moves import Line, Move, MoveKind
from barostat.core.observation import GuestObservation, RunState
from barostat.core.paging import Restart
from barostat.core.policy import Policy
from barostat.core.reasons import Reason, ReasonCode, because
from barostat.core.settings import MemorySettings
from barostat.core.sizes import Sizes, measure

__all__ = ["Assessment", "assess"]

# SAFETY: in none of these states can a guest be asked for memory, or be seen to suffer.
PINNED_BY_STATE: Final = {
    RunState.BOOTING: ReasonCode.BOOTING,
    RunState.PAUSED: ReasonCode.PAUSED,
    RunState.MIGRATING: ReasonCode.MIGRATING,
    RunState.UNREACHABLE: ReasonCode.UNREACHABLE,
}


@dataclass(slots=True, kw_only=True)
class Assessment:
    """What is known of one guest now.

    Attributes:
        before: its demand brought up to date, its wish as it was.
        state: the same with its wish as judged now.
        sizes: its devices, measured.
        line: its line in the plan, None if it may not be moved.
        pinned: why it may not be moved, None if it may.
        halt: what ends a shrink that is under way in a pinned guest.
        paging: that the host pages for it while it restarts, or why not; nothing otherwise.
    """

    before: GuestState
    state: GuestState
    sizes: Sizes
    line: Line | None = None
    pinned: Reason | None = None
    halt: Move | None = None
    paging: tuple[Reason, ...] = ()

    @property
    def paged_bytes(self) -> int:
        """How much of the guest's memory the host is to page for it."""
        restart = self.state.restart
        return 0 if restart is None else restart.paged_bytes

    def page(self, restart: Restart | None, paging: Reason | None) -> None:
        """Note how much of its memory the host is to page for it, and why."""
        self.before = self.before.with_restart(restart)
        self.state = self.state.with_restart(restart)
        self.paging = () if paging is None else (paging,)

    @property
    def move(self) -> Move | None:
        """What is to be done with the guest."""
        return self.halt if self.line is None else self.line.move

    def pass_over(self) -> None:
        """Ask nothing of the guest now: why it would have been asked is why it waits."""
        if self.line is not None and self.line.move is not None:
            self.line.holds = list(self.line.move.reasons)
            self.line.move = None
        self.halt = None

    @property
    def holds(self) -> tuple[Reason, ...]:
        """Why nothing is to be done with it."""
        if self.line is not None:
            return tuple(self.line.holds)
        return () if self.pinned is None else (self.pinned,)


def assess(
    guest: GuestObservation,
    settings: MemorySettings | None,
    settings_fault: str | None,
    unfit: Reason | None,
    previous: GuestState | None,
    *,
    now_s: float,
    held: bool,
    tight: bool,
    policy: Policy,
    in_use_bytes: int | None = None,
) -> Assessment:
    """Look at one guest.

    Args:
        guest: as seen.
        settings: what its operator wants, None if nothing was said.
        settings_fault: why what was said cannot be used.
        unfit: why the host cannot have back what the guest gives.
        previous: what the last decision remembered of it.
        now_s: the snapshot's clock.
        held: the operator holds every guest.
        tight: memory was short at the last decision.
        policy: the numbers to act by.
        in_use_bytes: the most that it can be using, None where the host cannot tell.
    """
    sizes = measure(guest.devices)
    kept = remembered(guest, sizes, previous, now_s=now_s)
    demand = estimate(kept.demand, guest, sizes, settings=settings, tight=tight, policy=policy)
    before = kept.with_demand(demand)
    pinned = _pinned(guest, settings, settings_fault, unfit, now_s=now_s, held=held, policy=policy)
    if settings is None or demand is None or pinned is not None:
        pinned = pinned or because(ReasonCode.NO_STATISTICS)
        halt = _halt(guest, sizes, before.wish, pinned)
        return Assessment(before=before, state=before, sizes=sizes, pinned=pinned, halt=halt)
    wish, verdict = _judged(before.wish, sizes, now_s, policy)
    state = before.with_wish(wish)
    line = line_of(
        guest,
        settings,
        state=state,
        sizes=sizes,
        demand=demand,
        verdict=verdict,
        in_use_bytes=in_use_bytes,
        now_s=now_s,
        policy=policy,
    )
    return Assessment(before=before, state=state, sizes=sizes, line=line)


def _judged(
    wish: WishState, sizes: Sizes, now_s: float, policy: Policy
) -> tuple[WishState, Verdict]:
    return judge(
        wish,
        actual_bytes=sizes.actual_bytes,
        granularity_bytes=sizes.granularity_bytes,
        unfinished=sizes.unfinished,
        now_s=now_s,
        policy=policy,
    )


def _pinned(
    guest: GuestObservation,
    settings: MemorySettings | None,
    settings_fault: str | None,
    unfit: Reason | None,
    *,
    now_s: float,
    held: bool,
    policy: Policy,
) -> Reason | None:
    """Say why a guest may not be moved at all, or None."""
    if settings_fault is not None:
        return because(ReasonCode.BAD_SETTINGS, fault=settings_fault)
    if settings is None:
        return because(ReasonCode.NO_SETTINGS)
    if not settings.enabled:
        return because(ReasonCode.DISABLED)
    if held or settings.paused:
        return because(ReasonCode.HELD)
    if guest.run_state is not RunState.RUNNING and guest.run_state in PINNED_BY_STATE:
        return because(PINNED_BY_STATE[guest.run_state], since_s=now_s - guest.seen_at_s)
    return _fake(unfit or guest.unfit) or _unheard(guest, now_s, policy)


def _fake(unfit: Reason | None) -> Reason | None:
    # SAFETY: where giving frees nothing, what a guest gave would be handed out a second time.
    return unfit


def _unheard(guest: GuestObservation, now_s: float, policy: Policy) -> Reason | None:
    # SAFETY: a guest that says nothing now is not moved on what it said once.
    if guest.statistics is None:
        return because(ReasonCode.NO_STATISTICS)
    age_s = now_s - guest.statistics_at_s
    return because(ReasonCode.STALE, age_s=age_s) if age_s > policy.stale_s else None


def _halt(guest: GuestObservation, sizes: Sizes, wish: WishState, pinned: Reason) -> Move | None:
    """End a shrink that was under way when its guest became one that cannot be judged."""
    left_bytes = sizes.actual_bytes - wish.goal_bytes
    shrinking = wish.goal_bytes < wish.from_bytes and left_bytes >= sizes.granularity_bytes
    # SAFETY: a shrink goes on biting by itself until it is cancelled.
    if not shrinking or guest.run_state is RunState.UNREACHABLE:
        return None
    return Move(
        guest=guest.name,
        kind=MoveKind.CANCEL,
        from_bytes=sizes.actual_bytes,
        to_bytes=sizes.actual_bytes,
        reasons=(because(ReasonCode.HALTED, missing_bytes=left_bytes), pinned),
    )
