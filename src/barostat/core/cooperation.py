"""Guests that do not do as they are asked, and when to believe them again.

A wish is a goal in bytes. Progress is any step of the guest's real size toward it. Without
progress the wish is first written again (a nudge: a stalled unplug restarts at once); then the
guest is stuck: its wish is cancelled, its memory counts as taken, others are asked, and it is left
to rest, twice as long after each further failure. A goal reached clears its name.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import Final

from barostat.core.policy import Policy
from barostat.units import MIB

__all__ = ["Verdict", "WishState", "aim", "judge"]

REACHED_BYTES: Final = MIB
"""Nearer than this is there: the balloon moves in steps of at most 1 MiB."""


class Verdict(enum.Enum):
    """How a guest stands to its last wish."""

    IDLE = "idle"  # it is where it was asked to be, or was asked nothing
    MOVING = "moving"
    NUDGE = "nudge"  # no progress for a while: write the wish again
    STUCK = "stuck"  # no progress for too long: found just now


@dataclass(frozen=True, slots=True, kw_only=True)
class WishState:
    """What was last asked of one guest, and how it went.

    Attributes:
        goal_bytes: the size it was asked to have.
        nearest_bytes: how near it has come to the goal (a distance).
        progress_at_s: when it last came nearer, or was asked.
        nudged_at_s: when the wish was last written.
        failures: wishes in a row that got stuck.
        rest_until_s: it is not asked to give again before.
        by_balloon: the balloon may take what an unplug did not give.
        ours: somebody asked; before that the goal is only what was found.
    """

    goal_bytes: int
    nearest_bytes: int = 0
    progress_at_s: float = 0.0
    nudged_at_s: float = 0.0
    failures: int = 0
    rest_until_s: float = 0.0
    by_balloon: bool = False
    ours: bool = False


def aim(
    state: WishState, goal_bytes: int, *, actual_bytes: int, now_s: float, by_balloon: bool = False
) -> WishState:
    """Set a new goal. Failures are remembered until a goal is reached."""
    return replace(
        state,
        goal_bytes=goal_bytes,
        nearest_bytes=abs(actual_bytes - goal_bytes),
        progress_at_s=now_s,
        nudged_at_s=now_s,
        by_balloon=by_balloon,
        ours=True,
    )


def judge(
    state: WishState, *, actual_bytes: int, granularity_bytes: int, now_s: float, policy: Policy
) -> tuple[WishState, Verdict]:
    """Compare what a guest has with what it was asked to have.

    Args:
        state: the guest's last wish.
        actual_bytes: what it has now.
        granularity_bytes: the step of its coarsest device: a goal is reached within it.
        now_s: the snapshot's clock.
        policy: patience.
    """
    distance = abs(actual_bytes - state.goal_bytes)
    if distance < max(REACHED_BYTES, granularity_bytes):
        if state.failures and distance <= state.nearest_bytes and state.nearest_bytes:
            state = replace(state, failures=0, rest_until_s=0.0)
        return state, Verdict.IDLE
    if distance < state.nearest_bytes:
        moved = replace(state, nearest_bytes=distance, progress_at_s=now_s, nudged_at_s=now_s)
        return moved, Verdict.MOVING
    waited_s = now_s - state.progress_at_s
    if waited_s >= policy.stuck_s:
        rest_s = min(policy.rest_high_s, policy.rest_low_s * 2.0**state.failures)
        stuck = replace(state, failures=state.failures + 1, rest_until_s=now_s + rest_s)
        return stuck, Verdict.STUCK
    if now_s - state.nudged_at_s >= policy.nudge_s:
        return replace(state, nudged_at_s=now_s), Verdict.NUDGE
    return state, Verdict.MOVING
