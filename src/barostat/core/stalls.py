"""Whether a guest waits for memory, and how much more it should have for that.

senpai's law (Meta's TMO, ASPLOS'22): with the share of the time that something in the guest waited
for memory (PSI "some") above the target,

    want = has * (1 + min(1, (share / target / gain)^2))

The share is taken between the moments at which the guest's program read its counters, over a tick
at least: a hiccup of a tenth of a second is not multiplied by ten, and one wait is answered once,
however often it is looked at. A want is a buffer, never demand.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from barostat.core.policy import Policy
from barostat.core.statistics import Inside, Statistics

__all__ = ["Stalls", "begun", "measured"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stalls:
    """How long a guest waited for memory, in windows of a tick or more.

    Attributes:
        since: what was said when the window began; it says how long the guest had waited.
        statistics: the guest's statistics then.
        assigned_bytes: what it had then.
        ratio: the share of the window in which it waited.
        before_ratio: the same of the window before, None if this is the first.
        harmed: it waited for longer than it should, because all of its memory does not suffice.
        want_bytes: what it should have for that; 0 unless harmed.
    """

    since: Inside
    statistics: Statistics
    assigned_bytes: int
    ratio: float = 0.0
    before_ratio: float | None = None
    harmed: bool = False
    want_bytes: int = 0

    @property
    def lately_ratio(self) -> float:
        """The share of the time in which it waited, in this window or the one before."""
        return max(self.ratio, self.before_ratio or 0.0)

    def calm(self, below_ratio: float) -> bool:
        """Say whether it waited for less than this share of the time, for a whole window."""
        return self.before_ratio is not None and self.lately_ratio < below_ratio


def begun(inside: Inside, now: Statistics, *, assigned_bytes: int) -> Stalls | None:
    """Begin to measure, if its program says how long it waited."""
    if inside.stalled_us is None:
        return None
    return Stalls(since=inside, statistics=now, assigned_bytes=assigned_bytes)


def measured(
    previous: Stalls, inside: Inside, now: Statistics, *, assigned_bytes: int, policy: Policy
) -> Stalls | None:
    """Say how long a guest waits for memory, from new words of its program.

    Args:
        previous: the same as of its last words.
        inside: what its program says now.
        now: its statistics.
        assigned_bytes: what it has.
        policy: the target, the gain, and the tick.

    Returns:
        None if it does not say how long it waited.
    """
    since = previous.since
    if (
        inside.stalled_us is None
        or since.stalled_us is None
        or inside.stalled_us < since.stalled_us
    ):
        return begun(inside, now, assigned_bytes=assigned_bytes)  # another boot, or program
    waited_us, elapsed_s = inside.stalled_us - since.stalled_us, inside.at_s - since.at_s
    ratio = min(1.0, waited_us / 1e6 / max(elapsed_s, policy.tick_s))
    harmed = ratio > policy.demand.stall_ratio and _short_itself(previous, inside, now)
    base = min(previous.assigned_bytes, assigned_bytes)
    want = int(base * _factor(ratio, policy)) if harmed else 0
    if elapsed_s < policy.tick_s:  # what the window before came to stands until this one is whole
        harmed, want = harmed or previous.harmed, max(want, previous.want_bytes)
        return replace(previous, ratio=ratio, harmed=harmed, want_bytes=want)
    return Stalls(
        since=inside,
        statistics=now,
        assigned_bytes=assigned_bytes,
        before_ratio=ratio,
        harmed=harmed,
        want_bytes=want,
    )


def _factor(ratio: float, policy: Policy) -> float:
    return 1 + min(1.0, (ratio / policy.demand.stall_ratio / policy.demand.stall_gain) ** 2)


def _short_itself(previous: Stalls, inside: Inside, now: Statistics) -> bool:
    """Say whether the guest's kernel reclaimed for all of it meanwhile.

    What was scanned says it best. Where that is unknown, stalled allocations do, and swapping,
    which a container's limit causes, too.
    """
    # SAFETY: what a container waits for at its own limit in the guest does not end with more
    # memory: the guest would be given what others could use, again and again.
    before, was_scanned = previous.statistics, previous.since.scanned_bytes
    if inside.scanned_bytes is not None and was_scanned is not None:
        return inside.scanned_bytes > was_scanned
    return (
        (now.alloc_stalls or 0) > (before.alloc_stalls or 0)
        or now.swap_in_bytes > before.swap_in_bytes
        or now.swap_out_bytes > before.swap_out_bytes
    )
