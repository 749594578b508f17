"""Whom a command asks: the daemon where one runs, or else the guests themselves, which it says.

`--qmp` and `--connect` name guests, so that no daemon is asked. A daemon that is there and cannot
be asked is an error: what it keeps is not to be looked at, or written, behind its back.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from barostat.cli.direct import Purpose, open_directly
from barostat.cli.find import Guests
from barostat.cli.options import CAPACITY
from barostat.cli.output import say
from barostat.config.sections import SOCKET
from barostat.errors import InputError, NoDaemonError
from barostat.service.desk import Desk
from barostat.service.sockets import ANSWER_DEADLINE_S, check_answering

__all__ = ["Way", "open_desk", "open_only_daemon", "reach_options", "socket_option"]

Command = TypeVar("Command", bound=Callable[..., Any])


class Way:
    """What a person said about whom to ask."""

    def __init__(
        self, *, socket: Path, qmp: Path | None, connect: str | None, capacity_bytes: int | None
    ) -> None:
        if qmp is not None and connect is not None:
            raise InputError(
                "--qmp and --connect name different guests", hint="give one of the two"
            )
        self.socket = socket
        self.guests = Guests(qmp=qmp, uri=connect, capacity_bytes=capacity_bytes)


def reach_options(command: Command) -> Command:
    """Add the options that say whom to ask; the command gets them as `way`."""

    @functools.wraps(command)
    def called(
        *,
        socket: Path,
        qmp: Path | None,
        connect: str | None,
        capacity: int | None,
        **others: Any,
    ) -> Any:
        way = Way(socket=socket, qmp=qmp, connect=connect, capacity_bytes=capacity)
        return command(way=way, **others)

    for option in reversed(_OPTIONS):
        called = option(called)
    return called  # type: ignore[return-value]


def _socket_option(otherwise: str = "") -> Callable[[Command], Command]:
    return click.option(
        "--socket",
        # Whether we may connect is for the daemon's socket to say, in our words.
        type=click.Path(path_type=Path, readable=False),
        envvar="BAROSTAT_SOCKET",
        show_envvar=True,
        default=SOCKET,
        show_default=True,
        help=f"Where the daemon listens.{otherwise}",
    )


socket_option: Final = _socket_option()

_OPTIONS: Final = (
    _socket_option(" Where none does, the guests are looked at directly."),
    click.option(
        "--qmp",
        type=click.Path(path_type=Path),
        envvar="BAROSTAT_QMP",
        show_envvar=True,
        help="Ask no daemon, but QEMU: a folder of QMP sockets NAME.qmp, or one such socket. A "
        "VM's settings stand beside its socket in NAME.toml.",
    ),
    click.option(
        "--connect",
        metavar="URI",
        help="Ask no daemon, but libvirt: the connection, such as qemu:///system. Without a "
        "daemon the default is the lab that is running, or else qemu:///system.",
    ),
    click.option(
        "--capacity",
        type=CAPACITY,
        help="Without a daemon: what may be handed out to VMs, such as 24GiB. Default: the lab's "
        "own capacity, or what this machine can spare.",
    ),
)


@asynccontextmanager
async def open_desk(way: Way, purpose: Purpose) -> AsyncIterator[Desk]:
    """Find whom to ask, and ask there.

    Raises:
        InputError: no daemon runs, and no guests were named or found.
        DeniedError, ServiceError: a daemon runs, and cannot be asked.
        HypervisorError: the guests cannot be looked at.
    """
    async with AsyncExitStack() as stack:
        if way.guests.named:
            desk: Desk = await stack.enter_async_context(open_directly(way.guests, purpose))
        else:
            desk = await _daemon_or_guests(stack, way, purpose)
        yield desk


@asynccontextmanager
async def open_only_daemon(way: Way) -> AsyncIterator[Desk]:
    """Ask the daemon; nobody else can do what is wanted.

    Raises:
        NoDaemonError: none runs, or guests were named instead.
        DeniedError, ServiceError: it cannot be asked.
    """
    if way.guests.named:
        raise NoDaemonError(
            "only a daemon balances a whole host, and --qmp and --connect ask none",
            hint="leave them out, or name one VM; nothing was changed",
        )
    await asyncio.to_thread(check_answering, way.socket)
    async with AsyncExitStack() as stack:
        yield await _daemon(stack, way.socket)


async def _daemon(stack: AsyncExitStack, socket: Path) -> Desk:
    from barostat.service.client import open_daemon  # noqa: PLC0415 - slow to load, only for this

    return await stack.enter_async_context(open_daemon(socket, deadline_s=ANSWER_DEADLINE_S))


async def _daemon_or_guests(stack: AsyncExitStack, way: Way, purpose: Purpose) -> Desk:
    try:
        await asyncio.to_thread(check_answering, way.socket)
    except NoDaemonError as error:
        desk = await stack.enter_async_context(open_directly(way.guests, purpose))
        say(f"{error.message}: {purpose.done} directly")
        return desk
    return await _daemon(stack, way.socket)
