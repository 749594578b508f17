"""What is remembered of one guest between decisions, and when that no longer holds.

Every disturbance (boot, reset, resume, migration, first sight) makes a guest a new one: what was
known of its needs and of how it cooperates is forgotten. What it was granted is not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from barostat.core.cooperation import WishState, seen_since
from barostat.core.demand_state import DemandState
from barostat.core.observation import GuestObservation
from barostat.core.paging import Restart, restart_of
from barostat.core.sizes import Sizes

__all__ = ["GuestState", "remembered"]

LONG_AGO_S: Final = float("-inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestState:
    """What is remembered of one guest.

    Attributes:
        demand: the last estimate, None before the first.
        wish: what was last asked of it.
        disturbed_at_s: the disturbance that this memory is younger than.
        grown_at_s, shrunk_at_s: when it was last asked to grow or shrink.
        restart: that it restarts, None if it does not.
    """

    demand: DemandState | None
    wish: WishState
    disturbed_at_s: float
    grown_at_s: float = LONG_AGO_S
    shrunk_at_s: float = LONG_AGO_S
    restart: Restart | None = None

    def with_demand(self, demand: DemandState | None) -> GuestState:
        """Put another estimate in place of this one."""
        if demand is self.demand:
            return self
        return GuestState(
            demand=demand,
            wish=self.wish,
            disturbed_at_s=self.disturbed_at_s,
            grown_at_s=self.grown_at_s,
            shrunk_at_s=self.shrunk_at_s,
            restart=self.restart,
        )

    def with_restart(self, restart: Restart | None) -> GuestState:
        """Put in whether it restarts."""
        return self if restart is self.restart else replace(self, restart=restart)

    def with_wish(
        self, wish: WishState, *, grown_at_s: float | None = None, shrunk_at_s: float | None = None
    ) -> GuestState:
        """Put another wish in place of this one, and note when it was to grow or to shrink."""
        if wish is self.wish:
            return self
        return GuestState(
            demand=self.demand,
            wish=wish,
            disturbed_at_s=self.disturbed_at_s,
            grown_at_s=self.grown_at_s if grown_at_s is None else grown_at_s,
            shrunk_at_s=self.shrunk_at_s if shrunk_at_s is None else shrunk_at_s,
            restart=self.restart,
        )


def remembered(
    guest: GuestObservation, sizes: Sizes, previous: GuestState | None, *, now_s: float
) -> GuestState:
    """Say what of the last decision's memory still holds for a guest as it is seen now.

    Args:
        guest: as seen.
        sizes: its devices, measured.
        previous: what the last decision remembered of it, None at first sight.
        now_s: the snapshot's clock.
    """
    if previous is None:
        return GuestState(demand=None, wish=_as_found(sizes), disturbed_at_s=guest.disturbed_at_s)
    again = previous.disturbed_at_s != guest.disturbed_at_s
    ran = previous.demand is not None
    restart = restart_of(guest, previous.restart, again=again, ran=ran, now_s=now_s)
    if not again:
        wish = seen_since(previous.wish, guest.seen_at_s)
        follows = not wish.ours and wish.goal_bytes != sizes.actual_bytes
        return previous.with_wish(_as_found(sizes) if follows else wish).with_restart(restart)
    wish = _still_granted(previous.wish, sizes, now_s) or _as_found(sizes)
    return GuestState(demand=None, wish=wish, disturbed_at_s=guest.disturbed_at_s, restart=restart)


def _as_found(sizes: Sizes) -> WishState:
    return WishState(goal_bytes=sizes.actual_bytes, from_bytes=sizes.actual_bytes)


def _still_granted(wish: WishState, sizes: Sizes, now_s: float) -> WishState | None:
    """Keep the wish of a guest that was disturbed while it was granted more than it has."""
    # SAFETY: devices keep what was asked of them over a reset, and what is not asked yet may still
    # be on its way to them: it stays promised until it is taken, or is found to be stuck.
    growing = wish.goal_bytes > max(wish.from_bytes, sizes.actual_bytes)
    if not growing or wish.nearest_bytes < sizes.granularity_bytes:
        return None
    return WishState(
        goal_bytes=wish.goal_bytes,
        from_bytes=sizes.actual_bytes,
        nearest_bytes=wish.goal_bytes - sizes.actual_bytes,
        progress_at_s=now_s,
        nudged_at_s=now_s,
        ours=True,
    )
