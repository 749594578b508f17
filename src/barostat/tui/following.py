"""What is seen, again and again: from the daemon's stream where it has one, else by asking.

Trouble on the way is a value like what is seen, and ends nothing: a second later it is tried anew.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final, Protocol, runtime_checkable

from barostat.errors import BarostatError
from barostat.service.desk import Desk
from barostat.service.documents import Document, Overview
from barostat.service.printable import all_printable

__all__ = ["Box", "Seen", "follow"]

EVERY_S: Final = 1.0
"""As often as a daemon looks."""


class Box(Document):
    """The host's memory, and what of it no VM may have; the stream alone tells it."""

    total_bytes: int
    reserve_bytes: int
    overhead_bytes: int
    foreign_bytes: int
    hugetlb_bytes: int


class Seen(Document):
    """The newest of all there is to be seen; of a pass that the stream tells, what is used here."""

    overview: Overview
    box: Box | None = None


@runtime_checkable
class Streaming(Protocol):
    """A desk that tells every pass by itself."""

    def passes(self) -> AsyncGenerator[str, None]:
        """Give every pass as it happens, as JSON."""
        ...


async def follow(desk: Desk) -> AsyncGenerator[Seen | BarostatError, None]:
    """Say what is seen, or why nothing is, about once a second, for as long as anybody reads."""
    while True:
        async with aclosing(_streamed(desk)) as stream:
            async for seen in stream:
                yield seen
        # No stream, or it ended: asking also finds out what is wrong.
        yield await _asked(desk)
        await asyncio.sleep(EVERY_S)


async def _streamed(desk: Desk) -> AsyncGenerator[Seen, None]:
    if not isinstance(desk, Streaming):
        return
    try:
        async with aclosing(desk.passes()) as passes:
            async for told in passes:
                yield _shown(told)
    except (BarostatError, ValueError, RecursionError):
        return


async def _asked(desk: Desk) -> Seen | BarostatError:
    try:
        seen = Seen(overview=await desk.overview())
    except BarostatError as error:
        return error
    return _shown(seen.model_dump_json())


def _shown(told: str) -> Seen:
    """Read a pass, fit for a screen. A VM whose name is not is known by another here."""
    return Seen.model_validate_json(json.dumps(all_printable(json.loads(told))))
