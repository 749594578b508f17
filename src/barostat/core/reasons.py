"""Why something was done or left: a code and its numbers. `explain` makes sentences of them.

The codes are part of what Barostat promises to scripts (`--output json`): they are never renamed.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Reason", "ReasonCode", "because", "percent"]


class ReasonCode(enum.Enum):
    """Every reason there is, grouped by what it explains."""

    # Grown.
    DEMAND = "demand"
    GROWTH = "growth"
    DISTRESS = "distress"
    STALLED = "stalled"
    COMMITTED = "committed"
    BELOW_MINIMUM = "below-minimum"
    PARTIAL = "partial"
    STEPWISE = "stepwise"
    # Shrunk.
    TRICKLE = "trickle"
    TAKEN = "taken"
    PAGED = "paged"
    TRIMMED = "trimmed"
    ABOVE_MAXIMUM = "above-maximum"
    # Cancelled or nudged.
    STUCK = "stuck"
    NEEDED_BACK = "needed-back"
    ADOPTED = "adopted"
    HALTED = "halted"
    RECALLED = "recalled"
    BRAKED = "braked"
    STRAYED = "strayed"
    NUDGED = "nudged"
    BY_BALLOON = "by-balloon"
    # Held: left at its size.
    NO_SETTINGS = "no-settings"
    BAD_SETTINGS = "bad-settings"
    DISABLED = "disabled"
    HELD = "held"
    BOOTING = "booting"
    PAUSED = "paused"
    MIGRATING = "migrating"
    UNREACHABLE = "unreachable"
    HUGEPAGES = "hugepages"
    PASSTHROUGH = "passthrough"
    LOCKED = "locked"
    CONFIDENTIAL = "confidential"
    NO_STATISTICS = "no-statistics"
    STALE = "stale"
    RESTING = "resting"
    OFFLINE = "offline"
    SETTLING = "settling"
    MOVING = "moving"
    WAITING = "waiting"
    HOST_PRESSED = "host-pressed"
    ENOUGH = "enough"
    CALM = "calm"
    SHORT = "short"
    SPARE = "spare"
    IN_USE = "in-use"
    NOTHING_TO_SPARE = "nothing-to-spare"
    NO_SAFE_PAGING = "no-safe-paging"
    REGAINED = "regained"
    DOUBTED = "doubted"
    PAGING = "paging"
    NOT_PAGED = "not-paged"
    # Of the host.
    CAPACITY_LOST = "capacity-lost"
    MINIMUMS_TOO_LARGE = "minimums-too-large"
    NO_ROOM = "no-room"
    TAKES_MORE = "takes-more"
    FALSE_SIZE = "false-size"
    HOST_LOW = "host-low"
    HOST_STALLS = "host-stalls"
    HOST_SWAPS = "host-swaps"
    HOST_RECOVERING = "host-recovering"
    HOST_TAKES_BACK = "host-takes-back"
    HOST_UNSEEN = "host-unseen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One reason. Numbers are bytes where their names end in `_bytes`, seconds in `_s`."""

    code: ReasonCode
    numbers: Mapping[str, int | float | str]


def because(code: ReasonCode, **numbers: float | str) -> Reason:
    """Make a reason."""
    return Reason(code=code, numbers=numbers)


def percent(ratio: float) -> float:
    """Make percent of a small share, as exact as a person wants it."""
    return round(ratio * 100, 2)
