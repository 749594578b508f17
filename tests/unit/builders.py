"""What the core's tests are built of: guests as they are seen, in MiB where a test gives a size.

A guest is described by what it has and what it uses; what it says follows from that, as it does in
a Linux guest: its kernel hides 64 MiB, and ballooned pages stay inside its total where the balloon
gives way before an OOM kill.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from barostat.core.cooperation import Verdict
from barostat.core.decide import Decision, GuestDecision, State, decide
from barostat.core.moves import Line
from barostat.core.observation import (
    Depth,
    Devices,
    GuestObservation,
    HostObservation,
    PlugDevice,
    Reservation,
    RunState,
    Snapshot,
)
from barostat.core.policy import Policy
from barostat.core.reasons import Reason, ReasonCode
from barostat.core.settings import MemorySettings
from barostat.core.statistics import Inside, Statistics
from barostat.units import MIB

KERNEL_MIB = 64
POLICY = Policy()


def devices(
    boot: int = 1024,
    *,
    balloon: int = 0,
    target: int | None = -1,
    plugged: int = 0,
    requested: int | None = None,
    region: int = 1024,
    block: int = 2,
    deflate: bool = True,
) -> Devices:
    """Devices; by default asked for exactly what they have. `target` None: nobody knows."""
    left = boot - balloon
    plug = PlugDevice(
        name="vm0",
        requested_bytes=(plugged if requested is None else requested) * MIB,
        size_bytes=plugged * MIB,
        maximum_bytes=region * MIB,
        block_bytes=block * MIB,
    )
    asked = left if target == -1 else target
    return Devices(
        boot_bytes=boot * MIB,
        balloon_actual_bytes=left * MIB,
        balloon_target_bytes=None if asked is None else asked * MIB,
        deflate_on_oom=deflate,
        plugs=(plug,) if region else (),
    )


def statistics(has: Devices, used: int, **figures: int | None) -> Statistics:
    """What a guest with these devices says when it uses so many MiB."""
    counted = (has.boot_bytes if has.deflate_on_oom else has.balloon_actual_bytes) // MIB
    total = counted + has.plugged_bytes // MIB - KERNEL_MIB
    inside = has.balloon_bytes // MIB if has.deflate_on_oom else 0
    said = Statistics(total_bytes=total * MIB, available_bytes=max(0, total - inside - used) * MIB)
    return replace(said, **figures) if figures else said  # type: ignore[arg-type]


def guest(
    name: str = "web",
    *,
    used: int = 400,
    has: Devices | None = None,
    at: float = 100.0,
    says: Statistics | None = None,
    run_state: RunState = RunState.RUNNING,
    disturbed: float = 0.0,
) -> GuestObservation:
    """A guest that was seen, and spoke, just now."""
    has = devices() if has is None else has
    return GuestObservation(
        name=name,
        run_state=run_state,
        devices=has,
        statistics=statistics(has, used) if says is None else says,
        seen_at_s=at,
        statistics_at_s=at,
        disturbed_at_s=disturbed,
    )


def heard(
    seen: GuestObservation,
    *,
    by: Depth = Depth.AGENT,
    at: float | None = None,
    **said: int,
) -> GuestObservation:
    """The same guest, of which a program in it said something: bytes, or microseconds."""
    inside = Inside(at_s=seen.statistics_at_s if at is None else at, **said)
    return replace(seen, inside=inside, heard_by=by)


def settings(
    minimum: int = 256,
    maximum: int = 2048,
    *,
    startup: int = 1024,
    buffer: int = 20,
    weight: int = 5000,
    enabled: bool = True,
    paused: bool = False,
) -> MemorySettings:
    return MemorySettings(
        startup_bytes=startup * MIB,
        minimum_bytes=minimum * MIB,
        maximum_bytes=maximum * MIB,
        buffer_percent=buffer,
        weight=weight,
        enabled=enabled,
        paused=paused,
    )


def line(guest: str = "web", *, target: int = 1000, actual: int = 1000, **other: object) -> Line:
    """A plan's line: at rest, with half of its memory available, unless told otherwise."""
    known: dict[str, object] = {
        "guest": guest,
        "actual_bytes": actual * MIB,
        "plugged_bytes": 0,
        "goal_bytes": actual * MIB,
        "demand_bytes": actual // 2 * MIB,
        "buffered_bytes": target * MIB,
        "want_bytes": target * MIB,
        "available_bytes": actual // 2 * MIB,
        "floor_bytes": 32 * MIB,
        "pageable_bytes": actual * MIB,
        "minimum_bytes": 128 * MIB,
        "maximum_bytes": 4096 * MIB,
        "granularity_bytes": 2 * MIB,
        "dead_band_bytes": POLICY.dead_band_bytes(actual * MIB),
        "buffer_percent": 20,
        "weight": 5000,
        "growth_bytes_per_s": 0.0,
        "distressed": False,
        "pressing": False,
        "urgent": False,
        "verdict": Verdict.IDLE,
        "by_balloon": False,
        "stay": None,
        "refuse": None,
        "foreign": False,
        "stuck_plug": False,
        "grown_at_s": float("-inf"),
        "shrunk_at_s": float("-inf"),
        "target_bytes": target * MIB,
    }
    sizes = {
        name: value * MIB
        for name, value in other.items()
        if isinstance(value, int) and name.endswith("_bytes")
    }
    return Line(**{**known, **other, **sizes})  # type: ignore[arg-type]


@dataclass
class Host:
    """A host that is looked at again and again; `tick` decides on guests as they are seen."""

    capacity: int = 8192
    policy: Policy = POLICY
    state: State = field(default_factory=State)
    settings: dict[str, MemorySettings] = field(default_factory=dict)

    def tick(
        self,
        *guests: GuestObservation,
        at: float = 100.0,
        reservations: Sequence[Reservation] = (),
        faults: Mapping[str, str] | None = None,
        granting: bool = True,
        wanted_back: int = 0,
        alarms: Sequence[Reason] = (),
        unfit: Mapping[str, Reason] | None = None,
        hurried: Sequence[str] = (),
        in_use: Mapping[str, int] | None = None,
    ) -> Decision:
        """Decide, and remember. Guests without settings of their own get the usual ones."""
        known = {seen.name: self.settings.get(seen.name, settings()) for seen in guests}
        for name in faults or {}:
            known.pop(name, None)
        snapshot = Snapshot(
            now_s=at,
            host=HostObservation(
                capacity_bytes=self.capacity * MIB,
                granting=granting,
                wanted_back_bytes=wanted_back * MIB,
                alarms=tuple(alarms),
                unfit=unfit or {},
                in_use=in_use or {},
            ),
            guests=tuple(sorted(guests, key=lambda seen: seen.name)),
            settings=known,
            settings_faults=faults or {},
            reservations=tuple(reservations),
            hurried=frozenset(hurried),
        )
        decision = decide(snapshot, self.state, self.policy)
        self.state = decision.state
        return decision


def of(decision: Decision, name: str = "web") -> GuestDecision:
    return next(item for item in decision.guests if item.guest == name)


def codes(decision: Decision, name: str = "web") -> list[ReasonCode]:
    return [reason.code for reason in of(decision, name).reasons]
