"""The gate before all routes: no request gets further that its sender may not make.

What changes something and comes by a browser's session must come from a page of ours, which the
browser itself says: no other page can have it make changes in its user's name.
"""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from barostat.errors import ServiceError
from barostat.service.access import NOBODY, Caller, Role, Way, needed_role
from barostat.service.answers import answer, forbidden, refused
from barostat.service.audit import Audit
from barostat.service.doorkeeper import Doorkeeper, Refusal, comes_from_our_page
from barostat.service.peers import RemotePeer
from barostat.service.problems import problem_of

__all__ = ["Gate"]

_HIGHER: Final = {True: "on the host root is admin: use sudo", False: "ask for another token"}

_ONLY_LOOK: Final = frozenset({"GET", "HEAD"})


class Gate:
    """Finds out who asks, and lets through what they may.

    Args:
        app: what is asked. Requests reach it with their `caller` in `scope["state"]`.
        doorkeeper: finds out who asks.
        audit: is told of changes that were refused.
    """

    def __init__(self, app: ASGIApp, doorkeeper: Doorkeeper, audit: Audit) -> None:
        self._app = app
        self._doorkeeper = doorkeeper
        self._audit = audit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or say why not."""
        refusal = await self._refusal(scope) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)

    async def _refusal(self, scope: Scope) -> Response | None:
        """Say why a request is refused; None: it is not."""
        needed = needed_role(scope["method"], scope["path"])
        if needed is Role.ANYBODY and isinstance(scope["state"]["peer"], RemotePeer):
            scope["state"]["caller"] = NOBODY
            return None
        try:
            found = await self._doorkeeper.caller(scope)
        except ServiceError as error:
            return answer(problem_of(error))
        if isinstance(found, Refusal):
            return refused(found)
        scope["state"]["caller"] = found
        if not found.role.reaches(needed):
            return await self._too_low(found, needed, scope)
        if found.way is Way.SESSION and scope["method"] not in _ONLY_LOOK:
            return _foreign(Headers(scope=scope))
        return None

    async def _too_low(self, caller: Caller, needed: Role, scope: Scope) -> Response:
        if caller.way is None:
            return refused(_STRANGER)
        if scope["method"] not in _ONLY_LOOK:
            await self._audit.refused(caller, f"{scope['method']} {scope['path']}")
        return forbidden(
            f"{caller.name} has the role {caller.role.value}; this takes {needed.value}",
            hint=f"{_HIGHER[caller.way is Way.SOCKET]}; nothing was changed",
        )


_STRANGER: Final = Refusal(
    status=401,
    detail="nothing is answered here without a token",
    hint="send `Authorization: Bearer TOKEN`; on the host, `barostat token create` makes one",
    headers={"www-authenticate": "Bearer"},
)


def _foreign(headers: Headers) -> Response | None:
    if comes_from_our_page(headers):
        return None
    hint = "programs send a token, and no cookie; nothing was changed"
    return forbidden("a page of another site may change nothing here", hint=hint)
