"""What was seen of guests and host, and when. A decision sees one frozen `Snapshot` and no more.

Everything that a guest says of itself is untrusted: `read_statistics` is the only way from a
guest's words to a `Statistics`, and it answers None where they cannot be true. All times are
seconds on the snapshot's own monotonic clock; all sizes are bytes.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from barostat.core.reasons import Reason
from barostat.core.settings import MemorySettings

__all__ = [
    "Devices",
    "GuestObservation",
    "HostObservation",
    "PlugDevice",
    "Reservation",
    "RunState",
    "Snapshot",
    "Statistics",
    "read_statistics",
]

UNKNOWN: Final = 2**64 - 1
"""How QEMU says "the guest never told me": -1 in an unsigned 64-bit field."""

TOTAL_TOLERANCE_RATIO: Final = 1.01
"""A guest's total is below its configured size; above it by more than this it is a lie."""


class RunState(enum.Enum):
    """What the hypervisor says a guest is doing."""

    RUNNING = "running"
    BOOTING = "booting"  # runs, but its balloon driver has not spoken since boot or reset
    PAUSED = "paused"
    MIGRATING = "migrating"  # migration or save in progress
    UNREACHABLE = "unreachable"  # its hypervisor does not answer; it is counted as last seen


@dataclass(frozen=True, slots=True, kw_only=True)
class PlugDevice:
    """One virtio-mem device: how much of its region is plugged, and how much was asked for."""

    name: str
    requested_bytes: int
    size_bytes: int
    maximum_bytes: int
    block_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Devices:
    """What a guest's memory is made of, as its hypervisor knows it.

    Attributes:
        boot_bytes: base RAM, there from the start.
        balloon_actual_bytes: what the balloon leaves of the base RAM (QEMU's "actual": base RAM
            minus balloon; virtio-mem is not in it).
        balloon_target_bytes: what was last asked of the balloon, in the same terms; None while
            nobody knows (nothing was asked since we attached).
        has_balloon: a balloon device is there (its driver may not be).
        deflate_on_oom: the balloon gives way before the guest's kernel kills; then ballooned
            pages stay inside the guest's own total.
        plugs: the virtio-mem devices, none or one for each virtual NUMA node.
    """

    boot_bytes: int
    balloon_actual_bytes: int
    balloon_target_bytes: int | None = None
    has_balloon: bool = True
    deflate_on_oom: bool = False
    plugs: tuple[PlugDevice, ...] = ()

    @property
    def balloon_bytes(self) -> int:
        """How much the balloon holds."""
        return self.boot_bytes - self.balloon_actual_bytes

    @property
    def plugged_bytes(self) -> int:
        """How much is plugged by virtio-mem now."""
        return sum(plug.size_bytes for plug in self.plugs)

    @property
    def requested_bytes(self) -> int:
        """How much was asked of virtio-mem."""
        return sum(plug.requested_bytes for plug in self.plugs)

    @property
    def assigned_bytes(self) -> int:
        """What the guest has now: base RAM minus balloon plus plugged."""
        return self.balloon_actual_bytes + self.plugged_bytes

    @property
    def wished_bytes(self) -> int:
        """What the guest may take without asking again, as far as its hypervisor knows.

        An unknown balloon target counts as all of the base RAM.
        """
        target = self.balloon_target_bytes
        base = self.boot_bytes if target is None else target
        plugged = sum(max(plug.requested_bytes, plug.size_bytes) for plug in self.plugs)
        return max(base, self.balloon_actual_bytes) + plugged

    @property
    def ceiling_bytes(self) -> int:
        """The largest size that the devices allow."""
        return self.boot_bytes + sum(plug.maximum_bytes for plug in self.plugs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """What a guest's balloon driver said of its memory, after `read_statistics` looked it over.

    Counters run since the guest's boot. None means that this guest's driver or QEMU does not
    know the figure.
    """

    total_bytes: int
    available_bytes: int
    disk_caches_bytes: int | None = None
    swap_in_bytes: int = 0
    swap_out_bytes: int = 0
    major_faults: int = 0
    oom_kills: int | None = None
    alloc_stalls: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestObservation:
    """One guest as it was seen.

    Attributes:
        name: unique on the host.
        run_state: what the hypervisor says it is doing.
        devices: its sizes when it was last seen.
        statistics: its own words, or None when it has said nothing that can be true.
        seen_at_s: when its hypervisor last answered.
        statistics_at_s: when the statistics were new; meaningless without statistics.
        disturbed_at_s: when it was last booted, reset, resumed or migrated, or first seen.
    """

    name: str
    run_state: RunState
    devices: Devices
    statistics: Statistics | None
    seen_at_s: float
    statistics_at_s: float
    disturbed_at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HostObservation:
    """The box.

    Attributes:
        capacity_bytes: all that may be handed out to guests at this moment.
        granting: False while the host itself is short: then no guest grows.
        wanted_back_bytes: what guests must give back to the host itself.
        alarms: what is wrong with the host, beside what the ledger finds.
        unfit: by guest, why the host cannot have back what that guest gives.
    """

    capacity_bytes: int
    granting: bool = True
    wanted_back_bytes: int = 0
    alarms: tuple[Reason, ...] = ()
    unfit: Mapping[str, Reason] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """Memory that a VM about to start needs; counted as promised from the moment it fits."""

    guest: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All that one decision may know.

    Attributes:
        now_s: the moment of the decision.
        host: the box.
        guests: every guest, in the order of their names.
        settings: by guest; a guest without settings is held at its size.
        settings_faults: by guest, a sentence for settings that cannot be used.
        reservations: VMs that wait for their startup memory.
        paused: the operator holds every guest of the host.
    """

    now_s: float
    host: HostObservation
    guests: tuple[GuestObservation, ...]
    settings: Mapping[str, MemorySettings] = field(default_factory=dict)
    settings_faults: Mapping[str, str] = field(default_factory=dict)
    reservations: tuple[Reservation, ...] = ()
    paused: bool = False


def read_statistics(raw: Mapping[str, object], *, limit_bytes: int) -> Statistics | None:
    """Turn a guest's balloon statistics into figures that can be true.

    Args:
        raw: keys as QEMU names them ("stat-total-memory", ...); bytes, or counts for faults.
        limit_bytes: the most that this guest can have (base RAM plus what is or may be plugged).

    Returns:
        The statistics, or None if a needed figure is missing or they contradict themselves:
        nonsense is "no data", never "rich".
    """

    def known(key: str) -> int | None:
        value = raw.get(f"stat-{key}")
        if isinstance(value, bool) or not isinstance(value, int):
            return None
        return value if 0 <= value < UNKNOWN else None

    total, free = known("total-memory"), known("free-memory")
    caches = known("disk-caches")
    available = known("available-memory")
    if total is None or not 0 < total <= limit_bytes * TOTAL_TOLERANCE_RATIO:
        return None
    if free is not None and free > total:
        return None
    if available is None and free is not None:
        # Kernels before 4.6 say no "available": most, not all, of the cache can be dropped.
        available = min(total, free + (7 * min(caches or 0, total)) // 10)
    if available is None or available > total:
        return None
    return Statistics(
        total_bytes=total,
        available_bytes=available,
        disk_caches_bytes=None if caches is None else min(caches, total),
        swap_in_bytes=known("swap-in") or 0,
        swap_out_bytes=known("swap-out") or 0,
        major_faults=known("major-faults") or 0,
        oom_kills=known("oom-kills"),
        alloc_stalls=known("alloc-stalls"),
    )
