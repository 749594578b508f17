"""A bound on what a client may send: so much, in so long. No body of the API's needs more."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from barostat.service.problems import MEDIA_TYPE, status_problem

__all__ = ["BoundedBodies"]

LARGEST_BODY_BYTES: Final = 64 * 1024
"""Settings are a few hundred bytes."""

BODY_DEADLINE_S: Final = 5.0
"""A client on this machine sends them at once; who dawdles must not hold a place for others."""


class BoundedBodies:
    """Reads a request's body whole, within bounds, before anybody else sees the request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it: 413 too large, 408 too slow."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(BODY_DEADLINE_S):
                body = await _read(receive)
        except TimeoutError:
            says = f"the request was not whole within {BODY_DEADLINE_S:g} s"
            await _refuse(408, says, scope, receive, send)
            return
        if body is None:
            says = f"the request's body is larger than {LARGEST_BODY_BYTES} bytes"
            await _refuse(413, says, scope, receive, send)
            return
        await self._app(scope, _Replay(body, receive), send)


async def _read(receive: Receive) -> bytes | None:
    """Read the body; None if it is too large."""
    body = b""
    while True:
        message = await receive()
        part: bytes = message.get("body", b"")
        body += part
        if len(body) > LARGEST_BODY_BYTES:
            return None
        if message["type"] != "http.request" or not message.get("more_body", False):
            return body


class _Replay:
    """Gives the body that was read, then whatever comes."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


async def _refuse(status: int, says: str, scope: Scope, receive: Receive, send: Send) -> None:
    problem = status_problem(status, says, hint="nothing was changed")
    headers = {"connection": "close"}  # what is still to come of it would be read as the next
    answer = Response(problem.model_dump_json(), status, headers, MEDIA_TYPE)
    await answer(scope, receive, send)
