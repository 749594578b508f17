"""Where film is kept: a row a second while a reel is made, one row for it when it is full.

What decisions saw is by far the most that is written, so it is kept by size too: the oldest reels
go when there is no more room.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from barostat.history.film import REEL_TICKS, Camera, Pass
from barostat.history.rollup import DAY_S
from barostat.history.schema import transaction

__all__ = ["Shelf"]

KEPT_S: Final = 2 * DAY_S
GUEST_BYTES: Final = 400 * 1024
"""A guest's part holds half a day of much, and two of little happening in it."""

LEAST_GUESTS: Final = 10
"""A host of few guests has as much room as one of so many."""

REELS_AT_ONCE: Final = 20
"""No more are forgotten every 10 s, in which a reel is begun once or twice."""

OF_REEL: Final = f"id BETWEEN :reel AND :reel + {REEL_TICKS} AND reel = :reel"
"""A reel's rows have ids that follow each other, from its own on."""


class Shelf:
    """The film of a database that is open for writing.

    Raises:
        sqlite3.Error: it cannot be read.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._camera = Camera()
        self._bytes: int
        self._last_id: int
        self._bytes, self._last_id, self._reel = database.execute(
            "SELECT coalesce(sum(length(data)), 0), coalesce(max(id), 0), coalesce(max(reel), 0) "
            "FROM film"
        ).fetchone()
        with transaction(database):
            self._bind()  # whoever wrote the last one may not have come to its end

    def add(self, at_ms: int, tick: Pass) -> None:
        """Keep what a pass saw."""
        picture = self._camera.take(tick)
        self._last_id += 1
        if picture.first:
            self._bind()
            self._reel = self._last_id
        self._database.execute(
            "INSERT INTO film (id, reel, at_ms, data) VALUES (?, ?, ?, ?)",
            (self._last_id, self._reel, at_ms, picture.data),
        )
        self._bytes += len(picture.data)

    def trim(self, *, now_ms: int, guests: int) -> None:
        """Forget the oldest reels that are too old, or too many for so many guests."""
        room_bytes = GUEST_BYTES * max(guests, LEAST_GUESTS)
        for _ in range(REELS_AT_ONCE):
            oldest = self._database.execute(
                "SELECT reel, at_ms FROM film ORDER BY id LIMIT 1"
            ).fetchone()
            if oldest is None or oldest[0] == self._reel:
                return
            if self._bytes <= room_bytes and oldest[1] >= now_ms - KEPT_S * 1000:
                return
            gone = self._database.execute(
                f"DELETE FROM film WHERE {OF_REEL} RETURNING length(data)",  # noqa: S608 - our own
                {"reel": oldest[0]},
            ).fetchall()
            self._bytes -= sum(size for (size,) in gone)

    def _bind(self) -> None:
        """Make one row of the last reel's: small rows waste half of their pages."""
        reel = {"reel": self._reel}
        rows = self._database.execute(
            f"SELECT data FROM film WHERE {OF_REEL} ORDER BY id",  # noqa: S608 - our own
            reel,
        ).fetchall()
        if len(rows) < 2:  # noqa: PLR2004 - nothing to bind together
            return
        self._database.execute(
            "UPDATE film SET data = ? WHERE id = ?",
            (b"".join(data for (data,) in rows), self._reel),
        )
        self._database.execute(
            f"DELETE FROM film WHERE {OF_REEL} AND id > :reel",  # noqa: S608 - our own
            reel,
        )
