"""Passes for the tests of history: a host that is looked at once a second, and changes a little."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.unit.builders import POLICY, devices, guest, settings

from barostat.core.decide import State, decide, unmoved
from barostat.core.observation import GuestObservation, HostObservation, Reservation, Snapshot
from barostat.core.policy import Policy
from barostat.core.settings import MemorySettings
from barostat.engine.loop import Tick
from barostat.history.reader import Reader
from barostat.history.store import Looked, Store
from barostat.units import MIB

NOON_S = 1_800_000_000
"""A moment on the wall clock that begins an hour, and so every period of samples."""


@dataclass
class Watched:
    """A host that is looked at again and again. Its monotonic clock starts at 1000 s."""

    capacity: int = 8192
    policy: Policy = POLICY
    state: State = field(default_factory=State)
    settings: dict[str, MemorySettings] = field(default_factory=dict)
    now_s: float = 1000.0
    reservations: tuple[Reservation, ...] = ()

    def look(
        self,
        *guests: GuestObservation,
        granting: bool = True,
        carried_out: bool = True,
        ages_s: Sequence[float] = (),
        hurried: Sequence[str] = (),
    ) -> Tick:
        """Look at guests as they are, a second later, and decide."""
        self.now_s += 1.0
        snapshot = Snapshot(
            now_s=self.now_s,
            host=HostObservation(capacity_bytes=self.capacity * MIB, granting=granting),
            guests=tuple(
                replace(seen, seen_at_s=self.now_s, statistics_at_s=self.now_s - age_s)
                for seen, age_s in zip(guests, ages_s or [0.0] * len(guests), strict=True)
            ),
            settings={seen.name: self.settings.get(seen.name, settings()) for seen in guests},
            reservations=self.reservations,
            hurried=frozenset(hurried),
        )
        state, decision = self.state, decide(snapshot, self.state, self.policy)
        self.state = decision.state if carried_out else unmoved(decision)
        return Tick(
            snapshot=snapshot,
            state=state,
            policy=self.policy,
            decision=decision,
            observe_s=0.0,
            decide_s=0.0,
        )

    def look_often(
        self, seconds: int, *, names: Sequence[str] = ("web",), used: int = 400
    ) -> Iterator[Tick]:
        """Look once a second at guests whose use changes a little all the time."""
        for second in range(seconds):
            yield self.look(*(guest(name, used=used + second % 7) for name in names))


def looked(tick: Tick, *, at_s: float) -> Looked:
    return Looked(at_s=at_s, tick=tick)


def recorded(path: Path, ticks: Sequence[Tick], *, from_s: float = NOON_S) -> Reader:
    """A history of these passes, one a second, each committed by itself."""
    store = Store(path)
    for second, tick in enumerate(ticks):
        store.write([looked(tick, at_s=from_s + second)])
    store.close()
    return Reader(path)


def has(mib: int) -> GuestObservation:
    """A guest that was ballooned to so much, and uses little of it."""
    return guest(used=100, has=devices(boot=1024, balloon=1024 - mib))
