"""What is read out of the history, each time by a connection of its own that cannot write.

Every answer is bounded in rows, and given up after a deadline: SQLite itself stops then, no thread
is left behind. The functions here block; `History` calls them in worker threads.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from barostat.errors import HistoryError, UnknownGuestError
from barostat.history import queries
from barostat.history.faults import ForeignError, NewerError, fault_of
from barostat.history.periods import bounded, period_of
from barostat.history.replaying import replay_at
from barostat.history.rows import audit_entry, host_sample, recorded_decision, sample
from barostat.history.schema import open_reader
from barostat.history.values import (
    AuditEntry,
    FaultKind,
    HostSeries,
    KnownGuest,
    Metering,
    RecordedDecision,
    Replay,
    Series,
)
from barostat.units import KIB

__all__ = ["DamagedError", "Reader"]

DEADLINE_S: Final = 5.0
"""A page or a person waits no longer for a chart."""

METERING_POINTS: Final = 1_000
"""So fine is a period measured, where it is kept so fine: a month in 5 minutes, a day in 10 s."""

MOST_ROWS: Final = 10_000

LOOK_EVERY: Final = 10_000
"""SQLite's steps between two looks at the clock: about a millisecond."""


class DamagedError(HistoryError):
    """The database is damaged."""


class Reader:
    """Reads one history.

    Args:
        path: the database.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def samples(
        self, guest: str, *, since_s: float, until_s: float, points: int, now_s: float
    ) -> Series:
        """Give what a guest had and needed, in about so many points.

        Args:
            guest: its name.
            since_s: from when.
            until_s: until when.
            points: at most, 1 to 2000.
            now_s: the present: how long ago it was decides how fine it is kept.

        Raises:
            UnknownGuestError: nothing was ever recorded of it.
            HistoryError: it cannot be read.
        """
        with self._open() as database:
            period = period_of(since_s, until_s, points, now_s)
            period["guest"] = _guest_id(database, guest)
            rows = database.execute(queries.SAMPLES, period).fetchall()
            samples = tuple(sample(row) for row in rows)
        return Series(guest=guest, step_s=period["width"], samples=samples)

    def host(self, *, since_s: float, until_s: float, points: int, now_s: float) -> HostSeries:
        """Give how the host's memory stood, in about so many points; as `samples`.

        Raises:
            HistoryError: it cannot be read.
        """
        with self._open() as database:
            period = period_of(since_s, until_s, points, now_s)
            rows = database.execute(queries.HOST_SAMPLES, period).fetchall()
            samples = tuple(host_sample(row) for row in rows)
        return HostSeries(step_s=period["width"], samples=samples)

    def decisions(
        self, guest: str | None, *, since_s: float, until_s: float, limit: int
    ) -> tuple[RecordedDecision, ...]:
        """Give the newest decisions of one guest, or of all, the newest last.

        Args:
            guest: its name, None for all.
            since_s: from when.
            until_s: until when.
            limit: at most so many, up to 10,000.

        Raises:
            UnknownGuestError: nothing was ever recorded of it.
            HistoryError: it cannot be read.
        """
        with self._open() as database:
            wanted = {
                "guest": None if guest is None else _guest_id(database, guest),
                "since": round(since_s * 1000),
                "until": round(until_s * 1000),
                "limit": bounded(limit, MOST_ROWS),
            }
            query = queries.DECISIONS if guest is None else queries.DECISIONS_OF_GUEST
            rows = database.execute(query, wanted).fetchall()
            return tuple(recorded_decision(row) for row in reversed(rows))

    def decision_at(self, guest: str | None, when_s: float) -> Replay:
        """Make again the last decision before a moment, from what it saw.

        Args:
            guest: one that it must have been about, None for whichever.
            when_s: the moment.

        Raises:
            UnknownGuestError: the guest was not there.
            HistoryError: nothing was recorded then, or it is not kept any more, or unreadable.
        """
        with self._open() as database:
            return replay_at(database, guest, when_s, deadline_s=DEADLINE_S)

    def audits(self, *, since_s: float, until_s: float, limit: int) -> tuple[AuditEntry, ...]:
        """Give the newest changes that somebody made, the newest last; as `decisions`.

        Raises:
            HistoryError: it cannot be read.
        """
        wanted = {
            "since": round(since_s * 1000),
            "until": round(until_s * 1000),
            "limit": bounded(limit, MOST_ROWS),
        }
        with self._open() as database:
            rows = database.execute(queries.AUDITS, wanted).fetchall()
            return tuple(audit_entry(row) for row in reversed(rows))

    def metering(self, *, since_s: float, until_s: float, now_s: float) -> tuple[Metering, ...]:
        """Give the mean, least and most that every guest had in a period, by name.

        The ends of the period count in the grain of the samples that are still kept of it.

        Raises:
            HistoryError: it cannot be read.
        """
        with self._open() as database:
            period = period_of(since_s, until_s, METERING_POINTS, now_s)
            rows = database.execute(queries.METERING, period).fetchall()
            return tuple(
                Metering(
                    guest=name,
                    seconds=seconds,
                    assigned_bytes=mean * KIB,
                    assigned_min_bytes=least * KIB,
                    assigned_max_bytes=most * KIB,
                )
                for name, seconds, mean, least, most in rows
            )

    def guests(self) -> tuple[KnownGuest, ...]:
        """Name every guest of which something is recorded.

        Raises:
            HistoryError: it cannot be read.
        """
        with self._open() as database:
            rows = database.execute(queries.GUESTS, (MOST_ROWS,)).fetchall()
        return tuple(
            KnownGuest(name=name, first_at_s=first, last_at_s=last) for name, first, last in rows
        )

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        until_s = time.monotonic() + DEADLINE_S
        try:
            with open_reader(self._path) as database:
                database.set_progress_handler(lambda: time.monotonic() > until_s, LOOK_EVERY)
                yield database
        except (sqlite3.Error, NewerError, ForeignError) as error:
            raise _unreadable(error, self._path) from error
        except (
            msgspec.MsgspecError,
            ArithmeticError,
            LookupError,
            TypeError,
            ValueError,
        ) as error:  # any column can hold anything, if somebody else wrote it
            raise DamagedError(
                f"the history {self._path} says what it cannot: {error}",
                hint="somebody else wrote in it, or its disk fails; ask for another time",
            ) from error


def _unreadable(error: Exception, path: Path) -> HistoryError:
    """Say why nothing can be read."""
    if not path.exists():
        return HistoryError(
            f"there is no history at {path} yet",
            hint="the daemon begins it with its first look; check that it runs, and its user may",
        )
    code = getattr(error, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_INTERRUPT:
        return HistoryError(
            f"the history {path} gave no answer within {DEADLINE_S:g} s",
            hint="ask for a shorter time, or again when the machine is less busy",
        )
    fault = fault_of(error, path)
    kind = DamagedError if fault.kind is FaultKind.DAMAGED else HistoryError
    return kind(f"the history {path} cannot be read: {error}", hint=fault.hint)


def _guest_id(database: sqlite3.Connection, guest: str) -> int:
    found = database.execute(queries.GUEST_ID, (guest,)).fetchone()
    if found is None:
        raise UnknownGuestError(
            f'nothing was ever recorded of a VM "{guest}"',
            hint="`barostat list` names those that run",
        )
    number: int = found[0]
    return number
