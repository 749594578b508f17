"""The writer: one thread that owns the database, and what it does when that fails.

A plain thread with the standard library's sqlite3, not an asynchronous driver: such a driver is the
same thread with a hop back to the event loop for every statement, and nobody here waits for an
answer. Whatever happens to the disk, the balancer hands over a reference and goes on.

A fault is told once, when it comes, and once more when it has gone; in between it is tried again
with growing pauses. A damaged file is moved aside and a new one begun.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from barostat.history.faults import ForeignError, NewerError, fault_of
from barostat.history.mailbox import Mailbox
from barostat.history.store import Entry, Store
from barostat.history.values import AuditEntry, FaultKind, HistoryFault

__all__ = ["Writer"]

_log = logging.getLogger(__name__)

FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 30.0
"""A disk that was made room on is noticed within half a minute."""

WAITING_PASSES: Final = 60
"""A minute of passes is kept while the disk is slow: more would be memory, not history."""

WAITING_MOST: Final = 1_000

KEPT_ASIDE: Final = 3
"""Damaged files that are kept to be looked into: a failing disk must not be filled with them."""

FAILURES: Final = (sqlite3.Error, OSError, NewerError, ForeignError)


class Writer:
    """Writes what is handed to it, in a thread of its own.

    Args:
        path: the database; its folder is made if it is missing.
        wall: seconds since 1970.
        first_pause_s: how long after the first failure it is tried again.

    Attributes:
        fault: what is wrong now, None while all is well.
        failures: how often what went wrong, ever.
    """

    def __init__(
        self, path: Path, *, wall: Callable[[], float], first_pause_s: float = FIRST_PAUSE_S
    ) -> None:
        self.fault: HistoryFault | None = None
        self.failures: Counter[FaultKind] = Counter()
        self._path = path
        self._wall = wall
        self._first_pause_s = first_pause_s
        self._pause_s = first_pause_s
        self._mailbox = Mailbox(passes=WAITING_PASSES, most=WAITING_MOST)
        self._store: Store | None = None
        self._suspect = False
        self._dropped_before = 0
        self._attempted = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="history", daemon=True)

    @property
    def dropped(self) -> int:
        """How many entries were lost because they could not be written in time."""
        return self._mailbox.dropped

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def hand(self, entry: Entry) -> None:
        """Have something written, soon. It is dropped and counted if too much waits already."""
        self._mailbox.offer(entry)

    def suspect(self) -> None:
        """Have the database looked over: a reader found it damaged."""
        self._suspect = True

    def settled(self, *, timeout_s: float) -> bool:
        """Wait until nothing waits to be written any more; say whether it came to that."""
        return self.wait_until(lambda: not self._mailbox, timeout_s=timeout_s)

    def wait_until(self, so: Callable[[], bool], *, timeout_s: float) -> bool:
        """Wait until something is so after an attempt to write; say whether it came to that."""
        with self._attempted:
            return self._attempted.wait_for(so, timeout_s)

    def close(self, *, timeout_s: float) -> bool:
        """Write what waits, if that can be done at once, and end.

        Returns:
            False if it did not end in time; then it ends with the process.
        """
        self._mailbox.close()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while True:
            entries = self._mailbox.peek()
            closed = self._mailbox.closed  # before the attempt: this one is the last
            if entries:
                self._attempt(entries)
            if closed:
                break
            if self.fault is not None:
                self._mailbox.rest(self._pause_s)
                self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)
        self._drop_store()

    def _attempt(self, entries: tuple[Entry, ...]) -> None:
        try:
            self._opened().write(entries)
        except FAILURES as error:
            self._failed(fault_of(error, self._path))
        except Exception as error:  # noqa: BLE001 - ours: it must not end the thread, nor come again
            _log.exception("%d entries of the history cannot be written", len(entries))
            self._mailbox.lose(len(entries))
            self._failed(fault_of(error, self._path))
        else:
            self._mailbox.remove(len(entries))
            self._recovered()
        with self._attempted:
            self._attempted.notify_all()

    def _opened(self) -> Store:
        """Give the store, a new one if there is none or the file was taken away."""
        if self._store is not None and not self._store.stands:
            self._drop_store()
        if self._store is None:
            self._store = Store(self._path)
        if self._suspect:
            self._suspect = False
            self._store.check()
        return self._store

    def _drop_store(self) -> None:
        if self._store is not None:
            with contextlib.suppress(sqlite3.Error):
                self._store.close()
            self._store = None

    def _failed(self, fault: HistoryFault) -> None:
        self._drop_store()
        before, self.fault = self.fault, fault
        if before is None:
            self._dropped_before = self._mailbox.dropped
        elif before.kind is fault.kind:
            return
        self.failures[fault.kind] += 1
        _log.error("%s; %s", fault.message, fault.hint)
        if fault.kind is FaultKind.DAMAGED:
            self._begin_anew()

    def _recovered(self) -> None:
        if self.fault is None:
            return
        lost = self._mailbox.dropped - self._dropped_before
        _log.warning("the history %s is written again; %d entries were lost", self._path, lost)
        self.fault, self._pause_s = None, self._first_pause_s

    def _begin_anew(self) -> None:
        """Move a damaged database aside, and note in the new one that there was another."""
        at_s = self._wall()
        stamp = datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H%M%SZ")
        aside = self._path.with_name(f"{self._path.name}.corrupt-{stamp}")
        try:
            self._path.rename(aside)
            for suffix in ("-wal", "-shm"):
                beside = self._path.with_name(self._path.name + suffix)
                with contextlib.suppress(FileNotFoundError):
                    beside.rename(aside.with_name(aside.name + suffix))
            self._keep_few()
        except OSError as error:
            _log.error("the damaged history cannot be moved aside: %s", error)
            return
        self._mailbox.offer(
            AuditEntry(
                at_s=at_s,
                who="barostat",
                origin="history",
                what="begun anew",
                before={"moved_aside": str(aside)},
            )
        )

    def _keep_few(self) -> None:
        aside = sorted(self._path.parent.glob(f"{self._path.name}.corrupt-*Z"))
        for old in aside[:-KEPT_ASIDE]:
            for suffix in ("", "-wal", "-shm"):
                old.with_name(old.name + suffix).unlink(missing_ok=True)
