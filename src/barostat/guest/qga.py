"""Guests heard through qemu-guest-agent: read now and then, where Barostat's own agent is not.

A reading is some short questions. Readings begin one after the other, evenly spread, and a bounded
number go on at once: so they cost the host the same however many guests there are. A guest where
one failed is left alone with growing pauses; one whose agent does not let files be read is asked
seldom whether it does by now. Nobody waits for a reading, and one never outlives its deadline.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from barostat.core.observation import Depth, GuestObservation, RunState
from barostat.errors import BarostatError
from barostat.guest.base import Card, HostWord
from barostat.guest.qga_files import Ask, GuestFiles
from barostat.guest.qga_talk import Talk

__all__ = ["Qga"]

AT_ONCE: Final = 4
SHORTEST_STEP_S: Final = 0.05
"""More than 20 readings a second are not begun: with so many guests, each is read more seldom."""

LONGEST_STEP_S: Final = 0.5
"""A guest that comes, or comes back, need not wait longer until it is thought of."""

READING_DEADLINES: Final = 3
"""A whole reading, of some 10 questions, may take as long as this many silent ones."""

OLD_READINGS: Final = 3
"""A reading counts for as long as it takes to be read so many times."""

REST_LOW_S: Final = 30.0
REST_HIGH_S: Final = 600.0

_log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class _Ear:
    """What is known of one guest, and when it is read next.

    Attributes:
        talk: what was learned of it since it was last disturbed.
        disturbed_at_s: when that was.
        running: it can answer.
        due_s: when it is read next.
        wanted_s: when a reading of it was last wanted: where Barostat's agent speaks, none is.
        failures: how many readings failed since one succeeded.
        fault: why the last one failed; empty if it did not.
    """

    talk: Talk
    disturbed_at_s: float
    running: bool
    due_s: float
    wanted_s: float = -math.inf
    failures: int = 0
    fault: str = ""

    def succeeded(self, due_s: float) -> None:
        self.failures, self.fault, self.due_s = 0, "", due_s

    def failed(self, fault: str, now_s: float) -> None:
        """Leave it alone for a while, longer each time."""
        self.fault = fault
        self.due_s = now_s + min(REST_LOW_S * 2 ** min(self.failures, 10), REST_HIGH_S)
        self.failures += 1


class Qga:
    """The guests that qemu-guest-agent speaks for.

    Args:
        ask: the way to the agents; raises what `Hypervisor.ask_guest_agent` does.
        clock: monotonic seconds, the clock of the guests' stamps.
        every_s: how often a guest is read.
        deadline_s: how long one answer may take.
    """

    def __init__(
        self,
        ask: Ask,
        *,
        clock: Callable[[], float],
        every_s: float = 5.0,
        deadline_s: float = 1.0,
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._every_s = every_s
        self._deadline_s = deadline_s
        self._ears: dict[str, _Ear] = {}
        self._readings: dict[str, asyncio.Task[None]] = {}
        self._read_every_s = every_s  # longer where there are too many guests for that

    async def run(self, stop: asyncio.Event) -> None:
        """Read guests in turn until told to stop.

        Raises:
            ExceptionGroup: a fault of our own.
        """
        async with asyncio.TaskGroup() as tasks:
            while not stop.is_set():
                self._begin_next(tasks)
                try:
                    async with asyncio.timeout(self._step_s()):
                        await stop.wait()
                except TimeoutError:
                    continue
            if self._readings:  # so that no file stays open
                await asyncio.wait(self._readings.values(), timeout=self._deadline_s)
            for reading in self._readings.values():
                reading.cancel()

    def _step_s(self) -> float:
        """Say how long to wait between two readings, so that all guests get their turn."""
        now_s = self._clock()
        awake = sum(self._is_awake(ear, now_s) for ear in self._ears.values())
        step_s = self._every_s / max(1, awake)
        self._read_every_s = max(self._every_s, awake * SHORTEST_STEP_S)
        return min(max(step_s, SHORTEST_STEP_S), LONGEST_STEP_S)

    def _is_awake(self, ear: _Ear, now_s: float) -> bool:
        wanted = now_s - ear.wanted_s <= OLD_READINGS * self._every_s
        return wanted and ear.running and ear.due_s - now_s <= self._read_every_s

    def _begin_next(self, tasks: asyncio.TaskGroup) -> None:
        """Begin to read the guest that has waited longest."""
        now_s = self._clock()
        ready = [
            (ear.due_s, name)
            for name, ear in self._ears.items()
            if ear.due_s <= now_s and self._is_awake(ear, now_s) and name not in self._readings
        ]
        if ready and len(self._readings) < AT_ONCE:
            _, name = min(ready)
            reading = tasks.create_task(self._read(name, self._ears[name]), name=f"qga {name}")
            self._readings[name] = reading

    async def _read(self, name: str, ear: _Ear) -> None:
        began_s = self._clock()
        try:
            async with asyncio.timeout(READING_DEADLINES * self._deadline_s):
                await ear.talk.turn()
        except TimeoutError:
            ear.failed("qemu-guest-agent answers too slowly", self._clock())
        except BarostatError as error:
            ear.failed(error.message, self._clock())
            _log.debug("%s", error.message)
        else:
            self._read_well(ear, began_s)
        finally:
            del self._readings[name]

    def _read_well(self, ear: _Ear, began_s: float) -> None:
        about = ear.talk.about
        if about is None or not about.fault:
            ear.succeeded(began_s + self._read_every_s)
        else:  # nothing to be read, as it says itself
            ear.succeeded(math.inf if about.hopeless else began_s + REST_HIGH_S)

    def follow(self, guests: Sequence[GuestObservation]) -> None:
        """Keep to the guests that were just seen."""
        before, self._ears = self._ears, {}
        for guest in guests:
            ear = before.get(guest.name)
            if ear is None or guest.disturbed_at_s > ear.disturbed_at_s:
                ear = self._anew(guest, ear)
            ear.running = guest.run_state is RunState.RUNNING
            self._ears[guest.name] = ear

    def _anew(self, guest: GuestObservation, before: _Ear | None) -> _Ear:
        """Begin anew with a guest that may have booted: but what we opened may still be open."""
        if before is None:
            files = GuestFiles(
                self._ask,
                guest.name,
                deadline_s=self._deadline_s,
                patience_s=READING_DEADLINES * self._deadline_s,
            )
        else:
            files = before.talk.files
        return _Ear(
            talk=Talk(files, clock=self._clock),
            disturbed_at_s=guest.disturbed_at_s,
            running=False,
            due_s=self._clock(),
            wanted_s=-math.inf if before is None else before.wanted_s,
        )

    def deepen(self, guest: GuestObservation) -> GuestObservation:
        """Add to what was seen of a guest what was read in it, as far as that is fresh."""
        ear = self._ears.get(guest.name)
        if ear is None:
            return guest
        ear.wanted_s = self._clock()
        inside = ear.talk.inside
        if inside is None or not self._is_fresh(ear) or inside.at_s <= guest.disturbed_at_s:
            return guest
        return replace(guest, inside=inside, heard_by=Depth.QGA)

    def _is_fresh(self, ear: _Ear) -> bool:
        inside = ear.talk.inside
        if inside is None:
            return False
        return self._clock() - inside.at_s <= OLD_READINGS * self._read_every_s

    def card(self, guest: str) -> Card | None:
        """Say what is known of qemu-guest-agent in a guest, None if it was never heard."""
        ear = self._ears.get(guest)
        about = None if ear is None else ear.talk.about
        if ear is None or about is None:
            return None
        inside, (swap, swap_free) = ear.talk.inside, ear.talk.swap
        heard = self._is_fresh(ear)
        frozen = "the guest is frozen for a backup" if ear.talk.frozen else ""
        fault = about.fault or ear.fault or frozen or "qemu-guest-agent was not heard of late"
        return Card(
            depth=Depth.QGA if heard else Depth.BALLOON,
            version=about.version,
            kernel=about.kernel,
            onlining=about.onlining,
            block_bytes=about.block_bytes,
            swap_bytes=swap,
            swap_free_bytes=swap_free,
            committed_bytes=None if inside is None else inside.committed_bytes,
            fault="" if heard else fault,
        )

    def tell(self, guest: str, word: HostWord) -> None:
        """Do nothing: qemu-guest-agent has no use for it."""

    async def before_shrink(self, guest: str, to_bytes: int) -> None:
        """Do nothing: qemu-guest-agent cannot have programs give memory."""

    async def after_grow(self, guest: str, to_bytes: int) -> None:
        """Do nothing: qemu-guest-agent has no use for it."""
