"""Routes about what was: samples, decisions, changes, and why a VM had what it had."""

from __future__ import annotations

import time
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query

from barostat.history.history import History
from barostat.service.answers import ERRORS
from barostat.service.dependencies import Desk, Moment, Name
from barostat.service.past import (
    AuditList,
    DecisionList,
    GuestHistory,
    HostHistory,
    audits_of,
    decisions_of,
    guest_history_of,
    host_history_of,
)

__all__ = ["past_router"]

DEFAULT_S: Final = 3600.0
"""Who does not say since when gets the last hour."""
past_router = APIRouter(prefix="/v1", responses=ERRORS)


async def _history(desk: Desk) -> History:
    return desk.history


Kept = Annotated[History, Depends(_history)]
Points = Annotated[int, Query(ge=1, le=2000, description="Samples, at most.")]
Limit = Annotated[int, Query(ge=1, le=1000, description="The newest so many.")]


@past_router.get("/guests/{name}/history")
async def guest_history(
    history: Kept,
    name: Name,
    since_s: Moment = None,
    until_s: Moment = None,
    points: Points = 300,
) -> GuestHistory:
    """Say what a VM had and needed; without times, in the last hour."""
    since_s, until_s = _span(since_s, until_s)
    found = await history.samples(name, since_s=since_s, until_s=until_s, points=points)
    return guest_history_of(found)


@past_router.get("/host/history")
async def host_history(
    history: Kept, since_s: Moment = None, until_s: Moment = None, points: Points = 300
) -> HostHistory:
    """Say how the host's memory stood; without times, in the last hour."""
    since_s, until_s = _span(since_s, until_s)
    return host_history_of(await history.host(since_s=since_s, until_s=until_s, points=points))


@past_router.get("/moves")
async def moves(
    history: Kept,
    guest: Annotated[str | None, Query(max_length=255, description="Of one VM alone.")] = None,
    since_s: Moment = None,
    until_s: Moment = None,
    limit: Limit = 100,
) -> DecisionList:
    """Say what was moved and what was left, with reasons; without times, in the last hour."""
    since_s, until_s = _span(since_s, until_s)
    found = await history.decisions(guest, since_s=since_s, until_s=until_s, limit=limit)
    return decisions_of(found)


@past_router.get("/audit")
async def audit(
    history: Kept, since_s: Moment = 0, until_s: Moment = None, limit: Limit = 100
) -> AuditList:
    """Say who changed what; without times, at any time."""
    since_s, until_s = _span(since_s, until_s)
    return audits_of(await history.audits(since_s=since_s, until_s=until_s, limit=limit))


def _span(since_s: float | None, until_s: float | None) -> tuple[float, float]:
    until_s = time.time() if until_s is None else until_s
    return (max(0.0, until_s - DEFAULT_S) if since_s is None else since_s), until_s
