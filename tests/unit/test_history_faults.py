"""Every way in which the disk can fail has a name, and advice."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from barostat.history.faults import ForeignError, NewerError, fault_of
from barostat.history.values import FaultKind

PATH = Path("/var/lib/barostat/history.sqlite3")


def of_sqlite(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("so it says")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("error", "kind", "advice"),
    [
        (of_sqlite(sqlite3.SQLITE_FULL), FaultKind.FULL, "make room"),
        (of_sqlite(sqlite3.SQLITE_BUSY_SNAPSHOT), FaultKind.LOCKED, "fuser"),
        (of_sqlite(sqlite3.SQLITE_READONLY_DBMOVED), FaultKind.READ_ONLY, "may be written"),
        (of_sqlite(sqlite3.SQLITE_CORRUPT), FaultKind.DAMAGED, "moved aside"),
        (of_sqlite(sqlite3.SQLITE_IOERR), FaultKind.UNUSABLE, "may be written"),
        (sqlite3.ProgrammingError("no code"), FaultKind.UNUSABLE, "may be written"),
        (PermissionError(13, "so it says"), FaultKind.READ_ONLY, "may be written"),
        (OSError(28, "so it says"), FaultKind.FULL, "make room"),
        (NotADirectoryError(20, "so it says"), FaultKind.UNUSABLE, "is there"),
        (NewerError("so it says"), FaultKind.NEWER, "that version"),
        (ForeignError("so it says"), FaultKind.FOREIGN, "another file"),
    ],
)
def test_a_failure_has_its_kind_and_advice(error: Exception, kind: FaultKind, advice: str) -> None:
    fault = fault_of(error, PATH)

    assert fault.kind is kind
    assert fault.message.startswith(f"the history {PATH} ")
    assert fault.message.endswith(str(error))
    assert advice in fault.hint
