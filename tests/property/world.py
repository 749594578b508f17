"""A small adversarial world: guests whose memory is real, and that obey as much as they like.

What a guest holds is kept apart from what is seen of it, and a move that was decided is kept until
it is delivered, in any order and late, as an engine may. Sizes are bytes on a grid of MiB.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from barostat.core.moves import Move, MoveKind
from barostat.core.observation import Depth, Devices, GuestObservation, PlugDevice, RunState
from barostat.core.statistics import Inside, Statistics
from barostat.hypervisors.base import BalloonWish, Wish
from barostat.hypervisors.movers import cancel_wishes, next_wishes, nudge_wishes, reachable_bytes
from barostat.units import MIB

KERNEL_BYTES = 32 * MIB
BLOCK_BYTES = 2 * MIB
THRASHED_BYTES = 50 * MIB
"""What a guest swaps in and out again between two looks while its memory does not suffice."""


@dataclass
class Guest:
    """One guest: it would hold `used_bytes` in memory if it could, and touch it all if `hot`."""

    name: str
    boot_bytes: int
    region_bytes: int
    deflate_on_oom: bool
    used_bytes: int
    disturbed_at_s: float
    run_state: RunState = RunState.RUNNING
    hot: bool = False
    mute: bool = False
    balloon_bytes: int = 0
    target_bytes: int | None = None
    plugged_bytes: int = 0
    requested_bytes: int = 0
    swap_in_bytes: int = 0
    swap_out_bytes: int = 0
    swapped_bytes: int = 0
    pending: Move | None = None
    before_reset_bytes: int = 0
    seen: GuestObservation | None = field(default=None, repr=False)
    inside: Inside | None = None
    heard_by: Depth = Depth.BALLOON

    def __post_init__(self) -> None:
        """A guest begins with its balloon empty, and asked for nothing else."""
        self.target_bytes = self.boot_bytes
        self._page()

    @property
    def devices(self) -> Devices:
        """What its hypervisor knows. Until it has booted again, that is the old balloon."""
        booting = self.run_state is RunState.BOOTING
        balloon = self.before_reset_bytes if booting else self.balloon_bytes
        plug = PlugDevice(
            name="vm0",
            requested_bytes=self.requested_bytes,
            size_bytes=self.plugged_bytes,
            maximum_bytes=self.region_bytes,
            block_bytes=BLOCK_BYTES,
        )
        return Devices(
            boot_bytes=self.boot_bytes,
            balloon_actual_bytes=self.boot_bytes - balloon,
            balloon_target_bytes=self.target_bytes,
            deflate_on_oom=self.deflate_on_oom,
            plugs=(plug,) if self.region_bytes else (),
        )

    @property
    def actual_bytes(self) -> int:
        """What it really has."""
        return self.boot_bytes - self.balloon_bytes + self.plugged_bytes

    @property
    def may_have_bytes(self) -> int:
        """The most it has, or may take, without anything being decided again."""
        target = self.boot_bytes if self.target_bytes is None else self.target_bytes
        left = max(target, self.boot_bytes - self.balloon_bytes)
        if self.run_state is RunState.BOOTING:
            left = self.boot_bytes
        wished = left + max(self.requested_bytes, self.plugged_bytes)
        granted = 0
        if self.pending is not None and self.pending.kind is not MoveKind.CANCEL:
            granted = self.pending.to_bytes
        return max(wished, granted)

    @property
    def available_bytes(self) -> int:
        """What its kernel could give without paging."""
        return max(0, self.actual_bytes - KERNEL_BYTES - (self.used_bytes - self.swapped_bytes))

    def look(self, now_s: float) -> GuestObservation:
        """See it; a mute one repeats nothing, one out of reach is as it was last seen."""
        last = self.seen
        if self.run_state is RunState.UNREACHABLE and last is not None:
            return GuestObservation(
                name=self.name,
                run_state=RunState.UNREACHABLE,
                devices=last.devices,
                statistics=last.statistics,
                seen_at_s=last.seen_at_s,
                statistics_at_s=last.statistics_at_s,
                disturbed_at_s=last.disturbed_at_s,
            )
        silent = self.mute or self.run_state in {RunState.PAUSED, RunState.BOOTING}
        fresh = not silent or last is None
        said = self._statistics() if fresh or last is None else last.statistics
        spoke_s = now_s if fresh or last is None else last.statistics_at_s
        self.seen = GuestObservation(
            name=self.name,
            run_state=self.run_state,
            devices=self.devices,
            statistics=None if self.run_state is RunState.BOOTING else said,
            seen_at_s=now_s,
            statistics_at_s=spoke_s,
            disturbed_at_s=self.disturbed_at_s,
            inside=self.inside,
            heard_by=self.heard_by,
        )
        return self.seen

    def _statistics(self) -> Statistics:
        inside = self.balloon_bytes if self.deflate_on_oom else 0
        return Statistics(
            total_bytes=self.actual_bytes + inside - KERNEL_BYTES,
            available_bytes=self.available_bytes,
            swap_in_bytes=self.swap_in_bytes,
            swap_out_bytes=self.swap_out_bytes,
        )

    def use(self, used_bytes: int) -> None:
        """Hold another amount of memory."""
        self.used_bytes = used_bytes
        self.swapped_bytes = min(self.swapped_bytes, used_bytes)
        self._page()

    def _page(self) -> None:
        """Swap out what does not fit; what is touched all the time comes back when it does."""
        fits = max(0, self.actual_bytes - KERNEL_BYTES)
        outside = max(0, self.used_bytes - fits)
        if not self.hot:
            outside = max(outside, self.swapped_bytes)
        self.swap_out_bytes += max(0, outside - self.swapped_bytes)
        self.swap_in_bytes += max(0, self.swapped_bytes - outside)
        self.swapped_bytes = outside

    def thrash(self) -> None:
        """Touch what is outside, if it is touched all the time: it trades places."""
        traded = min(self.swapped_bytes, THRASHED_BYTES) if self.hot else 0
        self.swap_in_bytes += traded
        self.swap_out_bytes += traded

    def hear(self) -> None:
        """Have what was decided arrive at its devices."""
        move = self.pending
        if move is None:
            return
        for wish in _wishes(move, self.devices):
            self._note(wish)
        if move.kind is MoveKind.CANCEL or _arrived(move, self.devices):
            self.pending = None

    def _note(self, wish: Wish) -> None:
        if isinstance(wish, BalloonWish):
            self.target_bytes = wish.target_bytes
        else:
            self.requested_bytes = wish.requested_bytes

    def obey(self, share: float) -> None:
        """Come nearer to what its devices were asked for, by a share of the way."""
        if self.run_state in {RunState.PAUSED, RunState.BOOTING} or self.target_bytes is None:
            return
        wanted = self.boot_bytes - self.target_bytes
        self.balloon_bytes += _part(wanted - self.balloon_bytes, share, MIB)
        self.plugged_bytes += _part(self.requested_bytes - self.plugged_bytes, share, BLOCK_BYTES)
        self._page()
        if self.pending is not None and _arrived(self.pending, self.devices):
            self.pending = None

    def deflate_itself(self, size_bytes: int) -> None:
        """Take memory back without asking."""
        self.balloon_bytes = max(0, self.balloon_bytes - size_bytes)
        self._page()

    def reset(self, now_s: float) -> None:
        """Boot again: all of its base RAM is its own, and nothing is plugged."""
        if self.run_state is not RunState.BOOTING:
            self.before_reset_bytes = self.balloon_bytes
        self.run_state, self.disturbed_at_s = RunState.BOOTING, now_s
        self.balloon_bytes = self.plugged_bytes = 0
        self.swap_in_bytes = self.swap_out_bytes = self.swapped_bytes = 0
        self._page()

    def enter(self, run_state: RunState, now_s: float) -> None:
        """Be paused, migrated, out of reach, or run again."""
        if run_state is RunState.RUNNING and self.run_state is not RunState.UNREACHABLE:
            self.disturbed_at_s = now_s
        self.run_state = run_state


def _part(distance: int, share: float, step: int) -> int:
    part = min(-int(-abs(distance) * share // step) * step, abs(distance))
    return part if distance > 0 else -part


def _arrived(move: Move, devices: Devices) -> bool:
    have, growing = devices.assigned_bytes, move.to_bytes > move.from_bytes
    if (have >= move.to_bytes) if growing else (have <= move.to_bytes):
        return True
    return have == reachable_bytes(devices, move.to_bytes, up=growing)


def _wishes(move: Move, devices: Devices) -> tuple[Wish, ...]:
    """Say what an engine would send for a move."""
    if move.kind is MoveKind.CANCEL:
        return cancel_wishes(devices)
    if _arrived(move, devices):
        return ()
    again = nudge_wishes(devices) if move.kind is MoveKind.NUDGE else ()
    return again or next_wishes(devices, move.to_bytes, fallback=move.by_balloon)
