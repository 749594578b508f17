"""One guest that never was: a character, a life from boot to death, and what it says of itself.

What it says goes through the same sieve as a real guest's words. Its clock stands while it is
paused or hangs. Chance comes from a seed, so that every run is the same.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Final, assert_never

from barostat.core.observation import Devices, GuestObservation, PlugDevice, RunState
from barostat.core.statistics import UNKNOWN, Statistics, read_statistics
from barostat.hypervisors.base import BalloonWish, PlugWish, Wish
from barostat.hypervisors.simulated_memory import PAGE_BYTES, Rates, SimulatedMemory
from barostat.hypervisors.simulated_spec import Character, SimulatedSpec
from barostat.units import GIB

__all__ = ["SimulatedGuest"]

PLUG_NAME: Final = "vmem0"
SLOWNESS: Final = 20
MOOD_S: Final = 5.0
"""An intermittently stuck guest makes up its mind anew this often."""

ABSURD_EVERY: Final = 3
"""A liar says something impossible this often, and something boundless otherwise."""

STALLS_A_SECOND: Final = 100
"""How many allocation stalls a second of waiting for memory counts as."""


class SimulatedGuest:
    """A guest. Made by `SimulatedHypervisor.add`; told what to do by the methods in between.

    Attributes:
        spec: what it is made of.
        memory: what it felt; to be looked into after an `observe`, not to be written to.
        hangs: its hypervisor gets no answer.
        dead: it has ended.
        seen: as it was last observed.
        told: its devices as its hypervisor last told them.
    """

    def __init__(self, spec: SimulatedSpec, *, clock: Callable[[], float], seed: int) -> None:
        self.spec = spec
        self.memory = SimulatedMemory(
            boot_bytes=spec.boot_bytes,
            block_bytes=spec.block_bytes,
            swap_bytes=spec.swap_bytes,
            deflate_on_oom=spec.deflate_on_oom,
            rates=_rates(spec),
        )
        self.memory.gives = spec.character is not Character.STUCK
        self.memory.greedy = spec.character is Character.GREEDY
        self.hangs = self.dead = False
        self.seen: GuestObservation | None = None
        self.told: Devices | None = None
        self._clock = clock
        self._seed = zlib.crc32(spec.name.encode(), seed)
        self._now_s = self._disturbed_s = self._statistics_s = clock()
        self._booted_s = self._now_s + spec.boot_s
        self._paused = self._stale = False
        self._target_bytes: int | None = None
        self._statistics: Statistics | None = None
        self._looks = 0

    # What a workload or an operator does to it.

    def use(self, size_bytes: int, *, hot_ratio: float = 1.0) -> None:
        """Have the workload hold so much, and keep touching a share of it."""
        self.advance()
        self.memory.wanted_bytes, self.memory.hot_ratio = size_bytes, hot_ratio

    def read(self, size_bytes: int) -> None:
        """Have the workload read files of that size; 0 drops the page cache."""
        self.advance()
        self.memory.cache_wanted_bytes = size_bytes
        self.memory.cache_bytes = min(self.memory.cache_bytes, size_bytes)

    def pause(self) -> None:
        """Stop its processors."""
        self.advance()
        self._paused = True

    def resume(self) -> None:
        """Let its processors run again."""
        self.advance()
        self._paused, self._disturbed_s = False, self._now_s

    def reset(self) -> None:
        """Boot it anew: its balloon is empty, nothing is plugged, what was asked is kept."""
        self.advance()
        self.memory.start()
        self._statistics, self._stale = None, True
        self._disturbed_s, self._booted_s = self._now_s, self._now_s + self.spec.boot_s

    def stop_answering(self) -> None:
        """Hang, as a QEMU does that is stopped: the guest stands still and nobody answers."""
        self.advance()
        self.hangs = True

    def answer(self) -> None:
        """Come back from hanging."""
        self.advance()
        self.hangs = False

    def die(self) -> None:
        """End."""
        self.dead = True

    # What its hypervisor does with it.

    @property
    def loaded(self) -> bool:
        """Whether its balloon driver is there."""
        return self._now_s >= self._booted_s

    def advance(self) -> None:
        """Catch up with the clock."""
        now_s = self._clock()
        passed_s, self._now_s = now_s - self._now_s, now_s
        if self._paused or self.hangs:
            self._booted_s += passed_s if self._booted_s > now_s - passed_s else 0.0
            return
        running_s = min(passed_s, now_s - self._booted_s)
        if self.spec.character is Character.MOODY:
            mood = Random(self._seed ^ int(now_s / MOOD_S))  # noqa: S311 - to be the same each run
            self.memory.gives = mood.random() < 0.5  # noqa: PLR2004 - as often as not
        if running_s > 0 and self.memory.advance(running_s):
            self._stale = True

    def devices(self) -> Devices:
        """Say its sizes; those of a driver that is not there yet are those of a fresh boot."""
        memory, spec = self.memory, self.spec
        region_bytes = spec.maximum_bytes - spec.boot_bytes
        plug = PlugDevice(
            name=PLUG_NAME,
            requested_bytes=memory.requested_bytes,
            size_bytes=memory.plugged_bytes,
            maximum_bytes=region_bytes,
            block_bytes=spec.block_bytes,
        )
        self.told = Devices(
            boot_bytes=spec.boot_bytes,
            balloon_actual_bytes=memory.actual_bytes,
            balloon_target_bytes=self._target_bytes,
            has_balloon=spec.has_balloon,
            deflate_on_oom=spec.deflate_on_oom,
            plugs=(plug,) if region_bytes else (),
        )
        return self.told

    def request(self, wish: Wish) -> None:
        """Note a wish that the devices can take."""
        self.advance()
        self._stale = True
        match wish:
            case BalloonWish(target_bytes=target_bytes):
                self._target_bytes = target_bytes
                self.memory.ask_balloon(target_bytes)
            case PlugWish(requested_bytes=requested_bytes):
                self.memory.requested_bytes = requested_bytes
            case _:
                assert_never(wish)

    def observe(self, *, now_s: float) -> GuestObservation:
        """See it; while it hangs as it was last seen."""
        if self.hangs and self.seen is not None:
            self.seen = replace(self.seen, run_state=RunState.UNREACHABLE)
            return self.seen
        self.advance()
        devices = self.told
        if devices is None or self._stale:
            devices = self.devices()
        speaks = self.spec.has_balloon and self.spec.character is not Character.DEAF
        if self.loaded and not self._paused and speaks:
            self._speak(devices, now_s)
        self._stale = False
        self.seen = GuestObservation(
            name=self.spec.name,
            run_state=self._run_state(),
            devices=devices,
            statistics=self._statistics,
            seen_at_s=now_s,
            statistics_at_s=self._statistics_s,
            disturbed_at_s=self._disturbed_s,
        )
        return self.seen

    def _run_state(self) -> RunState:
        if self._paused:
            return RunState.PAUSED
        booting = self.spec.has_balloon and not self.loaded
        return RunState.BOOTING if booting else RunState.RUNNING

    def _speak(self, devices: Devices, now_s: float) -> None:
        self._looks += 1
        self._statistics_s = now_s
        lying = self.spec.character is Character.LYING
        if self._stale or self._statistics is None or lying:
            limit_bytes = devices.boot_bytes + max(
                self.memory.requested_bytes, self.memory.plugged_bytes
            )
            words = self._lies(limit_bytes) if lying else self._words()
            self._statistics = read_statistics(words, limit_bytes=limit_bytes)

    def _words(self) -> dict[str, int]:
        memory = self.memory
        return {
            "stat-total-memory": memory.total_bytes,
            "stat-available-memory": memory.available_bytes,
            "stat-free-memory": memory.free_bytes,
            "stat-disk-caches": memory.cache_bytes,
            "stat-swap-in": memory.swap_in_bytes,
            "stat-swap-out": memory.swap_out_bytes,
            "stat-major-faults": memory.swap_in_bytes // PAGE_BYTES,
            "stat-oom-kills": memory.oom_kills,
            "stat-alloc-stalls": int(memory.stalled_s * STALLS_A_SECOND),
        }

    def _lies(self, limit_bytes: int) -> dict[str, int]:
        if self._looks % ABSURD_EVERY == 0:
            return {"stat-total-memory": 2**50, "stat-available-memory": UNKNOWN}
        return {
            "stat-total-memory": limit_bytes,
            "stat-available-memory": 0,
            "stat-free-memory": 0,
            "stat-disk-caches": limit_bytes,
            "stat-swap-in": self._looks * GIB,
            "stat-swap-out": self._looks * GIB,
            "stat-major-faults": self._looks * GIB // PAGE_BYTES,
        }


def _rates(spec: SimulatedSpec) -> Rates:
    rates = spec.rates
    if spec.character is not Character.SLOW:
        return rates
    return replace(rates, inflate=rates.inflate / SLOWNESS, unplug=rates.unplug / SLOWNESS)
