"""The memory of a guest that never was: what holds it, what gives it back, and how fast.

Time moves only in `advance`, in steps that do not depend on chance, so that the same orders at the
same times lead to the same sizes. The model keeps a Linux guest's habits that matter to Barostat:
the balloon and virtio-mem take free memory first, then page cache, then what can be swapped out,
and stop where there is no more; nothing is killed but for memory that the workload itself wants.
Rates are those of the lab's guests under emulation (reference: one 1-core guest, Linux 6.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from barostat.units import GIB, MIB

__all__ = ["PAGE_BYTES", "Rates", "SimulatedMemory"]

PAGE_BYTES: Final = 4096
KERNEL_BYTES: Final = 24 * MIB
KERNEL_RATIO: Final = 1 / 64
"""What the kernel uses: a base, and the page descriptors of all plugged memory."""

HIDDEN_BYTES: Final = 32 * MIB
HIDDEN_RATIO: Final = 1 / 32
"""The part of base RAM that a guest never counts in its total."""

LOW_BYTES: Final = 8 * MIB
"""Linux keeps that much free: it is not available, and no device gets it."""

STEP_S: Final = 0.25
MOST_STEPS: Final = 40
"""A long pause is walked in this many steps, however long it was."""

OOM_AFTER_S: Final = 1.0
"""A workload that gets no page for that long, with nothing left to reclaim, is killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """How fast a guest moves memory, in bytes a second."""

    inflate: float = 240 * MIB
    deflate: float = 2 * GIB
    take_back: float = 64 * MIB  # by a greedy guest
    unplug: float = 400 * MIB
    plug: float = 8 * GIB
    touch: float = 400 * MIB
    read: float = 200 * MIB
    swap_out: float = 93 * MIB
    swap_in: float = 36 * MIB


class SimulatedMemory:
    """One guest's memory. All sizes are bytes; `advance` alone moves them towards what is wanted.

    Attributes:
        wanted_bytes, hot_ratio: what the workload wants to hold, and the share it keeps touching.
        held_bytes: what it holds, in memory and in swap.
        cache_wanted_bytes, cache_bytes: files that it has read, and those still in memory.
        swapped_bytes: the part of `held_bytes` that is in swap.
        actual_bytes, target_bytes: base RAM that the balloon leaves, and is asked to leave.
        plugged_bytes, requested_bytes: of the virtio-mem device.
        gives: False while the driver gives nothing, whatever it is asked.
        greedy: once it has given to its balloon, the guest takes that back by itself.
        stalled_s: for how long the workload waited for memory.
    """

    def __init__(
        self,
        *,
        boot_bytes: int,
        block_bytes: int,
        swap_bytes: int,
        deflate_on_oom: bool,
        rates: Rates,
    ) -> None:
        self.boot_bytes = boot_bytes
        self.block_bytes = block_bytes
        self.swap_bytes = swap_bytes
        self.deflate_on_oom = deflate_on_oom
        self.rates = rates
        self.gives, self.greedy = True, False
        self.target_bytes, self.requested_bytes = boot_bytes, 0
        self.start()

    def start(self) -> None:
        """Begin as after a boot: balloon empty, nothing plugged, nothing held, counters at zero."""
        self.actual_bytes, self.plugged_bytes = self.boot_bytes, 0
        self.wanted_bytes = self.held_bytes = self.swapped_bytes = 0
        self.cache_wanted_bytes = self.cache_bytes = 0
        self.hot_ratio = 1.0
        self.swap_in_bytes = self.swap_out_bytes = 0
        self.oom_kills = 0
        self.stalled_s = self._starved_s = 0.0
        self._gave_way = False  # the balloon deflated by itself and waits for its next order
        self._taking_back = False
        self._unplug_credit_bytes = 0.0

    @property
    def balloon_bytes(self) -> int:
        """What the balloon holds."""
        return self.boot_bytes - self.actual_bytes

    @property
    def kernel_bytes(self) -> int:
        """What the guest's kernel uses of its total."""
        return KERNEL_BYTES + int(self.plugged_bytes * KERNEL_RATIO)

    @property
    def total_bytes(self) -> int:
        """Say MemTotal: without the balloon's pages, unless it deflates on OOM."""
        hidden_bytes = HIDDEN_BYTES + int(self.boot_bytes * HIDDEN_RATIO)
        gone_bytes = 0 if self.deflate_on_oom else self.balloon_bytes
        return max(PAGE_BYTES, self.boot_bytes - hidden_bytes - gone_bytes + self.plugged_bytes)

    @property
    def free_bytes(self) -> int:
        """MemFree."""
        ballooned_bytes = self.balloon_bytes if self.deflate_on_oom else 0
        resident_bytes = self.held_bytes - self.swapped_bytes
        used_bytes = self.kernel_bytes + resident_bytes + self.cache_bytes + ballooned_bytes
        return max(0, self.total_bytes - used_bytes)

    @property
    def available_bytes(self) -> int:
        """MemAvailable: free memory and cache, but for what Linux keeps."""
        return max(0, self.free_bytes + self.cache_bytes - LOW_BYTES)

    @property
    def _hot_swapped_bytes(self) -> int:
        """What the workload touches of what is in swap: cold pages go there first."""
        cold_bytes = int(self.held_bytes * (1 - self.hot_ratio))
        return max(0, self.swapped_bytes - cold_bytes)

    @property
    def settled(self) -> bool:
        """Whether nothing would move, however much time passed."""
        return (
            self.held_bytes == self.wanted_bytes
            and (self.actual_bytes == self.target_bytes or self._gave_way)
            and not (self.greedy and self.balloon_bytes)
            and self.plugged_bytes == self.requested_bytes
            and not self._hot_swapped_bytes
            and (self.cache_bytes == self.cache_wanted_bytes or self.free_bytes <= LOW_BYTES)
        )

    def ask_balloon(self, target_bytes: int) -> None:
        """Order a balloon target; the same one again makes a balloon that gave way start over."""
        self.target_bytes = self.boot_bytes - _pages(self.boot_bytes - target_bytes)
        self._gave_way = self._taking_back = False

    def advance(self, passed_s: float) -> bool:
        """Let time pass; say whether anything may have moved."""
        moved = False
        step_s = max(STEP_S, passed_s / MOST_STEPS)
        while passed_s > 0 and not self.settled:
            self._step(min(step_s, passed_s))
            passed_s -= step_s
            moved = True
        return moved

    def _step(self, passed_s: float) -> None:
        swappable_bytes = int(self.rates.swap_out * passed_s)
        self._move_up(passed_s)
        swappable_bytes -= self._work(passed_s, swappable_bytes)
        if self.gives:
            swappable_bytes -= self._inflate(passed_s, swappable_bytes)
            self._unplug(passed_s, swappable_bytes)
        self._swap_in(passed_s)
        self._read(passed_s)

    def _move_up(self, passed_s: float) -> None:
        """Deflate and plug, asked or not: nothing in the guest stands against it."""
        if self.greedy and self.actual_bytes == self.target_bytes < self.boot_bytes:
            self._taking_back = self._gave_way = True
        if self._taking_back:
            taken_bytes = _pages(self.rates.take_back * passed_s)
            self.actual_bytes = min(self.boot_bytes, self.actual_bytes + taken_bytes)
        elif self.actual_bytes < self.target_bytes:
            most_bytes = _pages(self.rates.deflate * passed_s)
            self.actual_bytes = min(self.target_bytes, self.actual_bytes + most_bytes)
        if self.plugged_bytes < self.requested_bytes:
            blocks = int(self.rates.plug * passed_s) // self.block_bytes + 1
            grown_bytes = self.plugged_bytes + blocks * self.block_bytes
            self.plugged_bytes = min(self.requested_bytes, grown_bytes)

    def _work(self, passed_s: float, swappable_bytes: int) -> int:
        """Let the workload take or free memory; say how much had to be swapped out for it."""
        missing_bytes = self.wanted_bytes - self.held_bytes
        if missing_bytes <= 0:
            if missing_bytes:
                self.swapped_bytes = self.swapped_bytes * self.wanted_bytes // self.held_bytes
                self.held_bytes = self.wanted_bytes
            self._starved_s = 0.0
            return 0
        step_bytes = min(missing_bytes, _pages(self.rates.touch * passed_s))
        got_bytes, swapped_bytes = self._make_room(step_bytes, swappable_bytes)
        if got_bytes < step_bytes:
            got_bytes += self._give_way(step_bytes - got_bytes)
        self.held_bytes += got_bytes
        if got_bytes < step_bytes:
            self.stalled_s += passed_s * (1 - got_bytes / step_bytes)
        self._starved_s = 0.0 if got_bytes or swapped_bytes else self._starved_s + passed_s
        if self._starved_s >= OOM_AFTER_S:
            self._kill()
        return swapped_bytes

    def _make_room(self, wanted_bytes: int, swappable_bytes: int) -> tuple[int, int]:
        """Free memory up to what is wanted; say how much is free for it, and what was swapped."""
        spare_bytes = max(0, self.free_bytes - LOW_BYTES)
        dropped_bytes = min(self.cache_bytes, max(0, wanted_bytes - spare_bytes))
        self.cache_bytes -= dropped_bytes
        swapped_bytes = min(
            max(0, wanted_bytes - spare_bytes - dropped_bytes),
            swappable_bytes,
            self.swap_bytes - self.swapped_bytes,
            self.held_bytes - self.swapped_bytes,
        )
        self.swapped_bytes += swapped_bytes
        self.swap_out_bytes += swapped_bytes
        return min(wanted_bytes, spare_bytes + dropped_bytes + swapped_bytes), swapped_bytes

    def _give_way(self, wanted_bytes: int) -> int:
        """Deflate on OOM: only when swap is full, and not to be inflated again unasked."""
        if not self.deflate_on_oom or self.swapped_bytes < self.swap_bytes:
            return 0
        given_bytes = min(wanted_bytes, self.balloon_bytes)
        self.actual_bytes += given_bytes
        self._gave_way = self._gave_way or given_bytes > 0
        return given_bytes

    def _kill(self) -> None:
        """Kill the workload, as the guest's kernel would; it starts again, empty."""
        self.oom_kills += 1
        self.wanted_bytes = self.held_bytes = self.swapped_bytes = 0
        self._starved_s = 0.0

    def _inflate(self, passed_s: float, swappable_bytes: int) -> int:
        wanted_bytes = self.actual_bytes - self.target_bytes
        if wanted_bytes <= 0 or self._gave_way:
            return 0
        step_bytes = min(wanted_bytes, _pages(self.rates.inflate * passed_s))
        got_bytes, swapped_bytes = self._make_room(step_bytes, swappable_bytes)
        self.actual_bytes -= _pages(got_bytes)
        return swapped_bytes

    def _unplug(self, passed_s: float, swappable_bytes: int) -> None:
        """Give back whole blocks; what is over counts for the next step."""
        wanted_bytes = self.plugged_bytes - self.requested_bytes
        if wanted_bytes <= 0:
            self._unplug_credit_bytes = 0.0
            return
        self._unplug_credit_bytes += self.rates.unplug * passed_s
        step_bytes = min(wanted_bytes, int(self._unplug_credit_bytes))
        got_bytes, _ = self._make_room(step_bytes, swappable_bytes)
        given_bytes = got_bytes // self.block_bytes * self.block_bytes
        self.plugged_bytes -= given_bytes
        self._unplug_credit_bytes = min(step_bytes - given_bytes, self.block_bytes)

    def _swap_in(self, passed_s: float) -> None:
        """Bring back what the workload touches; without room, only in exchange for other pages."""
        wanted_bytes = min(self._hot_swapped_bytes, _pages(self.rates.swap_in * passed_s))
        got_bytes, _ = self._make_room(wanted_bytes, 0)
        self.swapped_bytes -= got_bytes
        self.swap_in_bytes += wanted_bytes
        self.swap_out_bytes += wanted_bytes - got_bytes
        if wanted_bytes > got_bytes:
            self.stalled_s += passed_s

    def _read(self, passed_s: float) -> None:
        """Fill the page cache as far as memory is free; nothing is given up for it."""
        wanted_bytes = self.cache_wanted_bytes - self.cache_bytes
        spare_bytes = max(0, self.free_bytes - LOW_BYTES)
        most_bytes = min(spare_bytes, _pages(self.rates.read * passed_s))
        self.cache_bytes += min(wanted_bytes, most_bytes)


def _pages(size_bytes: float) -> int:
    return int(size_bytes) // PAGE_BYTES * PAGE_BYTES
