"""A past decision, found in the film and made again."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from barostat.errors import HistoryError, UnknownGuestError
from barostat.history import queries
from barostat.history.film import REEL_TICKS
from barostat.history.projector import Scene, project
from barostat.history.values import Replay

__all__ = ["replay_at"]

HALF_MS_S: Final = 0.0005
"""The moments of film are kept to the millisecond."""

GAP_S: Final = 10.0
"""A decision is in force for this long at most: looks come every second, or not at all."""


def replay_at(
    database: sqlite3.Connection, guest: str | None, when_s: float, *, deadline_s: float
) -> Replay:
    """Make again the last decision before a moment.

    Args:
        database: open for reading.
        guest: one that it must have been about, None for whichever.
        when_s: the moment, in seconds since 1970.
        deadline_s: how long deciding again may take.

    Raises:
        UnknownGuestError: the guest was not there.
        HistoryError: nothing was recorded then, or it is not kept any more, or unreadable.
        sqlite3.Error: the database cannot be read.
    """
    reel = database.execute(queries.REEL, (round(when_s * 1000),)).fetchone()
    if reel is None:
        raise _not_recorded(database, when_s)
    rows = database.execute(queries.FILM, {"reel": reel[0], "most": REEL_TICKS}).fetchall()
    at_s, scene = _last_scene(rows, when_s, until_s=time.monotonic() + deadline_s)
    if when_s - at_s > GAP_S:
        raise _not_recorded(database, when_s)
    names = [seen.name for seen in scene.snapshot.guests]
    if guest is not None and guest not in names:
        raise UnknownGuestError(
            f'VM "{guest}" was not there at that time',
            hint="there were: " + ", ".join(names) if names else "there was no VM at all",
        )
    return Replay(
        at_s=at_s,
        version=scene.version,
        snapshot=scene.snapshot,
        state=scene.state,
        policy=scene.policy,
        decision=scene.decision,
    )


def _last_scene(
    rows: Sequence[tuple[int, bytes]], when_s: float, *, until_s: float
) -> tuple[float, Scene]:
    """Play a reel until a moment; give the last scene, and when it was."""
    scenes = project(b"".join(data for _, data in rows))
    scene = next(scenes, None)
    if scene is None:
        raise HistoryError(
            "what that decision saw is not there", hint="another moment may be readable"
        )
    began_s = rows[0][0] / 1000 - scene.snapshot.now_s
    for following in scenes:
        if began_s + following.snapshot.now_s > when_s + HALF_MS_S:
            break
        if time.monotonic() > until_s:
            raise HistoryError(
                "that decision could not be made again in time",
                hint="ask again when the machine is less busy",
            )
        scene = following
    return began_s + scene.snapshot.now_s, scene


def _not_recorded(database: sqlite3.Connection, when_s: float) -> HistoryError:
    oldest_ms = database.execute(queries.OLDEST_FILM).fetchone()[0]
    hint = "no decision is kept to be made again yet"
    if oldest_ms is not None:
        since = f"decisions can be made again from {_said(oldest_ms / 1000)} on"
        hint = f"{since}; the moves themselves are kept for longer"
    return HistoryError(f"no decision is known at {_said(when_s)}", hint=hint)


def _said(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
