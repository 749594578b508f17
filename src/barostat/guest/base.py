"""What the host hears from programs inside guests, whoever they are, and what it tells them.

A source listens on its own and is asked for nothing at a look: `deepen` only adds what was heard
and is fresh. Everything heard is untrusted; a guest whose program says nothing, or nonsense, is
seen as its hypervisor sees it. Whatever one guest's program does costs nobody else anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from barostat.core.observation import Depth, GuestObservation
from barostat.core.pressure import Status

__all__ = ["Card", "HostWord", "InnerSource", "Insight"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What is known of the program in one guest, for people; None where it does not say.

    Attributes:
        depth: AGENT or QGA, or BALLOON while it is not believed.
        version: the program's.
        kernel: the guest's release.
        onlining: what its kernel does with plugged memory: online, online_kernel, online_movable,
            offline, auto-movable.
        block_bytes: the size of its memory blocks: what is plugged comes in these.
        swap_bytes, swap_free_bytes: its own swap.
        committed_bytes: what its programs were promised.
        hook: the operator of the guest has programs give memory before it shrinks.
        fault: why it is not believed, or not heard, or one that would say more; empty while all is
            well.
    """

    depth: Depth
    version: str | None = None
    kernel: str | None = None
    onlining: str | None = None
    block_bytes: int | None = None
    swap_bytes: int | None = None
    swap_free_bytes: int | None = None
    committed_bytes: int | None = None
    hook: bool = False
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostWord:
    """What a guest is told of itself. Sizes in bytes."""

    startup_bytes: int
    minimum_bytes: int
    maximum_bytes: int
    assigned_bytes: int
    status: Status


class InnerSource(Protocol):
    """One way to hear from inside guests."""

    async def run(self, stop: asyncio.Event) -> None:
        """Listen until told to stop."""
        ...

    def follow(self, guests: Sequence[GuestObservation]) -> None:
        """Keep to the guests that were just seen; nothing is waited for."""
        ...

    def deepen(self, guest: GuestObservation) -> GuestObservation:
        """Add to what was seen of a guest what its program said, as far as that is fresh."""
        ...

    def card(self, guest: str) -> Card | None:
        """Say what is known of the program in a guest, None if there was never one."""
        ...

    def tell(self, guest: str, word: HostWord) -> None:
        """Tell a guest what it may have; where nobody listens, nothing happens."""
        ...

    async def before_shrink(self, guest: str, to_bytes: int) -> None:
        """Let the guest's programs give memory by themselves first, for a bounded time."""
        ...

    async def after_grow(self, guest: str, to_bytes: int) -> None:
        """Let the guest's programs know that they may use more; waits for nobody."""
        ...


class Insight:
    """Several sources as one. Of two that know a guest, the first is heard."""

    def __init__(self, sources: Sequence[InnerSource]) -> None:
        self._sources = tuple(sources)

    async def run(self, stop: asyncio.Event) -> None:
        """Listen until told to stop.

        Raises:
            ExceptionGroup: a fault of our own.
        """
        async with asyncio.TaskGroup() as tasks:
            for source in self._sources:
                tasks.create_task(source.run(stop))

    def follow(self, guests: Sequence[GuestObservation]) -> None:
        """Keep to the guests that were just seen."""
        for source in self._sources:
            source.follow(guests)

    def deepen(self, guest: GuestObservation) -> GuestObservation:
        """Add to what was seen of a guest what its program said, as far as that is fresh."""
        for source in self._sources:
            deeper = source.deepen(guest)
            if deeper.heard_by is not Depth.BALLOON:
                return deeper
        return guest

    def card(self, guest: str) -> Card | None:
        """Say what is known of the program in a guest, None if there was never one.

        Where one is heard in the place of another, the other's fault is said with it.
        """
        cards = [card for source in self._sources if (card := source.card(guest)) is not None]
        heard = next((card for card in cards if not card.fault), None)
        if heard is None:
            return next(iter(cards), None)
        return replace(heard, fault=cards[0].fault)

    def tell(self, guest: str, word: HostWord) -> None:
        """Tell a guest what it may have."""
        for source in self._sources:
            source.tell(guest, word)

    async def before_shrink(self, guest: str, to_bytes: int) -> None:
        """Let the guest's programs give memory by themselves first, for a bounded time."""
        for source in self._sources:
            await source.before_shrink(guest, to_bytes)

    async def after_grow(self, guest: str, to_bytes: int) -> None:
        """Let the guest's programs know that they may use more."""
        for source in self._sources:
            await source.after_grow(guest, to_bytes)
