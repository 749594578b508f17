"""Every pass as it happens, to everybody who listens: server-sent events.

A pass is written out once, when the first listener asks for it, and all share those bytes. A
listener has no queue: he gets the newest pass when he is ready for one, and where he missed some,
the moves of late again. So who is slow costs neither the tick nor memory, and only himself.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final

from fastapi import FastAPI
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from barostat.core.explain import summary
from barostat.core.moves import MoveKind
from barostat.engine.control import Control
from barostat.engine.loop import Tick
from barostat.errors import ServiceError
from barostat.host.host import HostReport
from barostat.service import making
from barostat.service.documents import Document, Overview

__all__ = ["MOST_LISTENERS", "TickStream", "add_stream_route"]

MOST_LISTENERS: Final = 200
"""Pages and programs that listen at once; the server's other places stay free for questions."""

HEARTBEAT_S: Final = 5.0
"""Passes come every second. Who hears nothing for so long is told that we are still there."""

MOVES_KEPT: Final = 100
"""What a page that was just opened shows of the past."""

PIECE_BYTES: Final = 32 * 1024
"""So much is handed over at once: what waits for somebody who does not read is bounded by it."""


class MoveTold(Document):
    """A move that was decided, or would be done by a daemon that only observes."""

    at_s: float
    guest: str
    kind: MoveKind
    from_bytes: int
    to_bytes: int
    sentence: str


class Box(Document):
    """The host's memory, and where it goes that no VM may have."""

    total_bytes: int
    available_bytes: int
    reserve_bytes: int
    overhead_bytes: int
    foreign_bytes: int
    hugetlb_bytes: int


class Pass(Document):
    """One pass: all there is to be seen of it. Times are seconds since 1970."""

    number: int
    at_s: float
    overview: Overview
    box: Box | None
    moves: tuple[MoveTold, ...]


class Late(Document):
    """There is no new pass; how long ago the guests were looked at."""

    age_s: float


class Recent(Document):
    """The last moves, those of the newest pass among them."""

    moves: tuple[MoveTold, ...]


def _unknown() -> HostReport | None:
    return None


class TickStream:
    """Tells passes to listeners.

    Args:
        control: the balancer; its `on_tick` is told of a pass before `on_tick` of this.
        report: gives the box as it was last seen, None where it is not looked at.

    Attributes:
        listeners: how many there are.
    """

    def __init__(
        self, control: Control, *, report: Callable[[], HostReport | None] = _unknown
    ) -> None:
        self.listeners = 0
        self._control = control
        self._report = report
        self._moves: deque[MoveTold] = deque(maxlen=MOVES_KEPT)
        self._wishes: frozenset[tuple[str, MoveKind]] = frozenset()
        self._tick: Tick | None = None
        self._told: tuple[MoveTold, ...] = ()
        self._number = 0
        self._at_s = 0.0
        self._frame: bytes | None = None
        self._fresh = asyncio.Event()
        self._closed = False

    def on_tick(self, tick: Tick) -> None:
        """Take note of a pass and wake the listeners. Writes nothing out yet."""
        self._tick, self._frame, self._at_s = tick, None, time.time()
        self._number += 1
        self._told = self._tell_moves(tick)
        self._moves.extend(self._told)
        self._wake()

    def close(self) -> None:
        """End every listener's stream: the daemon stops."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        waiting, self._fresh = self._fresh, asyncio.Event()
        waiting.set()

    def _tell_moves(self, tick: Tick) -> tuple[MoveTold, ...]:
        """Put moves into words. Where nothing is moved, the same wish is told only once."""
        moves = tick.decision.moves
        before, self._wishes = self._wishes, frozenset((move.guest, move.kind) for move in moves)
        return tuple(
            MoveTold(
                at_s=self._at_s,
                guest=move.guest,
                kind=move.kind,
                from_bytes=move.from_bytes,
                to_bytes=move.to_bytes,
                sentence=summary(move),
            )
            for move in moves
            if self._control.moving or (move.guest, move.kind) not in before
        )

    def check_room(self) -> None:
        """Refuse one listener too many.

        Raises:
            ServiceError: there are as many as there may be.
        """
        if self.listeners >= MOST_LISTENERS:
            raise ServiceError(
                f"{self.listeners} pages and programs listen already, and more are not served",
                hint="close some; `GET /v1/guests` answers everybody",
            )

    async def events(self) -> AsyncGenerator[bytes, None]:
        """Give events as they come, and a sign of life where none do, until closed."""
        seen = -1
        while not self._closed:
            fresh = self._fresh
            if self._tick is not None and seen != self._number:
                if seen != self._number - 1:
                    yield _event("recent", Recent(moves=tuple(self._moves)))
                seen = self._number
                yield self._newest(self._tick)
            elif not await _within(HEARTBEAT_S, fresh):
                yield self._sign_of_life()

    def _newest(self, tick: Tick) -> bytes:
        """Write the newest pass out, once."""
        if self._frame is None:
            told = Pass(
                number=self._number,
                at_s=self._at_s,
                overview=making.overview_of(
                    tick,
                    faults=self._control.faults,
                    cards=self._control.cards,
                    age_s=self._control.age_s or 0.0,
                    moving=self._control.moving,
                    limit_faults=self._control.limit_faults(),
                ),
                box=self._box(),
                moves=self._told,
            )
            self._frame = _event("pass", told, number=self._number)
        return self._frame

    def _box(self) -> Box | None:
        report = self._report()
        if report is None:
            return None
        return Box(
            total_bytes=report.memory.total_bytes,
            available_bytes=report.memory.available_bytes,
            reserve_bytes=report.accounts.reserve_bytes,
            overhead_bytes=report.accounts.overhead_bytes,
            foreign_bytes=report.accounts.foreign_bytes,
            hugetlb_bytes=report.accounts.hugetlb_bytes,
        )

    def _sign_of_life(self) -> bytes:
        age_s = self._control.age_s
        if age_s is None:
            return b": waiting for the first look\n\n"
        return _event("late", Late(age_s=age_s))


def _event(name: str, document: Document, *, number: int | None = None) -> bytes:
    """Write an event out; JSON has no line breaks of its own."""
    numbered = "" if number is None else f"id: {number}\n"
    return f"{numbered}event: {name}\ndata: {document.model_dump_json()}\n\n".encode()


async def _within(deadline_s: float, event: asyncio.Event) -> bool:
    try:
        async with asyncio.timeout(deadline_s):
            await event.wait()
    except TimeoutError:
        return False
    return True


class _Listening(Response):
    """An answer that goes on until the listener leaves or the stream is closed."""

    media_type = "text/event-stream"

    def __init__(self, stream: TickStream) -> None:
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]  # it has no end
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until one of both sides ends it."""
        del scope
        self._stream.listeners += 1
        try:
            async with asyncio.TaskGroup() as tasks:
                sending = tasks.create_task(self._send(send))
                while (await receive())["type"] != "http.disconnect":
                    pass
                sending.cancel()
        finally:
            self._stream.listeners -= 1

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async with aclosing(self._stream.events()) as events:
            async for event in events:
                for start in range(0, len(event), PIECE_BYTES):
                    piece = event[start : start + PIECE_BYTES]
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def add_stream_route(app: FastAPI, stream: TickStream) -> None:
    """Serve a stream at GET /v1/stream."""

    @app.get("/v1/stream", response_class=_Listening, status_code=200, tags=["stream"])
    async def listen() -> Response:
        """Tell every pass as it happens, as server-sent events."""
        stream.check_room()
        return _Listening(stream)
