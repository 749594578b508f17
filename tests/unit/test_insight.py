"""Several ways to hear from inside a guest as one: the deepest that is believed is heard."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.unit.builders import guest

from barostat.core.observation import Depth, GuestObservation
from barostat.guest.base import Card, HostWord, Insight

AGENT = Card(depth=Depth.AGENT, version="0.1.0")
QGA = Card(depth=Depth.QGA, version="7.2.0")
SILENT = Card(depth=Depth.BALLOON, fault="it has not reported for 9 s")


class Program:
    """A source of one guest, as a test wants it to be."""

    def __init__(self, card: Card | None) -> None:
        self._card = card

    async def run(self, stop: asyncio.Event) -> None:
        await stop.wait()

    def follow(self, guests: Sequence[GuestObservation]) -> None:
        pass

    def deepen(self, guest: GuestObservation) -> GuestObservation:
        return guest if self._card is None else replace(guest, heard_by=self._card.depth)

    def card(self, guest: str) -> Card | None:
        return self._card if guest == "web" else None

    def tell(self, guest: str, word: HostWord) -> None:
        pass

    async def before_shrink(self, guest: str, to_bytes: int) -> None:
        pass

    async def after_grow(self, guest: str, to_bytes: int) -> None:
        pass


@pytest.mark.parametrize(
    ("cards", "depth", "shown"),
    [
        ((None, None), Depth.BALLOON, None),
        ((AGENT, QGA), Depth.AGENT, AGENT),
        ((None, QGA), Depth.QGA, QGA),
        ((SILENT, None), Depth.BALLOON, SILENT),
        ((SILENT, QGA), Depth.QGA, replace(QGA, fault=SILENT.fault)),
        ((AGENT, SILENT), Depth.AGENT, AGENT),
    ],
)
def test_the_deepest_that_is_believed_is_heard_and_why_not_a_deeper_one_is_said(
    cards: tuple[Card | None, ...], depth: Depth, shown: Card | None
) -> None:
    insight = Insight([Program(card) for card in cards])

    assert insight.deepen(guest()).heard_by is depth
    assert insight.card("web") == shown
    assert insight.card("db") is None


async def test_all_are_listened_to_until_told_to_stop() -> None:
    stop = asyncio.Event()
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        tasks.create_task(Insight([Program(AGENT), Program(QGA)]).run(stop))
        stop.set()
