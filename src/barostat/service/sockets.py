"""The daemon's UNIX socket: made so that only its owner and one group may connect, and found.

A socket that a dead daemon left behind is replaced; a live one's, or what is no socket, never.
Who may connect is settled before anybody can: the rights are set between bind and listen.
"""

from __future__ import annotations

import errno
import getpass
import grp
import os
import socket
import stat
from pathlib import Path
from typing import Final

from barostat.errors import BarostatError, DeniedError, NoDaemonError, ServiceError

__all__ = ["ANSWER_DEADLINE_S", "bind", "bind_tcp", "check_answering", "group_id", "remove"]

PROBE_DEADLINE_S: Final = 2.0
"""The kernel lets a caller in at once, unless a backlog of others waits."""

ANSWER_DEADLINE_S: Final = 10.0
"""The daemon waits 5 s for its own first look, and libvirt 5 s for a change; then it says so."""


def bind(path: Path, *, gid: int | None) -> socket.socket:
    """Bind the socket, with its rights; nobody can connect before it listens. Blocks for a moment.

    Args:
        path: where; its folder is made if it is not there.
        gid: of the group that may connect beside the owner; None: none may.

    Raises:
        ServiceError: a live daemon listens there, or it cannot be made.
    """
    try:
        _make_folder(path.parent, gid)
        _clear(path)
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            bound.bind(str(path))
            if gid is not None:
                os.chown(path, -1, gid)
            path.chmod(0o600 if gid is None else 0o660)
        except BaseException:
            bound.close()
            raise
    except OSError as error:
        raise ServiceError(
            f"the socket {path} cannot be made: {error.strerror or error}",
            hint="give a path of at most 107 bytes in a folder that the daemon may write to",
        ) from error
    return bound


def bind_tcp(address: str, port: int) -> socket.socket:
    """Bind a socket of TCP; nobody can connect before it listens.

    Raises:
        ServiceError: it cannot be made.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a restart need not wait
        bound.bind((address, port))
    except OSError as error:
        bound.close()
        raise ServiceError(
            f"nobody can listen on {address} port {port}: {error.strerror}",
            hint="`listen` of [service] takes an address of this machine and a port that is free: "
            "`ss -ltn` shows which are not",
        ) from error
    return bound


def group_id(group: str) -> int:
    """Find a group's number. Blocks for a moment.

    Raises:
        ServiceError: there is no such group.
    """
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError as error:
        raise ServiceError(
            f'there is no group "{group}" to share the socket with',
            hint=f"`groupadd --system {group}` makes it; or name another group",
        ) from error


def _make_folder(folder: Path, gid: int | None) -> None:
    try:
        folder.mkdir(mode=0o750, parents=True)
    except FileExistsError:
        return
    if gid is not None:
        os.chown(folder, -1, gid)


def _clear(path: Path) -> None:
    """Remove what a dead daemon left behind."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ServiceError(
            f"{path} is in the way: it is no socket", hint="remove it, or name another"
        )
    try:
        check_answering(path)
    except NoDaemonError:
        path.unlink(missing_ok=True)
        return
    raise ServiceError(
        f"another daemon listens at {path}", hint="stop it first, or give this one another socket"
    )


def remove(path: Path, bound: socket.socket, inode: int) -> None:
    """Close the socket and remove its file, if it is still ours."""
    bound.close()
    try:
        if path.lstat().st_ino == inode:
            path.unlink()
    except FileNotFoundError:
        pass


def check_answering(path: Path) -> None:
    """Find out whether somebody listens at a socket. Blocks for a moment.

    Raises:
        NoDaemonError: nobody does.
        DeniedError: we may not ask.
        ServiceError: it cannot be reached.
    """
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(PROBE_DEADLINE_S)
        try:
            caller.connect(str(path))
        except OSError as error:
            raise _trouble(path, error) from error


def _trouble(path: Path, error: OSError) -> BarostatError:
    match error.errno:
        case errno.ENOENT | errno.ECONNREFUSED | errno.ENOTDIR:
            hint = "start it with `barostat daemon`, or name its socket with --socket"
            return NoDaemonError(f"no daemon runs at {path}", hint=hint)
        case errno.EACCES | errno.EPERM:
            group, user = _group_of(path), getpass.getuser()
            hint = f"`sudo usermod -aG {group} {user}` lets you in from your next login on"
            return DeniedError(
                f'only members of group "{group}" may ask the daemon at {path}', hint=hint
            )
        case _:
            reason = "too many wait for it" if error.errno == errno.EAGAIN else str(error)
            hint = "is it stopped, or very busy? `systemctl status barostat` shows its state"
            return ServiceError(f"the daemon at {path} cannot be reached: {reason}", hint=hint)


def _group_of(path: Path) -> str:
    """Name the group that may connect, as far as we may look."""
    for place in (path, *path.parents):
        try:
            gid = place.stat().st_gid
        except OSError:
            continue
        try:
            return grp.getgrgid(gid).gr_name
        except KeyError:
            return str(gid)
    return "barostat"
