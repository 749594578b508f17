"""What was seen of guests and host, and when. A decision sees one frozen `Snapshot` and no more.

What a guest says of itself stands in `statistics`. All times are seconds on the snapshot's own
monotonic clock; all sizes are bytes.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from barostat.core.reasons import Reason
from barostat.core.settings import DEFAULT_WEIGHT, MemorySettings
from barostat.core.statistics import Inside, Statistics

__all__ = [
    "Depth",
    "Devices",
    "GuestObservation",
    "HostObservation",
    "PlugDevice",
    "Reservation",
    "RunState",
    "Snapshot",
]


class RunState(enum.Enum):
    """What the hypervisor says a guest is doing."""

    RUNNING = "running"
    BOOTING = "booting"  # runs, but its balloon driver has not spoken since boot or reset
    PAUSED = "paused"
    MIGRATING = "migrating"  # migration or save in progress
    UNREACHABLE = "unreachable"  # its hypervisor does not answer; it is counted as last seen


class Depth(enum.Enum):
    """How deep one can look into a guest, from outside to within."""

    STATIC = "static"  # it says nothing: counted at its size, never moved
    BALLOON = "balloon"  # its balloon driver's statistics
    QGA = "qga"  # and what qemu-guest-agent reads from its /proc
    AGENT = "agent"  # and what Barostat's own agent in it says, by itself and at once


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
        inside: what a program in the guest said beyond that, as far as it is not too old.
        heard_by: who said it; BALLOON while there is no such program, or it is not believed.
        unfit: why the host cannot have back what it gives, as far as its hypervisor knows.
    """

    name: str
    run_state: RunState
    devices: Devices
    statistics: Statistics | None
    seen_at_s: float
    statistics_at_s: float
    disturbed_at_s: float
    inside: Inside | None = None
    heard_by: Depth = Depth.BALLOON
    unfit: Reason | None = None

    def counted_at(self, size_bytes: int) -> GuestObservation:
        """Give the guest as one of a fixed size that says nothing: its hypervisor is not believed.

        Args:
            size_bytes: what the host sees of it.
        """
        fixed = Devices(
            boot_bytes=size_bytes,
            balloon_actual_bytes=size_bytes,
            balloon_target_bytes=size_bytes,
            has_balloon=False,
        )
        return replace(self, devices=fixed, statistics=None, inside=None, heard_by=Depth.BALLOON)

    @property
    def depth(self) -> Depth:
        """How deep one can look into it now."""
        return Depth.STATIC if self.statistics is None else self.heard_by


@dataclass(frozen=True, slots=True, kw_only=True)
class HostObservation:
    """The box.

    Attributes:
        capacity_bytes: all that may be handed out to guests at this moment.
        granting: False while the host itself is short: then no guest grows.
        wanted_back_bytes: what guests must give back to the host itself.
        alarms: what is wrong with the host, beside what the ledger finds.
        unfit: by guest, why the host cannot have back what that guest gives.
        in_use: by guest, the most that it can be using, in bytes, as far as the host can tell.
        pageable: by guest that boots, how much of its memory the host could page for it.
        unpageable: by guest that boots, why the host cannot.
        counted: by guest whose hypervisor's word on its size cannot be true, at what it is counted
            instead, in bytes.
    """

    capacity_bytes: int
    granting: bool = True
    wanted_back_bytes: int = 0
    alarms: tuple[Reason, ...] = ()
    unfit: Mapping[str, Reason] = field(default_factory=dict)
    in_use: Mapping[str, int] = field(default_factory=dict)
    pageable: Mapping[str, int] = field(default_factory=dict)
    unpageable: Mapping[str, str] = field(default_factory=dict)
    counted: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """Memory that a VM about to start needs; counted as promised from the moment it fits.

    Attributes:
        guest: the VM's name.
        size_bytes: its startup.
        weight: its rank: what lighter guests need may be taken for it, down to their shares.
    """

    guest: str
    size_bytes: int
    weight: int = DEFAULT_WEIGHT


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
        hurried: guests that cannot wait for their turn. If there are any, this is decided out of
            turn, for them alone: nobody else is moved.
    """

    now_s: float
    host: HostObservation
    guests: tuple[GuestObservation, ...]
    settings: Mapping[str, MemorySettings] = field(default_factory=dict)
    settings_faults: Mapping[str, str] = field(default_factory=dict)
    reservations: tuple[Reservation, ...] = ()
    paused: bool = False
    hurried: frozenset[str] = frozenset()
