"""The one writer's hand: passes, endings and audit entries into the database, a batch at a time.

A batch is written whole or not at all. After any error the store is of no use any more: it is
closed, and another is opened; what it remembered is read back, or begins anew.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, assert_never

from barostat.core.decide import Decision
from barostat.history.film import Pass
from barostat.history.rollup import STEPS, forget, roll_up
from barostat.history.rows import HOLD, DecisionLog, audit_row, host_row, sample_row
from barostat.history.schema import open_writer, transaction
from barostat.history.shelf import LEAST_GUESTS, Shelf
from barostat.history.values import AuditEntry, Ending

__all__ = ["Ended", "Entry", "Looked", "Store"]

ROLL_UP_S: Final = STEPS[1].step_s

DECISIONS_A_GUEST: Final = 1_200
"""Guests that are moved every minute are remembered for a day then, calm ones for months."""

SAMPLE: Final = """
INSERT OR REPLACE INTO sample (step, at, guest, looks, status, assigned_kib, demand_kib,
    available_kib, target_kib, balloon_kib, plugged_kib, promised_kib)
VALUES (1, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?)
"""
HOST_SAMPLE: Final = """
INSERT OR REPLACE INTO host_sample (step, at, looks, tier, capacity_kib, promised_kib,
    in_hand_kib, pool_kib)
VALUES (1, ?, 1, ?, ?, ?, ?, ?)
"""
DECISION: Final = """
INSERT OR REPLACE INTO decision (at_ms, guest, kind, from_bytes, to_bytes, by_balloon, reasons)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""
OLDEST_DECISIONS: Final = """
DELETE FROM decision WHERE (at_ms, guest) IN (
    SELECT at_ms, guest FROM decision ORDER BY at_ms LIMIT ?
)
"""
ENDING: Final = f"""
UPDATE decision SET arrived = :arrived, ended_bytes = :ended, took_ms = :took, error = :error
WHERE guest = :guest AND kind = :kind AND to_bytes = :to AND at_ms = (
    SELECT at_ms FROM decision WHERE guest = :guest AND kind != '{HOLD}'
    ORDER BY at_ms DESC LIMIT 1
)
"""  # noqa: S608 - our own
AUDIT: Final = """
INSERT INTO audit (at_ms, who, origin, what, guest, before, after) VALUES (?, ?, ?, ?, ?, ?, ?)
"""
GUEST: Final = """
INSERT INTO guest (name, first_at, last_at) VALUES (:name, :at, :at)
ON CONFLICT (name) DO UPDATE SET last_at = max(last_at, :at) RETURNING id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """A pass, and when it was."""

    at_s: float
    tick: Pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a move ended."""

    ending: Ending


Entry = Looked | Ended | AuditEntry


class Store:
    """The database, open for writing.

    Raises:
        NewerError, ForeignError: it is not for us; nothing was changed.
        sqlite3.Error, OSError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with _as_we_wrote_it():
            self._database = open_writer(path)
        self._log = DecisionLog()
        self._decisions: int
        self._rolled_s: int | None
        self._ids: dict[str, int] = {}
        self._unrolled: tuple[int, int] | None = None  # the first and last second not rolled up
        try:
            self._inode = path.stat().st_ino
            with _as_we_wrote_it():
                self._shelf = Shelf(self._database)
                self._decisions, self._rolled_s = self._database.execute(
                    "SELECT (SELECT count(*) FROM decision), 0 + max(at) FROM sample "
                    "WHERE step = ?",
                    (ROLL_UP_S,),
                ).fetchone()
        except BaseException:
            self._database.close()
            raise

    @property
    def stands(self) -> bool:
        """Whether what was opened is still what is found at the path."""
        try:
            return self._path.stat().st_ino == self._inode
        except OSError:
            return False

    def check(self) -> None:
        """Read all of the database and see that it is whole.

        Raises:
            sqlite3.DatabaseError: it is not.
        """
        found = self._database.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise _damaged(str(found))

    def write(self, entries: Sequence[Entry]) -> None:
        """Write all of it or nothing.

        Raises:
            sqlite3.Error, OSError: nothing was written; this store is of no use any more.
        """
        try:
            with transaction(self._database):
                for entry in entries:
                    self._write(entry)
        except UnicodeDecodeError as error:  # SQLite's own words about a table of another name
            raise _damaged(str(error)) from error

    def _write(self, entry: Entry) -> None:
        match entry:
            case Looked():
                self._look(entry.at_s, entry.tick)
            case Ended():
                self._end(entry.ending)
            case AuditEntry():
                self._database.execute(AUDIT, audit_row(entry))
            case _:
                assert_never(entry)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def _look(self, at_s: float, tick: Pass) -> None:
        second, at_ms, decision = int(at_s), round(at_s * 1000), tick.decision
        self._keep_up(second, decision)
        ids = self._ids_of(second, decision)
        write = self._database.executemany
        write(SAMPLE, [sample_row(second, ids[it.guest], it) for it in decision.guests])
        write(HOST_SAMPLE, [host_row(second, decision)])
        told = self._log.news(decision, hurried=tick.snapshot.hurried)
        news = [(at_ms, ids[guest], *row) for guest, row in told]
        write(DECISION, news)
        self._decisions += len(news)
        self._shelf.add(at_ms, tick)

    def _ids_of(self, second: int, decision: Decision) -> dict[str, int]:
        for guest in decision.guests:
            if guest.guest not in self._ids:
                self._note_guest(guest.guest, second)
        return self._ids

    def _note_guest(self, name: str, second: int) -> None:
        found = self._database.execute(GUEST, {"name": name, "at": second}).fetchall()
        self._ids[name] = found[0][0]

    def _keep_up(self, second: int, decision: Decision) -> None:
        """Roll up and forget, whenever a period of the first longer samples is over."""
        if self._unrolled is None:
            first = second if self._rolled_s is None else min(second, self._rolled_s)
            self._unrolled = (first, second)
            return
        first, last = self._unrolled
        if second // ROLL_UP_S == last // ROLL_UP_S:
            self._unrolled = (min(first, second), max(last, second))
            return
        roll_up(self._database, first_s=first, last_s=last)
        self._unrolled = (second, second)
        self._ids.clear()  # asked for again, they are noted as still there
        forget(self._database, now_s=second)
        with _as_we_wrote_it():
            self._shelf.trim(now_ms=second * 1000, guests=len(decision.guests))
        self._forget_decisions(room=DECISIONS_A_GUEST * max(LEAST_GUESTS, len(decision.guests)))

    def _forget_decisions(self, *, room: int) -> None:
        if self._decisions > room:
            oldest = self._database.execute(OLDEST_DECISIONS, (self._decisions - room,))
            self._decisions -= oldest.rowcount

    def _end(self, ending: Ending) -> None:
        move, error = ending.move, ending.error
        self._database.execute(
            ENDING,
            {
                "guest": self._ids.get(move.guest),
                "kind": move.kind.value,
                "to": move.to_bytes,
                "arrived": ending.arrived,
                "ended": ending.assigned_bytes,
                "took": round(ending.took_s * 1000),
                "error": None if error is None else error.message,
            },
        )


@contextmanager
def _as_we_wrote_it() -> Iterator[None]:
    """Read what is there; a column of another kind than ours is damage, whoever did it."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise _damaged(str(error)) from error


def _damaged(words: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(words)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error
