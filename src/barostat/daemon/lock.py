"""One daemon for one socket: who comes second is told who was first, and leaves everything alone.

The lock is the kernel's, on a file beside the socket, so that it ends with the process that holds
it, however that ends. The file stays: removing it would let two of them in.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from barostat.errors import ServiceError

__all__ = ["beside", "only_daemon"]

LONGEST_PID: Final = 20


def beside(socket: Path, suffix: str) -> Path:
    """Name a file of the daemon that stands beside its socket."""
    return socket.with_name(f"{socket.name}.{suffix}")


@contextmanager
def only_daemon(socket: Path, *, group: str | None) -> Iterator[None]:
    """Be the only daemon of a socket; its folder is made if it is not there.

    Raises:
        ServiceError: another one runs, or the folder cannot be used.
    """
    path = beside(socket, "lock")
    try:
        _make_folder(path.parent, group)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise ServiceError(
            f"{path} cannot be made: {error.strerror}",
            hint="run the daemon as root, or set `socket` of [service] to a folder of yours",
        ) from error
    try:
        _take(lock, socket)
        yield
    finally:
        os.close(lock)


def _make_folder(folder: Path, group: str | None) -> None:
    try:
        folder.mkdir(mode=0o750, parents=True)
    except FileExistsError:
        return
    if group is not None:
        shutil.chown(folder, group=group)


def _take(lock: int, socket: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        pid = os.pread(lock, LONGEST_PID, 0).decode(errors="replace").strip()
        raise ServiceError(
            f"another daemon runs at {socket}, with PID {pid or 'unknown'}",
            hint="`systemctl stop barostat` stops it; or give this one another socket",
        ) from error
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
