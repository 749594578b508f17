"""Who asks? Found out from the connection, a token or a session; never from what says so itself.

On the UNIX socket the kernel says whose process it is. Over the network somebody shows a token, a
browser the session that was opened with one, or a client's certificate has a role as its unit. Who
shows something wrong is refused, even if something else they have would be right.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from barostat.service.access import GRANTED, NOBODY, Caller, Role, Way
from barostat.service.patience import Patience
from barostat.service.peers import Certificate, LocalPeer, Peer, RemotePeer
from barostat.service.sessions import COOKIE, Sessions
from barostat.service.tokens import Token, TokenStore, digest_of

__all__ = ["SOCKET", "Doorkeeper", "Refusal", "comes_from_our_page", "cookie_of"]

ROOT: Final = 0
SOCKET: Final = "socket"
"""From where somebody asks who is on this machine."""

LONGEST_WORD: Final = 256
"""No token or cookie of ours is longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why nothing is answered: an HTTP status, what is wrong, and what would be right."""

    status: int
    detail: str
    hint: str
    headers: Mapping[str, str] = field(default_factory=dict)


class Doorkeeper:
    """Knows tokens and sessions, and finds out who asks.

    Attributes:
        tokens, sessions: those that are good.
        group_id: of the group whose members may ask on the socket; None: root and we alone.
    """

    def __init__(self, tokens: TokenStore) -> None:
        self.tokens = tokens
        self.sessions = Sessions()
        self.group_id: int | None = None
        self._patience = Patience()

    async def caller(self, scope: Scope) -> Caller | Refusal:
        """Find out who sent a request.

        Raises:
            ServiceError: the tokens cannot be read.
        """
        peer: Peer = scope["state"]["peer"]
        if isinstance(peer, LocalPeer):
            return self._local(peer)
        headers = Headers(scope=scope)
        shown, word = headers.get("authorization"), cookie_of(headers)
        if shown is not None:
            scheme, _, secret = shown.partition(" ")
            return await self.by_token(secret.strip() if scheme.lower() == "bearer" else "", peer)
        if word is not None:
            return await self._by_session(word, peer)
        return _by_certificate(peer)

    def _local(self, peer: LocalPeer) -> Caller | Refusal:
        name = f"uid {peer.uid}"
        if peer.uid in (ROOT, os.geteuid()):
            role = Role.ADMIN
        elif self.group_id is not None and self.group_id in peer.groups:
            role = Role.OPERATOR
        else:
            return Refusal(
                status=403,
                detail=f"{name} may not ask the daemon",
                hint="become a member of the group that [service] names, and log in again",
            )
        return Caller(role=role, way=Way.SOCKET, name=name, uid=peer.uid, origin=SOCKET)

    async def by_token(self, secret: str, peer: RemotePeer) -> Caller | Refusal:
        """Find out whose token it is. A good one is good, however many wrong ones came before."""
        token = await self._token(digest_of(secret)) if len(secret) <= LONGEST_WORD else None
        if token is not None:
            return _caller(token, Way.TOKEN, peer)
        wait_s = self._patience.wait_s(peer.address)
        if wait_s:
            return Refusal(
                status=429,
                detail="too many wrong tokens came from this address",
                hint=f"try again in {wait_s} s; `barostat token list` shows which tokens are good",
                headers={"retry-after": str(wait_s)},
            )
        self._patience.wrong(peer.address)
        return _unknown("the token is not good: it is wrong, expired or revoked")

    async def _by_session(self, word: str, peer: RemotePeer) -> Caller | Refusal:
        digest = self.sessions.find(word) if len(word) <= LONGEST_WORD else None
        token = None if digest is None else await self._token(digest)
        if token is None:
            return _unknown("the session has ended")
        return _caller(token, Way.SESSION, peer)

    async def _token(self, digest: str) -> Token | None:
        return await asyncio.to_thread(self.tokens.find, digest)


def cookie_of(headers: Headers) -> str | None:
    """Find the session's word in a request's cookies."""
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return None
    return None if found is None else found.value


def comes_from_our_page(headers: Headers) -> bool:
    """Say whether a browser sent this from a page of ours; no page can have it say so falsely."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = urlsplit(headers.get("origin", ""))
    return origin.scheme == "https" and origin.netloc == headers.get("host")


def _caller(token: Token, way: Way, peer: RemotePeer) -> Caller:
    return Caller(role=Role(token.role), way=way, name=token.name, origin=peer.address)


def _by_certificate(peer: RemotePeer) -> Caller | Refusal:
    """Take the role that a certificate's subject has as a unit; of several, none."""
    shown = peer.certificate
    if shown is None:
        return Caller(role=NOBODY.role, way=None, name=NOBODY.name, origin=peer.address)
    role = _role_of(shown)
    if role is None:
        return _unknown(
            f"the certificate of {shown.name!r} has no role",
            hint="its subject takes exactly one of OU=viewer, OU=operator and OU=admin",
        )
    return Caller(role=role, way=Way.CERTIFICATE, name=shown.name, origin=peer.address)


def _role_of(certificate: Certificate) -> Role | None:
    roles = [role for role in GRANTED if role.value in certificate.units]
    return roles[0] if len(roles) == 1 else None


def _unknown(detail: str, *, hint: str = "") -> Refusal:
    return Refusal(
        status=401,
        detail=detail,
        hint=hint or "`barostat token create --role viewer` on the host makes a token",
        headers={"www-authenticate": "Bearer"},
    )
