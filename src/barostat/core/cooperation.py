"""Guests that do not do as they are asked, and when to believe them again.

A wish is a goal in bytes. Progress is a step of the guest's real size toward it that is worth the
name. Without progress the wish is first written again (a nudge: a stalled unplug restarts at
once); then the guest is stuck: its wish is cancelled, its memory counts as taken, others are
asked, and it is left to rest, twice as long after each further failure. A goal reached clears its
name, for giving and for taking apart. One that leaves its goal by itself has strayed.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import Final

from barostat.core.policy import Policy
from barostat.core.squeezes import Squeeze

__all__ = ["Trust", "Verdict", "WishState", "aim", "judge", "seen_since"]

MOST_DOUBLINGS: Final = 16
"""Pauses have met any ceiling by then; and a guest stuck for weeks must not overflow a float."""


NEARLY_ALL_RATIO: Final = 0.1
"""With no more left than this share of what was asked, it was done: a few pages of every unplug
cannot be moved, and partial success is the normal case."""


class Verdict(enum.Enum):
    """How a guest stands to its last wish."""

    IDLE = "idle"  # it is where it was asked to be, or was asked nothing
    MOVING = "moving"
    NUDGE = "nudge"  # no progress for a while: write the wish again
    STUCK = "stuck"  # no progress for too long: found just now
    STRAYED = "strayed"  # it was there, and left by itself: found just now


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """How a guest did when it was asked.

    Attributes:
        failures: wishes in a row that failed.
        rest_until_s: it is not asked again before.
        second_chance: it was its first failure, so another way may be tried before it rests.
    """

    failures: int = 0
    rest_until_s: float = float("-inf")
    second_chance: bool = False


UNBLEMISHED: Final = Trust()


@dataclass(frozen=True, slots=True, kw_only=True)
class WishState:
    """What was last asked of one guest, and how it went.

    Attributes:
        goal_bytes: the size it was asked to have.
        from_bytes: what it had when it was asked.
        nearest_bytes: how near it was to the goal when it last made progress (a distance).
        progress_at_s: when that was; at first, when it was asked.
        nudged_at_s: when the wish was last written.
        giving, taking: how it does when it is asked to shrink, and to grow.
        by_balloon: the balloon may take what an unplug did not give.
        ours: somebody asked; before that the goal is only what was found.
        recalled_bytes: what it was granted before, and told to leave when it was not seen to have
            taken it; 0 once it was seen since.
        recalled_at_s: when that was.
        squeeze: how it did when it was made to page for others, None if it never was.
    """

    goal_bytes: int
    from_bytes: int
    nearest_bytes: int = 0
    progress_at_s: float = 0.0
    nudged_at_s: float = 0.0
    giving: Trust = UNBLEMISHED
    taking: Trust = UNBLEMISHED
    by_balloon: bool = False
    ours: bool = False
    recalled_bytes: int = 0
    recalled_at_s: float = 0.0
    squeeze: Squeeze | None = None

    @property
    def granted_bytes(self) -> int:
        """The most that it may take by what we asked of it."""
        return max(self.goal_bytes, self.recalled_bytes)


def aim(
    wish: WishState,
    goal_bytes: int,
    *,
    actual_bytes: int,
    now_s: float,
    under_way: bool = False,
    by_balloon: bool = False,
    squeeze: Squeeze | None = None,
) -> WishState:
    """Set a new goal.

    Args:
        wish: the last one.
        goal_bytes: the size asked for now; what it has, where the last wish is cancelled.
        actual_bytes: what it has now.
        now_s: the snapshot's clock.
        under_way: the guest has not come to its last goal yet. A grow that only goes further than
            the one under way wins it no more patience.
        by_balloon: the balloon may take what an unplug did not give.
        squeeze: how it did when it was made to page for others, with this.
    """
    extends = under_way and wish.from_bytes < wish.goal_bytes < goal_bytes
    further = wish.nearest_bytes + goal_bytes - wish.goal_bytes
    recalled = _not_seen_to_be_left_bytes(wish, goal_bytes, actual_bytes)
    return WishState(
        goal_bytes=goal_bytes,
        from_bytes=actual_bytes,
        nearest_bytes=further if extends else abs(actual_bytes - goal_bytes),
        progress_at_s=wish.progress_at_s if extends else now_s,
        nudged_at_s=now_s,
        giving=wish.giving,
        taking=wish.taking,
        by_balloon=by_balloon,
        ours=True,
        recalled_bytes=recalled,
        recalled_at_s=now_s,
        squeeze=squeeze,
    )


def _not_seen_to_be_left_bytes(wish: WishState, goal_bytes: int, actual_bytes: int) -> int:
    # SAFETY: what is recalled may have been taken since the guest was last seen.
    granted = wish.granted_bytes
    return granted if granted > max(goal_bytes, actual_bytes) else 0


def seen_since(wish: WishState, seen_at_s: float) -> WishState:
    """Forget what was recalled, where the guest was seen since: what it took of it then shows."""
    if not wish.recalled_bytes or seen_at_s <= wish.recalled_at_s:
        return wish
    return replace(wish, recalled_bytes=0)


def judge(
    wish: WishState,
    *,
    actual_bytes: int,
    granularity_bytes: int,
    unfinished: bool,
    now_s: float,
    policy: Policy,
) -> tuple[WishState, Verdict]:
    """Compare what a guest has with what it was asked to have.

    Args:
        wish: the guest's last wish.
        actual_bytes: what it has now.
        granularity_bytes: the step of its coarsest device: a goal is reached within it.
        unfinished: its devices were asked for something that they do not have.
        now_s: the snapshot's clock.
        policy: patience.
    """
    distance = abs(actual_bytes - wish.goal_bytes)
    arrived = wish.nearest_bytes < granularity_bytes
    if distance < granularity_bytes:
        return (wish if arrived else _reached(wish, distance)), Verdict.IDLE
    if arrived:
        return _strayed(wish, actual_bytes, unfinished=unfinished, now_s=now_s, policy=policy)
    if distance <= wish.nearest_bytes * (1 - policy.progress_ratio):
        return _moved(wish, distance, now_s), Verdict.MOVING
    if _out_of_patience(now_s - wish.progress_at_s, policy):
        return _failed(wish, distance, now_s, policy), Verdict.STUCK
    if now_s - wish.nudged_at_s >= policy.nudge_s:
        return replace(wish, nudged_at_s=now_s), Verdict.NUDGE
    return wish, Verdict.MOVING


def _moved(wish: WishState, distance: int, now_s: float) -> WishState:
    """Note that the guest came nearer."""
    return WishState(
        goal_bytes=wish.goal_bytes,
        from_bytes=wish.from_bytes,
        nearest_bytes=distance,
        progress_at_s=now_s,
        nudged_at_s=now_s,
        giving=wish.giving,
        taking=wish.taking,
        by_balloon=wish.by_balloon,
        ours=wish.ours,
        recalled_bytes=wish.recalled_bytes,
        recalled_at_s=wish.recalled_at_s,
        squeeze=wish.squeeze,
    )


def _reached(wish: WishState, distance: int) -> WishState:
    """Clear the guest's name for what it just did, and for that alone."""
    gave = wish.goal_bytes < wish.from_bytes
    return WishState(
        goal_bytes=wish.goal_bytes,
        from_bytes=wish.from_bytes,
        nearest_bytes=distance,
        progress_at_s=wish.progress_at_s,
        nudged_at_s=wish.nudged_at_s,
        giving=UNBLEMISHED if gave else wish.giving,
        taking=wish.taking if gave else UNBLEMISHED,
        by_balloon=wish.by_balloon,
        ours=wish.ours,
        recalled_bytes=wish.recalled_bytes,
        recalled_at_s=wish.recalled_at_s,
        squeeze=wish.squeeze,
    )


def _strayed(
    wish: WishState, actual_bytes: int, *, unfinished: bool, now_s: float, policy: Policy
) -> tuple[WishState, Verdict]:
    """Follow a guest that left its goal by itself.

    Where its devices want nothing else, where it is now is simply its size: a guest moves on for
    a moment while its wish is being cancelled.
    """
    if unfinished and actual_bytes > wish.goal_bytes:
        # It took back what it gave (deflate-on-oom): asking again at once would hurt it again.
        giving = _pause(wish.giving, now_s, policy.rest_low_s, policy)
        return replace(wish, giving=replace(giving, second_chance=False)), Verdict.STRAYED
    if unfinished:
        return wish, Verdict.STRAYED
    found = replace(wish, goal_bytes=actual_bytes, from_bytes=actual_bytes, nearest_bytes=0)
    return found, Verdict.IDLE


def _out_of_patience(waited_s: float, policy: Policy) -> bool:
    # SAFETY: what a guest neither gives nor takes must not stay tied to its wish for ever.
    return waited_s >= policy.stuck_s


def _failed(wish: WishState, distance: int, now_s: float, policy: Policy) -> WishState:
    """Note that the guest stopped. One that did nearly all of what it was asked has done well."""
    if distance <= abs(wish.goal_bytes - wish.from_bytes) * NEARLY_ALL_RATIO:
        return wish
    if wish.goal_bytes < wish.from_bytes:
        return replace(wish, giving=_pause(wish.giving, now_s, policy.rest_low_s, policy))
    # Being denied memory hurts more than keeping it: no longer a pause than we waited, at first.
    return replace(wish, taking=_pause(wish.taking, now_s, policy.stuck_s, policy))


def _pause(trust: Trust, now_s: float, first_s: float, policy: Policy) -> Trust:
    """Note a failure: the guest rests, twice as long after each."""
    # SAFETY: a guest that does not do as asked is left alone, not asked every few seconds.
    failures = trust.failures
    rest_s = min(policy.rest_high_s, first_s * 2.0 ** min(failures, MOST_DOUBLINGS))
    return Trust(failures=failures + 1, rest_until_s=now_s + rest_s, second_chance=failures == 0)
