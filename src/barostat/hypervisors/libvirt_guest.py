"""One domain that runs: what is known of it, and when it must be asked by itself. No I/O.

A look costs a guest its place in a list, whose figures are what its driver last said. Its sizes are
asked for only when something says that they may have changed: an event, libvirt's own idea of its
size, a wish that has not come true, or time. What was asked of the balloon is remembered here,
because nobody tells it. Times are the event loop's until they are reported.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, replace
from typing import Final

from barostat.core.observation import Devices, GuestObservation, RunState
from barostat.core.statistics import Statistics, read_statistics
from barostat.errors import HypervisorError
from barostat.hypervisors.libvirt_events import Heard
from barostat.hypervisors.libvirt_line import Exact, Figures, Listed
from barostat.hypervisors.libvirt_state import is_moving, status_of
from barostat.hypervisors.libvirt_xml import DomainMemory, read_memory
from barostat.hypervisors.qmp_life import Life
from barostat.units import KIB

__all__ = ["LibvirtGuest"]

RESYNC_S: Final = 10.0
"""Events are hints, and some get lost: a guest is asked by itself about this often anyway."""

LONGEST_PERIOD_S: Final = 2
"""Statistics that come more seldom are asked for more often."""

RESIZING: Final = frozenset({Heard.RESIZED, Heard.RESET, Heard.ENDED})

_KEYS: Final = {
    "available": "stat-total-memory",
    "usable": "stat-available-memory",
    "unused": "stat-free-memory",
    "disk_caches": "stat-disk-caches",
    "swap_in": "stat-swap-in",
    "swap_out": "stat-swap-out",
    "major_fault": "stat-major-faults",
}
"""QEMU's names for what libvirt calls otherwise. Faults are a number, the others are KiB."""
_COUNTS: Final = frozenset({"major_fault"})
_SPOKEN: Final = (*_KEYS, "last-update")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Words:
    """What a guest's driver said, and the span of time in which it did."""

    figures: Figures
    asked_s: float


class LibvirtGuest:
    """A guest that libvirt says runs.

    Attributes:
        fault: why it does not answer, None while it does.
        memory: what it is made of, None until it was asked by itself.
        target_bytes: what was last asked of the balloon; None while nobody knows.
        moving: its memory is being migrated, saved or dumped.
        period_tried: libvirt was told how often to ask for statistics, and has not done so.
        woken: set when its sizes changed or it ended.
    """

    def __init__(self, name: str, listed: Listed, *, now_s: float) -> None:
        self.name = name
        self.identity = listed.identity
        self.fault: HypervisorError | None = None
        self.memory: DomainMemory | None = None
        self.target_bytes: int | None = None
        self.moving = False
        self.period_tried = False
        self.woken = asyncio.Event()
        self._life = Life(now_s=now_s)
        self._frozen = False
        self._xml = ""
        self._actual_bytes: int | None = None
        self._words: _Words | None = None
        self._unread = False
        self._mute = False  # libvirt's test driver: nobody speaks for the guest
        self._unloaded_until_s = 0  # wall clock: what was said until then was said before a reset
        self._statistics: Statistics | None = None
        self._statistics_s = 0.0
        self._seen_s = now_s
        self._hint: object = None
        self._doubted = True
        self._due_s = now_s
        self._made: tuple[tuple[object, ...], Devices] | None = None
        self._last: GuestObservation | None = None

    def doubt(self) -> None:
        """Have the guest asked by itself at the next look."""
        self._doubted = True

    def hear(self, what: Heard, *, now_s: float) -> None:
        """Take in an event."""
        self.doubt()
        if what in RESIZING:
            self.woken.set()
        match what:
            case Heard.RESET:
                self._life.hear("RESET", None, now_s)
                self._unloaded_until_s = int(time.time())
            case Heard.STOPPED:
                self._life.hear("STOP", None, now_s)
            case Heard.RESUMED:
                self._life.hear("RESUME", None, now_s)
            case Heard.PANICKED:
                self._life.hear("GUEST_PANICKED", None, now_s)
            case Heard.MOVED:
                self.moving = True  # until it is asked
                self._life.hear("MIGRATION", {"status": "active"}, now_s)
            case _:
                pass

    def listed(self, listed: Listed, *, now_s: float) -> None:
        """Take in what libvirt says of it."""
        self._frozen = is_moving(listed.state, listed.reason)
        moving = self.moving or self._frozen
        self._life.told(
            status=status_of(listed.state),
            migration="active" if moving else "",
            now_s=now_s,
        )
        self._seen_s = now_s

    @property
    def run_state(self) -> RunState:
        """What the guest is doing, while its QEMU answers."""
        return self._life.run_state

    @property
    def asks_qemu(self) -> bool:
        """Whether its QEMU can be asked: not while it comes in from elsewhere or is saved."""
        return not self._frozen

    def must_be_asked(self, now_s: float) -> bool:
        """Say whether what is known of its sizes may be wrong."""
        if self._doubted or self.moving or self.memory is None or now_s >= self._due_s:
            return True
        devices = self._devices(self.memory)
        target = self.target_bytes
        return devices.requested_bytes != devices.plugged_bytes or (
            target is not None and target != devices.balloon_actual_bytes
        )

    def told(self, figures: Figures, *, asked_s: float, now_s: float) -> bool:
        """Take in the figures of a list.

        Returns:
            False if its QEMU did not answer: there are sizes that libvirt remembers, and no more.
        """
        hint = figures.get("current")
        self._mute = hint is None
        if not self._mute and "rss" not in figures:
            return False
        self._seen_s = now_s
        if hint != self._hint:
            self._hint, self._doubted = hint, True
        if not self._mute:
            self._said(figures, asked_s, now_s)
        return True

    def _said(self, figures: Figures, asked_s: float, now_s: float) -> None:
        """Take in what the guest's driver last said."""
        spoken = {key: figures[key] for key in _SPOKEN if key in figures}
        before = self._words
        if before is not None and before.figures == spoken:
            self._words = replace(before, asked_s=asked_s)
            return
        # It came between the last look and this one, in the second that its stamp names.
        age_s = max(0.0, time.time() - spoken.get("last-update", 0))
        earliest_s = now_s - age_s if before is None else max(now_s - age_s, before.asked_s)
        self._words, self._unread = _Words(figures=spoken, asked_s=asked_s), True
        self._statistics_s = min(earliest_s, now_s)
        self._life.loaded = spoken.get("last-update", 0) > self._unloaded_until_s

    def asked(self, exact: Exact, *, asked_s: float, now_s: float) -> DomainMemory:
        """Take in what the guest answered when it was asked by itself.

        Raises:
            RefusedError: its XML cannot be understood.
        """
        memory = self.memory
        if memory is None or exact.xml != self._xml:
            memory = read_memory(exact.xml, guest=self.name)
            self._xml, self.memory = exact.xml, memory
            self.period_tried &= not 0 < memory.period_s <= LONGEST_PERIOD_S
        if exact.figures is not None:
            actual = exact.figures.get("actual")
            self._actual_bytes = None if actual is None else actual * KIB
            if not self._mute:
                self._said(exact.figures, asked_s, now_s)
                if exact.fresh:  # it spoke after it was asked, whatever second its stamp names
                    self._statistics_s = asked_s
        if exact.moving is not None:
            self.moving = exact.moving
        self._life.has_balloon = memory.has_balloon and not self._mute
        self._doubted = False
        self._due_s = now_s + RESYNC_S * random.uniform(0.75, 1.25)  # noqa: S311 - spreads the asking
        self._seen_s = now_s
        return memory

    @property
    def can_speak(self) -> bool:
        """Whether its driver would answer if it was asked now."""
        ticking = self._life.ticking and self.run_state is not RunState.MIGRATING
        return self._words is not None and ticking

    @property
    def ease_ratio(self) -> float:
        """How much of its memory it has available, as it last said."""
        figures = {} if self._words is None else self._words.figures
        return figures.get("usable", 0) / max(1, figures.get("available", 1))

    @property
    def wants_period(self) -> bool:
        """Whether QEMU asks this guest for statistics too seldom."""
        memory = self.memory
        return (
            memory is not None
            and memory.has_balloon
            and self.asks_qemu
            and not self.period_tried
            and not 0 < memory.period_s <= LONGEST_PERIOD_S
        )

    def devices(self) -> Devices | None:
        """Say its sizes as last asked for; None if they never were."""
        return None if self.memory is None else self._devices(self.memory)

    def _devices(self, memory: DomainMemory) -> Devices:
        """Put the sizes together, anew where one of them is: most looks find them as they were."""
        loaded = self._life.loaded or not self._life.has_balloon
        parts = (memory, self._actual_bytes, self.target_bytes, loaded)
        if self._made is None or self._made[0] != parts:
            devices = memory.devices(
                actual_bytes=self._actual_bytes, target_bytes=self.target_bytes, loaded=loaded
            )
            self._made = parts, devices
        return self._made[1]

    def observe(self, *, ahead_s: float) -> GuestObservation | None:
        """Say what is seen: as it was last, and unreachable, while it does not answer.

        Args:
            ahead_s: how far the caller's clock is ahead of the event loop's.

        Returns:
            None if it never answered.
        """
        if self.fault is None and self.memory is not None:
            self._last = self._seen(self.memory, ahead_s)
            return self._last
        return self.unreachable()

    def unreachable(self) -> GuestObservation | None:
        """Say what was seen last of a guest that cannot be seen now."""
        last = self._last
        return None if last is None else replace(last, run_state=RunState.UNREACHABLE)

    def _seen(self, memory: DomainMemory, ahead_s: float) -> GuestObservation:
        devices = self._devices(memory)
        if self._unread and self._words is not None:
            self._statistics = _read(self._words.figures, devices)
            self._unread = False
        return GuestObservation(
            name=self.name,
            run_state=self.run_state,
            devices=devices,
            statistics=self._statistics if self._life.loaded else None,
            seen_at_s=self._seen_s + ahead_s,
            statistics_at_s=self._statistics_s + ahead_s,
            disturbed_at_s=self._life.disturbed_s + ahead_s,
            unfit=memory.unfit,
        )


def _read(figures: Figures, devices: Devices) -> Statistics | None:
    limit_bytes = devices.boot_bytes + sum(
        max(plug.requested_bytes, plug.size_bytes) for plug in devices.plugs
    )
    raw = {
        _KEYS[key]: figures[key] * (1 if key in _COUNTS else KIB) for key in _KEYS if key in figures
    }
    return read_statistics(raw, limit_bytes=limit_bytes)
