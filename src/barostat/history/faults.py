"""What SQLite says went wrong, as something an operator can act on."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path
from typing import Final, assert_never

from barostat.history.values import FaultKind, HistoryFault

__all__ = ["ForeignError", "NewerError", "fault_of"]

PRIMARY_MASK: Final = 0xFF
"""SQLite's extended error codes keep the primary one in their lowest byte."""

_KINDS: Final = {
    sqlite3.SQLITE_FULL: FaultKind.FULL,
    sqlite3.SQLITE_BUSY: FaultKind.LOCKED,
    sqlite3.SQLITE_LOCKED: FaultKind.LOCKED,
    sqlite3.SQLITE_READONLY: FaultKind.READ_ONLY,
    sqlite3.SQLITE_PERM: FaultKind.READ_ONLY,
    sqlite3.SQLITE_CORRUPT: FaultKind.DAMAGED,
    sqlite3.SQLITE_NOTADB: FaultKind.DAMAGED,
}


class NewerError(Exception):
    """A newer Barostat wrote this history."""


class ForeignError(Exception):
    """The file is a database of something else."""


def fault_of(error: Exception, path: Path) -> HistoryFault:
    """Say what an error of SQLite, or of the system, means for the history at a path."""
    kind = _kind(error)
    return HistoryFault(
        kind=kind,
        message=f"the history {path} {_what(kind)}: {error}",
        hint=_hint(kind, path),
    )


def _kind(error: Exception) -> FaultKind:
    match error:
        case NewerError():
            return FaultKind.NEWER
        case ForeignError():
            return FaultKind.FOREIGN
        case sqlite3.Error():
            code = getattr(error, "sqlite_errorcode", 0) & PRIMARY_MASK
            return _KINDS.get(code, FaultKind.UNUSABLE)
        case PermissionError():
            return FaultKind.READ_ONLY
        case OSError(errno=errno.ENOSPC):
            return FaultKind.FULL
        case _:
            return FaultKind.UNUSABLE


def _what(kind: FaultKind) -> str:
    match kind:
        case FaultKind.FULL | FaultKind.LOCKED | FaultKind.READ_ONLY | FaultKind.UNUSABLE:
            return "cannot be written"
        case FaultKind.DAMAGED:
            return "is damaged"
        case FaultKind.NEWER | FaultKind.FOREIGN:
            return "is left alone"
        case _:
            assert_never(kind)


def _hint(kind: FaultKind, path: Path) -> str:
    goes_on = "balancing goes on; recording goes on by itself when that is mended"
    match kind:
        case FaultKind.FULL:
            return f"make room on the disk that holds {path.parent}; {goes_on}"
        case FaultKind.LOCKED:
            return f"find who holds it, with `fuser {path}`; {goes_on}"
        case FaultKind.READ_ONLY | FaultKind.UNUSABLE:
            return f"see that {path.parent} is there and may be written; {goes_on}"
        case FaultKind.DAMAGED:
            return "it is moved aside, and a new one is begun; the disk may be failing"
        case FaultKind.NEWER:
            return f"run that version again, or move the file aside; {goes_on}"
        case FaultKind.FOREIGN:
            return f"name another file for the history; {goes_on}"
        case _:
            assert_never(kind)
