"""A simulated guest and what stands between it and its observer: lost words, late looks, moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from barostat.core.observation import Devices, GuestObservation, RunState
from barostat.hypervisors.simulated import SimulatedGuest, SimulatedSpec
from barostat.hypervisors.simulated_spec import Character
from barostat.units import MIB

__all__ = ["REGION_BYTES", "Resident", "moved_in", "powered_on"]

REGION_BYTES = 1024 * MIB
BOOT_S = 6.0
"""Long enough to be looked at, and lost sight of, while it lasts."""


@dataclass
class Resident:
    """A guest of the machine's world.

    Attributes:
        migrating, unreachable: what its hypervisor says; it goes on moving meanwhile.
        mute: its statistics are those of its last word.
        late: it is seen as at the last look.
        balloon_before_bytes: the balloon of its life before the reset, while it boots.
        taken_bytes: what it, or its fate, took without being granted it, ever.
        seen_bytes: how much of that was so at the last look.
        view: the last look.
    """

    guest: SimulatedGuest
    migrating: bool = False
    unreachable: bool = False
    mute: bool = False
    late: bool = False
    balloon_before_bytes: int = 0
    taken_bytes: int = 0
    seen_bytes: int = 0
    view: GuestObservation | None = None

    @property
    def name(self) -> str:
        return self.guest.spec.name

    @property
    def actual_bytes(self) -> int:
        """What it really has."""
        return self.guest.memory.actual_bytes + self.guest.memory.plugged_bytes

    @property
    def may_have_bytes(self) -> int:
        """What it really has, or may take by what its devices were told."""
        memory = self.guest.memory
        base = max(memory.target_bytes, memory.actual_bytes)
        return base + max(memory.requested_bytes, memory.plugged_bytes)

    @property
    def asked_bytes(self) -> int:
        """What it is on its way to, as far as anybody alive knows what was asked of it."""
        target_bytes, memory = self.guest._target_bytes, self.guest.memory
        base = memory.actual_bytes if target_bytes is None else memory.target_bytes
        return base + memory.requested_bytes

    @property
    def unseen_bytes(self) -> int:
        """What it took that the last look did not show."""
        return self.taken_bytes - self.seen_bytes

    def advance(self) -> None:
        """Catch up with the clock. What it may have only grows if it helps itself."""
        before_bytes = self.may_have_bytes
        self.guest.advance()
        self.taken_bytes += max(0, self.may_have_bytes - before_bytes)

    def reset(self) -> None:
        """Boot anew; until its driver is loaded its balloon is said to be as it was."""
        if self.guest.loaded:
            self.balloon_before_bytes = self.guest.memory.balloon_bytes
        before_bytes = self.may_have_bytes
        self.guest.reset()
        self.taken_bytes += max(0, self.may_have_bytes - before_bytes)

    def devices(self) -> Devices:
        """Say what its hypervisor knows of its devices."""
        self.guest.advance()
        return self._as_told(self.guest.devices())

    def _as_told(self, devices: Devices) -> Devices:
        if self.guest.loaded:
            return devices
        left_bytes = devices.boot_bytes - self.balloon_before_bytes
        return replace(devices, balloon_actual_bytes=left_bytes)

    def look(self, now_s: float) -> GuestObservation:
        """See it, or what is taken for it."""
        last = self.view
        if last is not None and self.unreachable:
            self.view = replace(last, run_state=RunState.UNREACHABLE)
            return self.view
        if last is not None and self.late and last.run_state is not RunState.UNREACHABLE:
            return last
        self.view = self._fresh(last, now_s)
        self.seen_bytes = self.taken_bytes
        return self.view

    def _fresh(self, last: GuestObservation | None, now_s: float) -> GuestObservation:
        seen = self.guest.observe(now_s=now_s)
        seen = replace(seen, devices=self._as_told(seen.devices))
        if self.mute and last is not None and seen.statistics is not None:
            words, at_s = last.statistics, last.statistics_at_s
            seen = replace(seen, statistics=words, statistics_at_s=at_s)
        if self.migrating and seen.run_state is not RunState.PAUSED:
            seen = replace(seen, run_state=RunState.MIGRATING)
        return seen

    def in_use_bytes(self) -> int:
        """Say what the host sees in use of it."""
        return self.actual_bytes - min(self.actual_bytes, self.guest.memory.free_bytes)

    def forget_target(self) -> None:
        """Be attached to anew: nobody can be asked what was last asked of a balloon."""
        self.guest._target_bytes = None
        self.guest._stale = True
        self.view = None

    def migrate(self) -> None:
        """Begin to move to another host."""
        self.migrating = True

    def stay(self) -> None:
        """End a migration where it is: it failed, and that is a disturbance."""
        self.migrating = False
        self.guest.resume()


def powered_on(
    name: str, boot_mib: int, character: Character, clock: Callable[[], float], **made: bool
) -> Resident:
    """Make a guest that has just been started: all of its base RAM, nothing plugged."""
    return Resident(
        guest=SimulatedGuest(_spec(name, boot_mib, character, **made), clock=clock, seed=1)
    )


def moved_in(
    name: str,
    boot_mib: int,
    character: Character,
    clock: Callable[[], float],
    *,
    sizes_mib: tuple[int, int],
    **made: bool,
) -> Resident:
    """Make a guest that comes from another host, with its balloon and what is plugged."""
    spec = replace(_spec(name, boot_mib, character, **made), boot_s=0.0)
    resident = Resident(guest=SimulatedGuest(spec, clock=clock, seed=1))
    memory, (balloon_mib, plugged_mib) = resident.guest.memory, sizes_mib
    memory.actual_bytes = memory.target_bytes = (boot_mib - min(balloon_mib, boot_mib // 2)) * MIB
    memory.plugged_bytes = memory.requested_bytes = plugged_mib // 2 * 2 * MIB
    return resident


def _spec(
    name: str, boot_mib: int, character: Character, *, deflate_on_oom: bool, has_balloon: bool
) -> SimulatedSpec:
    return SimulatedSpec(
        name=name,
        boot_bytes=boot_mib * MIB,
        maximum_bytes=boot_mib * MIB + REGION_BYTES,
        character=character,
        deflate_on_oom=deflate_on_oom,
        has_balloon=has_balloon,
        boot_s=BOOT_S,
    )
