"""The soak's own books: how much more than the host has is promised, and whose doing that is.

A fault may take memory that nobody granted: a guest that is reset has its ballooned memory again,
a host loses some. So much is excused, for a while; when that is over, what is still too much may
only become less. Whatever goes beyond that was promised by the daemon, and is a breach.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from barostat.core.moves import MoveKind
from barostat.service.documents import Overview

__all__ = ["Books", "Excuse", "Sizes", "growth", "held_bytes", "promised_too_much"]


@dataclass(slots=True, kw_only=True)
class Excuse:
    """So much may be too much, until then."""

    why: str
    size_bytes: int
    until_s: float


@dataclass(slots=True)
class Books:
    """Tells what a fault took from what the daemon gave.

    Attributes:
        carried_bytes: what was too much when its excuse ended; it may only become less.
        excuses: those that still hold.
    """

    carried_bytes: int = 0
    excuses: list[Excuse] = field(default_factory=list)

    def excuse(self, why: str, size_bytes: int, *, until_s: float = math.inf) -> Excuse:
        """Note that a fault takes memory; the excuse may be ended early."""
        self.excuses.append(made := Excuse(why=why, size_bytes=size_bytes, until_s=until_s))
        return made

    def allowed_bytes(self, *, now_s: float) -> int:
        """Say by how much more than the host has may be held now."""
        ended = [item for item in self.excuses if item.until_s <= now_s]
        self.excuses = [item for item in self.excuses if item.until_s > now_s]
        self.carried_bytes += sum(item.size_bytes for item in ended)
        return self.carried_bytes + sum(item.size_bytes for item in self.excuses)

    def judge(self, excess_bytes: int, *, now_s: float) -> int:
        """Say how much of what is too much nothing excuses; each such byte is told once."""
        excess_bytes = max(0, excess_bytes)
        beyond = max(0, excess_bytes - self.allowed_bytes(now_s=now_s))
        self.carried_bytes = min(self.carried_bytes + beyond, excess_bytes)
        return beyond


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """A guest's sizes, as its QEMU says them."""

    base_bytes: int
    plugged_bytes: int
    requested_bytes: int

    @property
    def actual_bytes(self) -> int:
        """What it has."""
        return self.base_bytes + self.plugged_bytes

    @property
    def wished_bytes(self) -> int:
        """What it has or may plug."""
        return self.base_bytes + max(self.plugged_bytes, self.requested_bytes)


def held_bytes(sizes: Iterable[Mapping[str, Sizes]], told: Iterable[Overview | None]) -> int:
    """Say what guests have or were granted, by their QEMUs and by what the daemon says.

    Both were asked more than once while memory moved. What a guest had, or was granted, only once
    may have gone to another meanwhile: of each guest the least counts.
    """
    seen, granted = list(sizes), [_granted(overview) for overview in told]
    return sum(
        max(
            min(look[name].wished_bytes for look in seen),
            min((grants.get(name, 0) for grants in granted), default=0),
        )
        for name in set.intersection(*(set(look) for look in seen))
    )


def _granted(overview: Overview | None) -> dict[str, int]:
    guests = () if overview is None else overview.guests
    return {
        guest.name: guest.move.to_bytes
        for guest in guests
        if guest.move is not None and guest.move.kind is MoveKind.GROW
    }


def promised_too_much(overview: Overview) -> str:
    """Say who was granted memory by a pass that left more promised than there is; blank: nobody."""
    host = overview.host
    grown = ", ".join(sorted(_granted(overview)))
    if not grown or host.promised_bytes <= host.capacity_bytes:
        return ""
    return f"{grown} granted with {host.promised_bytes} promised of {host.capacity_bytes} bytes"


def growth(samples: Sequence[tuple[float, float]], *, window_s: float) -> float:
    """Say by how much a measure grew from its first to its last: of medians over windows.

    Args:
        samples: when, and what, in order.
        window_s: how long a window is.
    """
    if not samples:
        return 0.0
    began_s, ended_s = samples[0][0], samples[-1][0]
    first = [value for at_s, value in samples if at_s <= began_s + window_s]
    last = [value for at_s, value in samples if at_s >= ended_s - window_s]
    return median(last) - median(first)
