"""Whom to look at between two ticks, and when: pure, time is an argument.

A guest that could be out of memory before the next tick is looked at before it can be; one that
grows, pages or stalls, as often as anybody is. All looks come out of one budget for the host. When
it does not suffice, whoever is longest overdue is next: a guest that was looked at goes behind
those that are as near to their limits, so nobody starves, and who is nearer comes by more often.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from barostat.core.observation import Depth, GuestObservation, RunState
from barostat.core.statistics import Statistics
from barostat.units import GIB, MIB

__all__ = ["Pace", "Sampler", "look_again_s"]

PAGED_BYTES: Final = MIB
"""Less swap traffic between two looks is a page here and there."""

FELL_BYTES: Final = 4 * MIB
FELL_RATIO: Final = 0.01
"""Less than both between two looks is noise: Linux itself updates its figures in batches."""

LOOKS_AT_ONCE: Final = 16
"""Most guests answer within 10 ms; those that hang must not hold up who else is near its limit."""

TOGETHER: Final = 4
"""Nobody wakes up more often than so many times in the shortest time between two looks."""

EARLY_S: Final = 0.001
"""A timer may go off a hair before its time: that is no reason to wait for another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How much the fast lane may do between two ticks. An operator may change any of it.

    Attributes:
        on: False leaves everybody to the ticks.
        look_s: nobody is looked at more often than this.
        looks_per_s: the budget of looks for the whole host.
        touch_bytes_per_s: how fast a guest may use up memory: one whose available memory would
            last for less than a tick at this rate is near its limit.
        hurry_s: decisions out of turn are at least this far apart.
        share_ratio: and take at most this share of the time.
    """

    on: bool = True
    look_s: float = 0.1
    looks_per_s: float = 100.0
    touch_bytes_per_s: float = 1.0 * GIB
    hurry_s: float = 0.1
    share_ratio: float = 0.1

    def next_pass_s(self, began_s: float, took_s: float) -> float:
        """Say when the next decision out of turn may be made, after one that took so long."""
        return began_s + max(self.hurry_s, took_s / self.share_ratio)


def look_again_s(
    before: GuestObservation | None, now: GuestObservation, *, pace: Pace, tick_s: float
) -> float | None:
    """Say how soon after a look a guest has to be looked at again.

    One that speaks by itself need not be looked at before it grows. From then on its agent may have
    to wait for a processor, or for memory, longer than its kernel does.

    Args:
        before: as it was seen last, None at first sight.
        now: as it is seen.
        pace: how fast a guest may use up memory, and how often to look at most.
        tick_s: when everybody is looked at.

    Returns:
        None if the next tick is soon enough.
    """
    statistics = now.statistics
    if statistics is None or now.run_state is not RunState.RUNNING:
        return None
    rate = pace.touch_bytes_per_s
    passed_s = 0.0 if before is None else now.statistics_at_s - before.statistics_at_s
    if before is not None and before.statistics is not None and passed_s > 0:
        fell_bytes = _fell_bytes(before, before.statistics, now, statistics)
        if _suffers(before.statistics, statistics) or _grows(fell_bytes, statistics):
            return pace.look_s
        rate = max(rate, fell_bytes / passed_s)
    if now.heard_by is Depth.AGENT:
        return None
    lasts_s = statistics.available_bytes / rate
    return None if lasts_s >= tick_s else max(pace.look_s, lasts_s)


def _fell_bytes(
    before: GuestObservation, was: Statistics, now: GuestObservation, found: Statistics
) -> int:
    """Say how much less is available, but for what the guest was given or had to give."""
    given_bytes = now.devices.assigned_bytes - before.devices.assigned_bytes
    return was.available_bytes - found.available_bytes + given_bytes


def _grows(fell_bytes: int, now: Statistics) -> bool:
    return fell_bytes >= max(FELL_BYTES, now.total_bytes * FELL_RATIO)


def _suffers(was: Statistics, now: Statistics) -> bool:
    """Say whether it pages, or waits for memory."""
    paged_bytes = now.swap_in_bytes - was.swap_in_bytes + now.swap_out_bytes - was.swap_out_bytes
    stalls = was.alloc_stalls is not None and (now.alloc_stalls or 0) > was.alloc_stalls
    return stalls or paged_bytes >= PAGED_BYTES


@dataclass(slots=True)
class _Turn:
    """When a guest was last seen, how soon it has to be again, and when its last turn was."""

    seen_s: float
    again_s: float
    last_s: float
    in_need: bool = False


class Sampler:
    """Keeps the turns of those who cannot wait for the tick, and the budget of looks."""

    def __init__(self) -> None:
        self._turns: dict[str, _Turn] = {}
        self._looking: set[str] = set()
        self._left = 0.0  # of the budget, in looks
        self._counted_s = -math.inf

    def __len__(self) -> int:
        return len(self._turns)

    @property
    def looking(self) -> int:
        """How many are being looked at."""
        return len(self._looking)

    def seen(self, guest: str, *, at_s: float, again_s: float | None) -> None:
        """Note that a guest was seen, and how soon it has to be again; None: at the next tick."""
        turn = self._turns.get(guest)
        if again_s is None:
            self._turns.pop(guest, None)
        elif turn is None:
            self._turns[guest] = _Turn(seen_s=at_s, again_s=again_s, last_s=at_s)
        else:
            turn.seen_s, turn.again_s = at_s, again_s

    def urge(self, guest: str, *, now_s: float, in_need: bool) -> None:
        """Have a guest looked at now; one that is in need, before all that only may be."""
        turn = self._turns.setdefault(guest, _Turn(seen_s=now_s, again_s=0.0, last_s=now_s))
        turn.seen_s, turn.again_s, turn.in_need = now_s, 0.0, in_need

    def keep(self, guests: Collection[str]) -> None:
        """Forget all others."""
        for name in self._turns.keys() - guests:
            del self._turns[name]

    def take(self, now_s: float, *, pace: Pace) -> list[str]:
        """Name those to look at now, the longest overdue first; each look has its `done`."""
        self._refill(now_s, pace)
        due = sorted(
            (not turn.in_need, turn.last_s + turn.again_s, name)
            for name, turn in self._turns.items()
            if name not in self._looking and turn.seen_s + turn.again_s <= now_s + EARLY_S
        )
        room = min(LOOKS_AT_ONCE - len(self._looking), int(self._left))
        taken = [name for _, _, name in due[:room]]
        for name in taken:
            self._turns[name].last_s = now_s
        self._looking.update(taken)
        self._left -= len(taken)
        return taken

    def done(self, guest: str) -> None:
        """Note that a look has ended; whom it did not reach is left to the tick."""
        self._looking.discard(guest)
        self._turns.pop(guest, None)

    def wait_s(self, now_s: float, *, pace: Pace) -> float | None:
        """Say how long to wait before the next `take`; None: until something is noted."""
        longest_s = pace.look_s if self._looking else None
        due = [
            turn.seen_s + turn.again_s
            for name, turn in self._turns.items()
            if name not in self._looking
        ]
        if not due or len(self._looking) >= LOOKS_AT_ONCE:
            return longest_s
        self._refill(now_s, pace)
        earning_s = max(0.0, 1 - self._left) / pace.looks_per_s
        wait_s = max(min(due) - now_s, earning_s, pace.look_s / TOGETHER)
        return wait_s if longest_s is None else min(wait_s, longest_s)

    def _refill(self, now_s: float, pace: Pace) -> None:
        """Earn what the time since was worth; no more is saved than one `look_s` is worth."""
        earned = (now_s - self._counted_s) * pace.looks_per_s
        most = max(1.0, pace.looks_per_s * pace.look_s)
        self._left, self._counted_s = min(most, self._left + earned), now_s
