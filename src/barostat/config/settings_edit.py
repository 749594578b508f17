"""Edits of a settings file: comments, order and spelling stay; the file is replaced whole.

Whoever reads it at any moment finds the old file or the new one, never a part. Two of us take
turns; what an editor saved meanwhile is for the caller to find, while its turn lasts.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import tomlkit

from barostat.errors import ConflictError, InputError

__all__ = ["edited", "replace_file", "turn"]

TURN_DEADLINE_S: Final = 2.0
"""A turn takes milliseconds; who holds it longer has been stopped."""

TURN_LOOK_S: Final = 0.02


def edited(text: str, changes: dict[str, int | str | bool | None]) -> str:
    """Set keys of a TOML text; None takes one away."""
    document = tomlkit.parse(text)
    for key, value in changes.items():
        if value is None:
            document.pop(key, None)
        else:
            document[key] = value
    return tomlkit.dumps(document)


@contextmanager
def turn(folder: Path) -> Iterator[None]:
    """Keep others of us from writing in a folder. Blocks, so it belongs in a worker thread.

    Raises:
        ConflictError: somebody else does not let go of it.
        OSError: the folder is not there, or not ours to read.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _lock(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    until_s = time.monotonic() + TURN_DEADLINE_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until_s:
                raise ConflictError(
                    f"somebody else has been writing in {folder} for {TURN_DEADLINE_S:g} s",
                    hint="nothing was changed; try again",
                ) from None
            time.sleep(TURN_LOOK_S)
        else:
            return


def replace_file(path: Path, text: str | None) -> None:
    """Put a text in a file's place in one step; None removes it. Mode and owner stay.

    Raises:
        InputError: the file cannot be written; it is as it was.
    """
    try:
        if text is None:
            path.unlink(missing_ok=True)
        else:
            _write(path, text)
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror}",
            hint="check the disk and that you may write there; nothing was changed",
        ) from error


def _write(path: Path, text: str) -> None:
    path = path.resolve()  # a link stays a link
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            _keep_rights(path, descriptor)
            os.fsync(descriptor)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _keep_rights(path: Path, descriptor: int) -> None:
    """Give the new file the mode and owner of the old one; a first file is for all to read."""
    try:
        old = path.stat()
    except FileNotFoundError:
        os.fchmod(descriptor, 0o644)
        return
    os.fchmod(descriptor, old.st_mode & 0o777)
    if (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
        os.fchown(descriptor, old.st_uid, old.st_gid)
