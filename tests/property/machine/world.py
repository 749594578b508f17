"""Guests of every character, a host and an engine on one clock: what the core never sees whole."""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

from tests.property.machine.checks import Checks
from tests.property.machine.engine import Engine, Style
from tests.property.machine.resident import Resident
from tests.property.machine.shadow import Shadow, granularity_bytes

from barostat.core.decide import Decision, State, decide
from barostat.core.observation import GuestObservation, HostObservation, Reservation, Snapshot
from barostat.core.policy import Policy
from barostat.core.reasons import Reason
from barostat.core.settings import MemorySettings, setting_faults
from barostat.units import MIB

__all__ = ["Then", "World"]

WORKS_EVERY_S = 0.5
"""How often the engine goes on with what it does; the real one does ten times as often."""


class Then(enum.Enum):
    """How long it is until the next pass, and what the engine does meanwhile."""

    NOTHING = (0.0, Style.AT_ONCE)
    TICK = (1.0, Style.AT_ONCE)
    SOON = (0.25, Style.AT_ONCE)
    AT_LAST = (3.0, Style.TWICE)
    WITHOUT_ENGINE = (1.0, Style.LATE)
    REFUSED = (1.0, Style.REFUSED)
    AFTER_SLEEP = (40.0, Style.AT_ONCE)


@dataclass
class World:
    """All that is real.

    Attributes:
        excused: the host lost memory, or somebody took what was not granted, and it is not back.
    """

    policy: Policy
    capacity_bytes: int
    now_s: float = 1000.0
    residents: dict[str, Resident] = field(default_factory=dict)
    settings: dict[str, MemorySettings | None] = field(default_factory=dict)
    reservations: dict[str, Reservation] = field(default_factory=dict)
    unfit: dict[str, Reason] = field(default_factory=dict)
    granting: bool = True
    wanted_back_bytes: int = 0
    paused: bool = False
    witnessed: bool = False
    excused: bool = False
    state: State = field(default_factory=State)
    engine: Engine = field(default_factory=Engine)
    shadow: Shadow = field(default_factory=Shadow)
    checks: Checks = field(default_factory=Checks)
    last: Snapshot | None = None
    passes: int = 0
    _agenda: list[tuple[int, Callable[[], object]]] = field(default_factory=list)

    def clock(self) -> float:
        return self.now_s

    def for_a_while(
        self, passes: int, begin: Callable[[], None], end: Callable[[], object]
    ) -> None:
        """Have something be so until so many passes are over: trouble must not pile up for ever."""
        begin()
        self._agenda.append((self.passes + passes, end))

    def be_quiet(self) -> None:
        """End all trouble, and have no more of it."""
        for _, end in self._agenda:
            end()
        self._agenda.clear()
        self.reservations.clear()

    def move_in(self, resident: Resident, settings: MemorySettings | None) -> None:
        """Have a guest there; what it takes is its own doing unless it was admitted."""
        name = resident.name
        self.residents[name] = resident
        self.settings[name] = settings
        wanted = self.reservations.get(name)
        admitted = wanted is not None and name in self.state.admitted
        if not admitted or wanted is None or resident.may_have_bytes > wanted.size_bytes:
            resident.taken_bytes = resident.may_have_bytes
            self.excused = True

    def move_out(self, resident: Resident) -> None:
        """Have a guest gone, if it is not yet, and what was under way with it."""
        name = resident.name
        if self.residents.get(name) is resident:
            del self.residents[name], self.settings[name]
            self.engine.drop(name)

    def set_capacity(self, capacity_bytes: int) -> None:
        """Have the host lose memory, or get it back."""
        self.excused = self.excused or capacity_bytes < self.capacity_bytes
        self.capacity_bytes = capacity_bytes

    def restart(self) -> None:
        """Have the daemon killed and started again: it knows nothing, and what was asked is kept.

        What was admitted may be starting, and is not known to be.
        """
        self.excused = self.excused or bool(self.state.set_aside_bytes)
        self.state, self.last = State(), None
        self.reservations.clear()
        self.engine.stop()
        self.shadow.forget()
        self.checks.forget()
        for resident in self.residents.values():
            resident.forget_target()

    # Time.

    def go_on(self, then: Then) -> None:
        """Let time pass while the engine works, and decide."""
        wait_s, style = then.value
        if then is Then.NOTHING:
            return
        self.pass_time(wait_s, style)
        self.tick()

    def pass_time(self, wait_s: float, style: Style) -> None:
        """Let time pass; the engine does in its first seconds what it would do in all of it."""
        self.engine.work(self.residents, style)
        spent_s = min(WORKS_EVERY_S, wait_s)
        self._advance(spent_s)
        self.engine.work(self.residents, style)
        self._advance(wait_s - spent_s)

    def _advance(self, passed_s: float) -> None:
        self.now_s += passed_s
        for resident in self.residents.values():
            taken_bytes = resident.taken_bytes
            resident.advance()
            self.excused = self.excused or resident.taken_bytes > taken_bytes

    # Decisions.

    def tick(self) -> Decision:
        """Do a pass in turn."""
        over = [end for at, end in self._agenda if at <= self.passes]
        self._agenda = [item for item in self._agenda if item[0] > self.passes]
        for end in over:
            end()
        views = {name: self.residents[name].look(self.now_s) for name in sorted(self.residents)}
        known, faults = self._known_settings(views)
        snapshot = Snapshot(
            now_s=self.now_s,
            host=self._host(),
            guests=tuple(views.values()),
            settings=known,
            settings_faults=faults,
            reservations=tuple(self.reservations.values()),
            paused=self.paused,
        )
        decision = self._pass(snapshot)
        self.last = snapshot
        for name in views:
            self.reservations.pop(name, None)
        return decision

    def hurry(self, names: Collection[str]) -> None:
        """Do a pass out of turn as the fast lane does: over what was seen last, but for some."""
        last = self.last
        if last is None or self.paused or self.now_s - last.now_s > self.policy.stale_s:
            return
        there = {guest.name: guest for guest in last.guests}
        hurried = [name for name in names if name in there and name in self.residents]
        for name in hurried:
            resident = self.residents[name]
            if not (resident.unreachable or resident.guest.dead):
                there[name] = resident.look(self.now_s)
        snapshot = replace(
            last,
            now_s=self.now_s,
            guests=tuple(there.values()),
            reservations=tuple(self.reservations.values()),
            hurried=frozenset(hurried),
        )
        if hurried:
            self._pass(snapshot)
            self.last = replace(last, guests=snapshot.guests)

    def _known_settings(
        self, views: Mapping[str, GuestObservation]
    ) -> tuple[dict[str, MemorySettings], dict[str, str]]:
        known, faults = {}, {}
        for name, view in views.items():
            settings = self.settings[name]
            if settings is None:
                continue
            wrong = setting_faults(settings, devices_bytes=view.devices.ceiling_bytes)
            if wrong:
                faults[name] = "; ".join(wrong)
            else:
                known[name] = settings
        return known, faults

    def _host(self) -> HostObservation:
        in_use = {}
        if self.witnessed:
            in_use = {name: item.in_use_bytes() for name, item in self.residents.items()}
        return HostObservation(
            capacity_bytes=self.capacity_bytes,
            granting=self.granting,
            wanted_back_bytes=self.wanted_back_bytes,
            unfit={name: why for name, why in self.unfit.items() if name in self.residents},
            in_use=in_use,
        )

    def _pass(self, snapshot: Snapshot) -> Decision:
        """Decide, check, and have it carried out."""
        before = self.state
        self.shadow.see({guest.name: guest for guest in snapshot.guests})
        decision = decide(snapshot, before, self.policy)
        assert decision == decide(snapshot, before, self.policy), "the same twice is the same"
        self.checks.decision(snapshot, before, decision, self.shadow)
        self.state = decision.state
        self.passes += 1
        for move in decision.moves:
            self.shadow.move(move, snapshot.now_s)
            if move.guest in self.residents:
                minimum = snapshot.settings.get(move.guest)
                least_bytes = 0 if minimum is None else minimum.minimum_bytes
                self.engine.perform(move, minimum_bytes=least_bytes)
        self.checks.shrinks(snapshot, decision)
        return decision

    # What must hold at every moment.

    def check(self) -> None:
        """No guest can have more than it is counted at, and all together no more than there is."""
        held_bytes = 0
        for name, resident in self.residents.items():
            may_have_bytes = max(resident.may_have_bytes, self.engine.granted_bytes(name))
            held_bytes += may_have_bytes
            if resident.view is not None:
                counted_bytes = self.shadow.held_bytes(name) + granularity_bytes(resident.view)
                assert may_have_bytes <= counted_bytes + resident.unseen_bytes, (
                    f"{name}: {may_have_bytes} > {counted_bytes} + {resident.unseen_bytes}"
                )
        held_bytes += self._set_aside_bytes()
        if held_bytes <= self.capacity_bytes and self._all_seen:
            self.excused = False
        rounding_bytes = 2 * MIB * len(self.residents)
        assert self.excused or held_bytes <= self.capacity_bytes + rounding_bytes

    @property
    def _all_seen(self) -> bool:
        """Whether nothing was taken that no decision knows of."""
        seen = all(not resident.unseen_bytes for resident in self.residents.values())
        return (
            seen and self.last is not None and self.last.host.capacity_bytes == self.capacity_bytes
        )

    def _set_aside_bytes(self) -> int:
        """Say what is kept for VMs that may be starting and are not there yet."""
        return sum(
            item.size_bytes
            for item in self.reservations.values()
            if item.guest in self.state.admitted and item.guest not in self.residents
        )
