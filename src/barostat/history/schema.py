"""Opening the database, and bringing it to the form that this version writes.

`PRAGMA user_version` counts the migrations that were run; each is a file, `migrations/NNNN.sql`, in
a transaction of its own. What a newer version wrote, or something else, is not touched.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Final
from urllib.parse import quote

from barostat.history.faults import ForeignError, NewerError

__all__ = ["open_reader", "open_writer", "transaction"]

APPLICATION_ID: Final = 0x6261726F
"""Says in the file's header whose it is ("baro"); `file` and SQLite know the field."""

BUSY_S: Final = 1.0
"""The only other writer is a person with a shell: who holds it longer is told of."""

JOURNAL_BYTES: Final = 4 * 2**20
"""The write-ahead log is cut back to this after a burst."""

FILE_MODE: Final = 0o640


def open_writer(path: Path) -> sqlite3.Connection:
    """Open the database for its one writer; make or migrate it if need be.

    Raises:
        NewerError, ForeignError: it is not for us; nothing was changed.
        sqlite3.Error, OSError: it cannot be opened.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE))
    database = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
    try:
        scripts = _migrations()
        version = _version(database, len(scripts))
        # In this mode a reader never holds up the writer, and a crash or a power cut loses the
        # last moments at most: it is a diary, nobody must be kept waiting for the disk.
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute("PRAGMA secure_delete = OFF")
        database.execute(f"PRAGMA journal_size_limit = {JOURNAL_BYTES}")
        for number in range(version + 1, len(scripts) + 1):
            _migrate(database, scripts[number - 1], number)
    except BaseException:
        database.close()
        raise
    return database


def open_reader(path: Path) -> contextlib.closing[sqlite3.Connection]:
    """Open the database to read it, for one thread, until the end of a `with`.

    Raises:
        NewerError, ForeignError: it is not for us.
        sqlite3.Error: it cannot be opened.
    """
    database = sqlite3.connect(
        f"file:{quote(str(path))}?mode=ro", uri=True, timeout=BUSY_S, isolation_level=None
    )
    try:
        _version(database, len(_migrations()))
    except BaseException:
        database.close()
        raise
    return contextlib.closing(database)


def _migrations() -> list[str]:
    folder = resources.files("barostat.history") / "migrations"
    files = (file for file in folder.iterdir() if file.name.endswith(".sql"))
    return [file.read_text() for file in sorted(files, key=lambda file: file.name)]


def _version(database: sqlite3.Connection, known: int) -> int:
    """Say which form the database has, and refuse what is not for us."""
    version: int = database.execute("PRAGMA user_version").fetchone()[0]
    owner = database.execute("PRAGMA application_id").fetchone()[0]
    tables = database.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if (tables and owner != APPLICATION_ID) or version < 0:
        raise ForeignError("it is a database of something else")
    if version > known:
        raise NewerError(f"a newer Barostat wrote it (form {version}; this one knows {known})")
    return version


def _migrate(database: sqlite3.Connection, script: str, number: int) -> None:
    with transaction(database):
        for statement in _statements(script):
            database.execute(statement)
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute(f"PRAGMA user_version = {number}")


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


@contextlib.contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """Do all of it or nothing."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # it is undone anyway when the file is closed
            database.execute("ROLLBACK")
        raise
