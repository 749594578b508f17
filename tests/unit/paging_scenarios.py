"""Scenarios of Smart Paging: a host on which a guest restarts, and what must hold for it.

`web` has 1024 MiB of boot RAM and gave half of it back; `db` has the rest of the host. When `web`
is reset it holds all of its boot RAM again. The functions that answer yes or no are for the guards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tests.unit.builders import devices, guest, of, settings

from barostat.core.decide import Decision, State, decide
from barostat.core.observation import GuestObservation, HostObservation, RunState, Snapshot
from barostat.core.paging import MOST_S
from barostat.core.policy import Policy
from barostat.core.pressure import Status
from barostat.core.settings import MemorySettings
from barostat.units import MIB

FULL_MIB = 1536
SHRUNK = devices(balloon=512, region=0)
WHOLE = devices(region=0)


@dataclass
class Place:
    """A host that is looked at again and again; sizes in MiB."""

    capacity: int = FULL_MIB
    swap: int = 4096
    minimum: int = 256
    why_not: str = ""
    now: float = 100.0
    state: State = field(default_factory=State)
    enabled: bool = True
    hurried: tuple[str, ...] = ()

    def tick(self, *guests: GuestObservation, after_s: float = 1.0) -> Decision:
        self.now += after_s
        seen = tuple(replace(item, seen_at_s=self.now) for item in guests)
        names = [item.name for item in seen]
        booting = [item.name for item in seen if item.run_state is RunState.BOOTING]
        host = HostObservation(
            capacity_bytes=self.capacity * MIB,
            pageable={} if self.why_not else dict.fromkeys(names, self.swap * MIB),
            unpageable=dict.fromkeys(booting, self.why_not) if self.why_not else {},
        )
        snapshot = Snapshot(
            now_s=self.now,
            host=host,
            guests=tuple(sorted(seen, key=lambda item: item.name)),
            settings=self._settings(seen),
            hurried=frozenset(self.hurried),
        )
        decision = decide(snapshot, self.state, Policy())
        self.state = decision.state
        return decision

    def _settings(self, seen: tuple[GuestObservation, ...]) -> Mapping[str, MemorySettings]:
        known = settings(self.minimum, 1024, enabled=self.enabled)
        return dict.fromkeys((item.name for item in seen), known)

    def runs(self, *, after_s: float = 1.0) -> Decision:
        """Both guests run; `web` has half of its boot RAM."""
        return self.tick(web(self.now + after_s), db(self.now + after_s), after_s=after_s)

    def resets(self, *, after_s: float = 1.0) -> Decision:
        """`web` is reset, and has all of its boot RAM."""
        now = self.now + after_s
        return self.tick(boots(now), db(now), after_s=after_s)


def web(at: float, *, has: int = 512, since: float = 0.0) -> GuestObservation:
    """`web` as it runs; by default with half of its boot RAM."""
    left = devices(balloon=1024 - has, region=0)
    return guest("web", has=left, used=300, at=at, disturbed=since)


def db(at: float, *, balloon: int = 0) -> GuestObservation:
    """The other guest, which needs what it has."""
    return guest("db", has=devices(balloon=balloon, region=0), used=800, at=at)


def boots(at: float) -> GuestObservation:
    """`web` after a reset at that moment."""
    reset = guest("web", has=WHOLE, run_state=RunState.BOOTING, at=at, disturbed=at)
    return replace(reset, statistics=None)


def still_boots(seen: GuestObservation, at: float) -> GuestObservation:
    return replace(seen, seen_at_s=at)


def restarted(place: Place | None = None) -> tuple[Place, Decision]:
    """`web` ran with half of its boot RAM, and was reset."""
    place = place or Place()
    place.runs()
    return place, place.resets()


def paged_mib(decision: Decision) -> int:
    return of(decision).paged_bytes // MIB


def a_vm_that_was_off_is_not_paged() -> bool:
    place = Place()
    now = place.now + 1
    place.tick(boots(now), db(now))
    return paged_mib(place.resets()) == 0


def a_guest_that_runs_is_not_paged_when_the_host_loses_memory() -> bool:
    place = Place(capacity=4096)
    place.runs()
    now = place.now + 1
    place.tick(boots(now), db(now))
    place.capacity = FULL_MIB
    at = place.now + 1
    return paged_mib(place.tick(web(at, has=1024, since=now), db(at))) == 0


def a_guest_that_restarts_has_its_minimum_in_memory() -> bool:
    _, decision = restarted(Place(minimum=700))
    return of(decision).promised_bytes >= 700 * MIB


def paging_ends_though_no_memory_was_found() -> bool:
    place, _ = restarted()
    began = place.now
    decision = place.tick(boots(began), db(began))
    for _ in range(int(MOST_S) // 60 + 1):
        decision = place.tick(boots(began), db(place.now + 60), after_s=60)
    return paged_mib(decision) == 0


def a_guest_that_moves_out_is_not_paged() -> bool:
    place, _ = restarted()
    leaving = replace(boots(place.now), run_state=RunState.MIGRATING)
    return paged_mib(place.tick(leaving, db(place.now + 1))) == 0


def status_of_web(decision: Decision) -> Status:
    return of(decision).status
