"""Routes about who may ask: a browser's session, and the tokens.

A token is in an answer once, when it is made. A session's word is in a cookie that no script sees.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import Headers

from barostat.errors import InputError
from barostat.service.access import Caller
from barostat.service.answers import ERRORS, forbidden, refused
from barostat.service.dependencies import Asked, Told
from barostat.service.documents import TokenList, TokenMade, TokenView, You
from barostat.service.doorkeeper import Doorkeeper, Refusal, comes_from_our_page, cookie_of
from barostat.service.peers import Peer, RemotePeer
from barostat.service.sessions import COOKIE, LASTS_S
from barostat.service.tokens import (
    LONGEST_LIFE_S,
    LONGEST_NAME,
    SHORTEST_LIFE_S,
    Granted,
    Token,
    digest_of,
    view_of,
)

__all__ = ["add_account_routes"]

router = APIRouter(prefix="/v1", responses=ERRORS)


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Login(_Body):
    """What opens a session."""

    token: str = Field(min_length=1, max_length=256)


class NewToken(_Body):
    """The token to make."""

    role: Granted
    name: str | None = Field(default=None, max_length=LONGEST_NAME)
    lasts_s: float | None = Field(default=None, ge=SHORTEST_LIFE_S, le=LONGEST_LIFE_S)


async def _doorkeeper(request: Request) -> Doorkeeper:
    doorkeeper: Doorkeeper = request.app.state.doorkeeper
    return doorkeeper


Door = Annotated[Doorkeeper, Depends(_doorkeeper)]


@router.get("/session")
async def you(asked: Asked) -> You:
    """Say who you are, and what you may do."""
    return _you(asked)


@router.post("/session", response_model=You)
async def log_in(request: Request, response: Response, door: Door, login: Login) -> object:
    """Open a session for a browser: its cookie stands for the token for some hours."""
    peer: Peer = request.scope["state"]["peer"]
    if not isinstance(peer, RemotePeer):
        raise InputError(
            "sessions are for browsers", hint="on the socket you are known; nothing was changed"
        )
    if _from_elsewhere(request.headers):
        return forbidden("a page of another site may not open a session here")
    found = await door.by_token(login.token, peer)
    if isinstance(found, Refusal):
        return refused(found)
    word = door.sessions.open(digest_of(login.token))
    response.set_cookie(
        COOKIE, word, max_age=LASTS_S, secure=True, httponly=True, samesite="strict"
    )
    return _you(found)


def _from_elsewhere(headers: Headers) -> bool:
    """Say whether a browser sent this from a foreign page. A program says nothing of pages."""
    by_a_browser = "origin" in headers or "sec-fetch-site" in headers
    return by_a_browser and not comes_from_our_page(headers)


@router.delete("/session", status_code=204)
async def log_out(request: Request, response: Response, door: Door) -> None:
    """End a browser's session, if there is one."""
    word = cookie_of(request.headers)
    if word is not None and not _from_elsewhere(request.headers):
        door.sessions.close(word)
    response.delete_cookie(COOKIE, secure=True, httponly=True, samesite="strict")


@router.get("/tokens")
async def tokens(door: Door) -> TokenList:
    """Name all tokens. None of them can be seen again."""
    found = await asyncio.to_thread(door.tokens.all)
    return TokenList(tokens=tuple(view_of(token, door.tokens) for token in found))


@router.post("/tokens", status_code=201)
async def make_token(door: Door, asked: Asked, told: Told, wanted: NewToken) -> TokenMade:
    """Make a token. This answer is the only one that has it."""
    secret, token = await asyncio.to_thread(
        door.tokens.create, role=wanted.role, name=wanted.name, lasts_s=wanted.lasts_s
    )
    await told.changed(asked, "token made", before=None, after=_told(token))
    return TokenMade(token=secret, made=view_of(token, door.tokens))


@router.delete("/tokens/{name}")
async def revoke_token(
    door: Door, asked: Asked, told: Told, name: Annotated[str, Path(max_length=255)]
) -> TokenView:
    """Take a token away: it opens nothing from now on."""
    token = await asyncio.to_thread(door.tokens.revoke, name)
    await told.changed(asked, "token revoked", before=_told(token), after=None)
    return view_of(token, door.tokens)


def _you(caller: Caller) -> You:
    return You(name=caller.name, role=caller.role.value, way=caller.way and caller.way.value)


def _told(token: Token) -> dict[str, object]:
    return token.model_dump(exclude={"sha256"})


def add_account_routes(app: FastAPI, doorkeeper: Doorkeeper) -> None:
    """Serve sessions and tokens. The application stands behind a `Gate` of this doorkeeper."""
    app.state.doorkeeper = doorkeeper
    app.include_router(router)
