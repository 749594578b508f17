"""Which samples answer a question about a time: as fine as is asked for, and as is still kept."""

from __future__ import annotations

import math
from typing import Final

from barostat.errors import InputError
from barostat.history.rollup import STEPS

__all__ = ["bounded", "period_of"]

MOST_POINTS: Final = 2_000
"""More points than a wide screen has pixels; each stands for as long as there must be."""


def bounded(wanted: int, most: int) -> int:
    """Refuse to give more than there may be asked for.

    Raises:
        InputError: it is too many, or none.
    """
    if not 1 <= wanted <= most:
        raise InputError(f"{wanted} were asked for: it must be between 1 and {most}")
    return wanted


def period_of(since_s: float, until_s: float, points: int, now_s: float) -> dict[str, int]:
    """Choose the samples to answer with.

    Args:
        since_s: from when.
        until_s: until when.
        points: into how many of them the time is divided, at most.
        now_s: the present.

    Returns:
        The queries' parameters: `step`, the samples to take; `width`, as much time as one point
        stands for, a multiple of that; `since` and `until`; `first`, where the first point begins.

    Raises:
        InputError: there is no such time.
    """
    if not since_s < until_s:
        raise InputError("the time asked for ends before it begins", hint="swap its two ends")
    wanted_s = (until_s - since_s) / bounded(points, MOST_POINTS)
    kept = [step for step in STEPS if since_s >= now_s - step.kept_s] or [STEPS[-1]]
    fine = [step for step in kept if step.step_s <= wanted_s]
    step_s = (fine[-1] if fine else kept[0]).step_s
    width_s = step_s * max(1, math.ceil(wanted_s / step_s))
    since, until = math.floor(since_s), math.ceil(until_s)
    return {
        "step": step_s,
        "width": width_s,
        "first": since - since % width_s,
        "since": since,
        "until": until,
    }
