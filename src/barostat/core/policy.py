"""The numbers by which `decide` acts, each with its reason. An operator may change any of them."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from barostat.core.allocation import Mode
from barostat.units import GIB, MIB

__all__ = ["DemandPolicy", "DemandSource", "Policy"]


class DemandSource(enum.Enum):
    """What a guest's demand is made of."""

    USED = "used"  # what it uses and cannot drop
    COMMITTED = "committed"  # what its programs were promised: Hyper-V's own definition


@dataclass(frozen=True, slots=True, kw_only=True)
class DemandPolicy:
    """What counts as a guest's need. Most of it takes a program in the guest that says so.

    Attributes:
        source: what demand is made of; a guest that does not say what it committed to is judged
            by what it uses.
        stall_ratio: a guest that waits for memory for more than this share of the time needs more
            (senpai's target: 10 ms in 6 s).
        stall_gain: at this many times that share it needs twice what it has; below it the square
            of the share decides (senpai's law).
        stall_hold_s: nothing is taken back from it within this time, unless memory is short; and
            nothing is trimmed from a guest that was not calm for as long.
        adaptive: have each guest's buffer grow with every demand above what it should have had,
            and shrink with every one below, so that in the long run, while there is enough for
            all, no more than `short_share` of the ticks find it short. It never falls below the
            guest's own buffer.
        short_share: that share.
        adaptive_step: how much a tick that finds it short adds to the buffer, as a share of the
            demand.
        adaptive_cap: with a buffer larger than its own by this share of the demand, the guest gets
            its maximum.
        trim: have a guest that does not stall page out what it does not use, a little at a time;
            takes Barostat's agent in it.
        trim_ratio, trim_s: by this share of its size in this time (senpai's pace).
        trim_stall_ratio: and only while it waits for memory for less than this share of the time.
        trim_half_life_s: the size at which it began to wait is kept clear of, and forgotten with
            this half-life.
    """

    source: DemandSource = DemandSource.USED
    stall_ratio: float = 1 / 600
    stall_gain: float = 20.0
    stall_hold_s: float = 60.0
    adaptive: bool = False
    short_share: float = 0.01
    adaptive_step: float = 0.02
    adaptive_cap: float = 2.0
    trim: bool = False
    trim_ratio: float = 0.01
    trim_s: float = 6.0
    trim_stall_ratio: float = 0.001
    trim_half_life_s: float = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How fast, how far, how careful. Sizes in bytes, times in seconds, shares as ratios.

    Attributes:
        mode: what is made equal when memory is short (see `allocation.Mode`).
        tick_s: time between two decisions; guests report once a second, as Hyper-V's do.
        half_life_s: how long a fallen demand is remembered while there is plenty: measured on
            build hosts, 300 s cuts shortages most.
        tight_half_life_s: the same while memory is short: remembering costs others then.
        growth_half_life_s: how long a burst of growth is remembered as head-room.
        latency_s: from a decision to memory in the guest; growth during it is given ahead.
        growth_cap_ratio: head-room for growth is at most this share of the demand.
        minute_s: swapped-out or dropped pages that come back within it are demand.
        pool_low_ratio, pool_high_ratio: bounds, as shares of the capacity, of the memory kept in
            hand so that an urgent grow need not wait for a shrink.
        dead_band_ratio, dead_band_low_bytes, dead_band_high_bytes: differences below this share
            of a guest's size (within the bounds) are not worth a move.
        urgent_ratio: a guest whose demand is above this share of its size does not wait for the
            dead-band.
        distress_ratio: a guest with less of its memory available than this, and paging, is in
            distress; what it needs cannot be seen then, so it is offered twice what it has.
        trickle_ratio, trickle_s: memory that nobody waits for is taken back by this share of the
            guest's size in this time.
        grow_hold_s: and not before this time has gone since the guest last grew.
        spare_ratio: one step takes at most this share of what the guest has available.
        floor_ratio, floor_low_bytes: what a shrink leaves available in the guest.
        wide_floor_ratio: the same for a guest whose balloon does not give way before its kernel
            kills (no deflate-on-oom).
        paging_ratio, paging_low_bytes: under shortage, what one step takes below the demand.
        step_high_bytes: no shrink step is larger.
        settle_s: nothing shrinks within this time of a boot, reset, resume, migration or first
            sight.
        stale_s: statistics older than this are no reason to move.
        fresh_ratio: statistics younger than this share of a tick are of the same moment as the
            sizes seen with them.
        stuck_s: no progress for this long marks a guest as stuck.
        progress_ratio: coming nearer by less than this share of what is left is no progress: a
            guest that gives a page now and then must not keep others waiting for hours.
        nudge_s: after this long without progress the wish is written again.
        rest_low_s, rest_high_s: a guest that did not give is left alone for the first time, twice
            as long after each further failure, and never longer than the second. One that did not
            take what it was granted rests in the same way, for stuck_s at first.
        demand: what counts as a guest's need.
    """

    mode: Mode = Mode.PRESSURE
    tick_s: float = 1.0
    half_life_s: float = 300.0
    tight_half_life_s: float = 60.0
    growth_half_life_s: float = 60.0
    latency_s: float = 0.5
    growth_cap_ratio: float = 1.0
    minute_s: float = 60.0
    pool_low_ratio: float = 0.02
    pool_high_ratio: float = 0.10
    dead_band_ratio: float = 0.05
    dead_band_low_bytes: int = 8 * MIB
    dead_band_high_bytes: int = 128 * MIB
    urgent_ratio: float = 0.9
    distress_ratio: float = 0.05
    trickle_ratio: float = 0.05
    trickle_s: float = 10.0
    grow_hold_s: float = 60.0
    spare_ratio: float = 0.5
    floor_ratio: float = 0.03
    floor_low_bytes: int = 12 * MIB
    wide_floor_ratio: float = 0.10
    paging_ratio: float = 0.10
    paging_low_bytes: int = 32 * MIB
    step_high_bytes: int = 2 * GIB
    settle_s: float = 10.0
    stale_s: float = 5.0
    fresh_ratio: float = 0.25
    stuck_s: float = 5.0
    progress_ratio: float = 0.05
    nudge_s: float = 2.5
    rest_low_s: float = 30.0
    rest_high_s: float = 600.0
    demand: DemandPolicy = DemandPolicy()

    def dead_band_bytes(self, size_bytes: int) -> int:
        """Say below which difference a guest of this size is left alone."""
        share = int(size_bytes * self.dead_band_ratio)
        return max(self.dead_band_low_bytes, min(share, self.dead_band_high_bytes))
