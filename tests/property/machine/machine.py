"""Everything that may happen to a host and its guests, in any order. Each event is one rule.

Every step is one event, and most are followed by a pass: the state machine is as much about what
happens between two decisions as about how many happen.
"""

from __future__ import annotations

from functools import partial

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.property.machine.resident import Resident, moved_in, powered_on
from tests.property.machine.world import Then, World

from barostat.core.allocation import Mode
from barostat.core.observation import Reservation
from barostat.core.policy import Policy
from barostat.core.reasons import ReasonCode, because
from barostat.core.settings import MemorySettings
from barostat.hypervisors.simulated_spec import Character
from barostat.units import MIB

__all__ = ["Machine"]

NAMES = ("a", "b", "c", "d", "e")
CHARACTERS = [*Character, Character.IDEAL, Character.IDEAL]

whoever = st.integers(0, len(NAMES) - 1)
thens = st.sampled_from([*Then, Then.TICK, Then.TICK])
percents = st.integers(0, 160)
whiles = st.integers(1, 8)
boots_mib = st.sampled_from([256, 400, 512, 768, 1023])
characters = st.sampled_from(CHARACTERS)
kinds = st.integers(0, 39)


class Machine(RuleBasedStateMachine):
    """The world, and what may befall it."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(policy=Policy(), capacity_bytes=4096 * MIB)

    @initialize(
        guests=st.lists(st.tuples(boots_mib, characters, percents, kinds), min_size=1, max_size=5),
        capacity_percent=st.sampled_from([100, 105, 120, 150]),
        mode=st.sampled_from(Mode),
        witnessed=st.booleans(),
    )
    def begin(
        self,
        guests: list[tuple[int, Character, int, int]],
        capacity_percent: int,
        mode: Mode,
        witnessed: bool,
    ) -> None:
        self.world.policy, self.world.witnessed = Policy(mode=mode), witnessed
        for name, (boot_mib, character, percent, kind) in zip(NAMES, guests, strict=False):
            self._power_on(name, boot_mib, character, kind)
            resident = self.world.residents[name]
            resident.guest.use(_share(resident, percent))
        booted_mib = sum(boot_mib for boot_mib, *_ in guests)
        self.world.set_capacity(booted_mib * capacity_percent // 100 * MIB)
        self.world.go_on(Then.AFTER_SLEEP)

    def _some(self, who: int) -> Resident | None:
        """Pick a guest that is there."""
        there = sorted(self.world.residents)
        return self.world.residents[there[who % len(there)]] if there else None

    def _power_on(self, name: str, boot_mib: int, character: Character, kind: int) -> None:
        made = {"deflate_on_oom": kind % 4 != 0, "has_balloon": kind != 25}
        resident = powered_on(name, boot_mib, character, self.world.clock, **made)
        self.world.move_in(resident, _settings(boot_mib, kind))

    # What guests do.

    @rule(who=whoever, percent=percents, hot=st.booleans(), then=thens)
    def a_guest_uses(self, who: int, percent: int, hot: bool, then: Then) -> None:
        if resident := self._some(who):
            resident.guest.use(_share(resident, percent), hot_ratio=1.0 if hot else 0.3)
        self.world.go_on(then)

    @rule(percent=percents, much=st.integers(0, 31), then=thens)
    def all_guests_use(self, percent: int, much: int, then: Then) -> None:
        """Some need much, and the others next to nothing."""
        for number, resident in enumerate(self.world.residents.values()):
            used = percent if much >> number & 1 else percent // 4
            resident.guest.use(_share(resident, used))
        self.world.go_on(then)

    @rule(who=whoever, percent=percents, then=thens)
    def a_guest_reads_files(self, who: int, percent: int, then: Then) -> None:
        if resident := self._some(who):
            resident.guest.read(_share(resident, percent))
        self.world.go_on(then)

    @rule(who=whoever, then=thens)
    def a_guest_is_reset(self, who: int, then: Then) -> None:
        if (resident := self._some(who)) and not resident.unreachable:
            resident.reset()
            self.world.excused = self.world.excused or resident.unseen_bytes > 0
        self.world.go_on(then)

    @rule(who=whoever, then=thens)
    def a_guest_ends(self, who: int, then: Then) -> None:
        if resident := self._some(who):
            self.world.move_out(resident)
        self.world.go_on(then)

    # What is seen of them, for a while.

    @rule(who=whoever, passes=whiles, then=thens)
    def a_guest_is_seen_late(self, who: int, passes: int, then: Then) -> None:
        self._for_a_while(who, passes, "late")
        self.world.go_on(then)

    @rule(who=whoever, passes=whiles, then=thens)
    def statistics_are_frozen(self, who: int, passes: int, then: Then) -> None:
        self._for_a_while(who, passes, "mute")
        self.world.go_on(then)

    @rule(who=whoever, passes=whiles, then=thens)
    def a_guest_is_out_of_reach(self, who: int, passes: int, then: Then) -> None:
        self._for_a_while(who, passes, "unreachable")
        self.world.go_on(then)

    def _for_a_while(self, who: int, passes: int, trouble: str) -> None:
        if (resident := self._some(who)) and resident.view is not None:
            self.world.for_a_while(
                passes,
                lambda: setattr(resident, trouble, True),
                lambda: setattr(resident, trouble, False),
            )

    @rule(who=whoever, passes=whiles, then=thens)
    def a_guest_is_paused(self, who: int, passes: int, then: Then) -> None:
        if resident := self._some(who):
            self.world.for_a_while(passes, resident.guest.pause, resident.guest.resume)
        self.world.go_on(then)

    @rule(who=whoever, passes=whiles, succeeds=st.booleans(), then=thens)
    def a_guest_migrates(self, who: int, passes: int, succeeds: bool, then: Then) -> None:
        if resident := self._some(who):
            gone = partial(self.world.move_out, resident)
            self.world.for_a_while(passes, resident.migrate, gone if succeeds else resident.stay)
        self.world.go_on(then)

    # Who comes.

    @rule(
        name=st.sampled_from(NAMES),
        boot_mib=boots_mib,
        character=characters,
        kind=kinds,
        then=thens,
    )
    def a_vm_starts_unasked_or_is_let_start(
        self, name: str, boot_mib: int, character: Character, kind: int, then: Then
    ) -> None:
        """Of one that was admitted it is known how much it may take."""
        wanted = self.world.reservations.get(name)
        if name not in self.world.residents:
            if wanted is not None and name in self.world.state.admitted:
                boot_mib = wanted.size_bytes // MIB
                self._power_on(name, boot_mib, character, kind)
            elif kind % 8 == 0:
                self._power_on(name, boot_mib, character, kind)
        self.world.go_on(then)

    @rule(
        name=st.sampled_from(NAMES),
        boot_mib=boots_mib,
        character=characters,
        kind=kinds,
        sizes_mib=st.tuples(st.integers(0, 500), st.integers(0, 500)),
        then=thens,
    )
    def a_guest_migrates_in(  # noqa: PLR0917 - rules are called by name
        self,
        name: str,
        boot_mib: int,
        character: Character,
        kind: int,
        sizes_mib: tuple[int, int],
        then: Then,
    ) -> None:
        """Maybe in the place of one of that name, so that it was never seen to be gone.

        Its sizes are what its balloon holds, and what is plugged.
        """
        if name in self.world.residents:
            self.world.move_out(self.world.residents[name])
        resident = moved_in(
            name,
            boot_mib,
            character,
            self.world.clock,
            sizes_mib=sizes_mib,
            deflate_on_oom=kind % 4 != 0,
            has_balloon=True,
        )
        self.world.move_in(resident, _settings(boot_mib, kind))
        self.world.go_on(then)

    @rule(name=st.sampled_from(NAMES), size_mib=boots_mib, then=thens)
    def a_vm_wants_to_start(self, name: str, size_mib: int, then: Then) -> None:
        if name not in self.world.residents and name not in self.world.state.admitted:
            wanted = Reservation(guest=name, size_bytes=size_mib * MIB)
            self.world.reservations[name] = wanted
        self.world.go_on(then)

    @rule(name=st.sampled_from(NAMES), then=thens)
    def a_vm_will_not_start(self, name: str, then: Then) -> None:
        self.world.reservations.pop(name, None)
        self.world.go_on(then)

    # What operators and the host do.

    @rule(who=whoever, boot_mib=boots_mib, kind=kinds, then=thens)
    def a_guest_is_set_otherwise(self, who: int, boot_mib: int, kind: int, then: Then) -> None:
        """Maybe to what cannot be used."""
        if resident := self._some(who):
            self.world.settings[resident.name] = _settings(boot_mib, kind)
        self.world.go_on(then)

    @rule(who=whoever, passes=whiles, then=thens)
    def a_guest_turns_out_to_free_nothing(self, who: int, passes: int, then: Then) -> None:
        if resident := self._some(who):
            unfit, why = self.world.unfit, because(ReasonCode.HUGEPAGES)
            held = partial(unfit.update, {resident.name: why})
            self.world.for_a_while(passes, held, partial(unfit.pop, resident.name, None))
        self.world.go_on(then)

    @rule(passes=whiles, then=thens)
    def the_host_is_held(self, passes: int, then: Then) -> None:
        self.world.for_a_while(passes, partial(self._hold, True), partial(self._hold, False))
        self.world.go_on(then)

    def _hold(self, paused: bool) -> None:
        self.world.paused = paused

    @rule(percent=st.integers(60, 180), then=thens)
    def the_host_has_another_capacity(self, percent: int, then: Then) -> None:
        booted_bytes = sum(item.guest.spec.boot_bytes for item in self.world.residents.values())
        self.world.set_capacity(booted_bytes * percent // 100)
        self.world.go_on(then)

    @rule(passes=whiles, wanted_mib=st.sampled_from([0, 16, 600, 4000]), then=thens)
    def the_host_brakes(self, passes: int, wanted_mib: int, then: Then) -> None:
        brake, let_go = partial(self._brake, wanted_mib * MIB), partial(self._brake, None)
        self.world.for_a_while(passes, brake, let_go)
        self.world.go_on(then)

    def _brake(self, wanted_bytes: int | None) -> None:
        self.world.granting = wanted_bytes is None
        self.world.wanted_back_bytes = wanted_bytes or 0

    @rule(then=thens)
    def the_daemon_is_killed_and_started(self, then: Then) -> None:
        self.world.restart()
        self.world.go_on(then)

    # Nothing but decisions.

    @rule(then=thens)
    def nothing_happens(self, then: Then) -> None:
        self.world.go_on(then)

    @rule(then=thens, times=st.integers(2, 6))
    def nothing_happens_for_a_while(self, then: Then, times: int) -> None:
        for _ in range(times):
            self.world.go_on(then)

    @rule(some=st.integers(1, 31), wait_s=st.sampled_from([0.0, 0.1, 0.6, 4.0]), then=thens)
    def some_cannot_wait(self, some: int, wait_s: float, then: Then) -> None:
        self.world.pass_time(wait_s, then.value[1])
        self.world.hurry([name for bit, name in enumerate(NAMES) if some >> bit & 1])
        self.world.go_on(then)

    @invariant()
    def all_is_well(self) -> None:
        self.world.check()


def _share(resident: Resident, percent: int) -> int:
    return resident.guest.spec.boot_bytes * percent // 100


def _settings(boot_mib: int, kind: int) -> MemorySettings | None:
    """Make settings: most can be used, some hold the guest, some break a rule."""
    if kind == 14:
        return None
    return MemorySettings(
        startup_bytes=boot_mib * MIB,
        minimum_bytes=boot_mib * MIB // (1 + kind % 3) if kind != 13 else 2 * boot_mib * MIB,
        maximum_bytes=(boot_mib + 100 * (kind % 10)) * MIB,
        buffer_percent=(5, 20, 100)[kind % 3],
        weight=(0, 5000, 10_000, 5000)[kind % 4],
        enabled=kind != 12,
        paused=kind == 11,
    )
