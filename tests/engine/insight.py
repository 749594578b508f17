"""Programs in simulated guests, played by the test: they say what their guest's memory is like."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from barostat.core.observation import Depth, GuestObservation
from barostat.core.statistics import TOTAL_TOLERANCE_RATIO, Statistics
from barostat.guest.base import Card, HostWord
from barostat.hypervisors.simulated import SimulatedGuest

__all__ = ["Played"]


class Played:
    """A source that hears what a test has guests say.

    Attributes:
        followed: whom it was last told to keep to.
        words: what each guest was told, in order.
        warned: the shrinks that guests were told of before, and the sizes.
        grown: the grows they were told of after.
        hook_s: for how long a guest's programs give memory by themselves before a shrink.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._said: dict[str, tuple[float, Statistics]] = {}
        self.followed: tuple[str, ...] = ()
        self.words: dict[str, list[HostWord]] = {}
        self.warned: list[tuple[str, int]] = []
        self.grown: list[tuple[str, int]] = []
        self.hook_s = 0.0

    def say(self, guest: SimulatedGuest) -> None:
        """Have a guest's program say what its memory is like now."""
        guest.advance()
        memory = guest.memory
        self._said[guest.spec.name] = (
            self._clock(),
            Statistics(
                total_bytes=memory.total_bytes,
                available_bytes=memory.available_bytes,
                swap_in_bytes=memory.swap_in_bytes,
                swap_out_bytes=memory.swap_out_bytes,
            ),
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Listen until told to stop."""
        await stop.wait()

    def follow(self, guests: Sequence[GuestObservation]) -> None:
        """Keep to these."""
        self.followed = tuple(guest.name for guest in guests)

    def deepen(self, guest: GuestObservation) -> GuestObservation:
        """Add what was said, if it can be true of a guest of these sizes."""
        at_s, statistics = self._said.get(guest.name, (0.0, None))
        if statistics is None:
            return guest
        if statistics.total_bytes > guest.devices.wished_bytes * TOTAL_TOLERANCE_RATIO:
            return guest
        heard = replace(guest, heard_by=Depth.AGENT)
        if at_s <= guest.statistics_at_s:
            return heard
        return replace(heard, statistics=statistics, statistics_at_s=at_s)

    def card(self, guest: str) -> Card | None:
        """Say that it is heard."""
        return Card(depth=Depth.AGENT) if guest in self._said else None

    def tell(self, guest: str, word: HostWord) -> None:
        """Note it."""
        self.words.setdefault(guest, []).append(word)

    async def before_shrink(self, guest: str, to_bytes: int) -> None:
        """Note it, and take the time that the guest's programs take."""
        self.warned.append((guest, to_bytes))
        await asyncio.sleep(self.hook_s)

    async def after_grow(self, guest: str, to_bytes: int) -> None:
        """Note it."""
        self.grown.append((guest, to_bytes))
