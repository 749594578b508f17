"""`barostat top`: watch the host and its VMs on a terminal, and act on them."""

from __future__ import annotations

import asyncio
import os
import sys

import click

from barostat.cli.direct import Purpose
from barostat.cli.reach import Way, open_desk, reach_options
from barostat.errors import InputError
from barostat.service.desk import LocalDesk

__all__ = ["top_command"]


@click.command()
@reach_options
def top_command(*, way: Way) -> None:
    """Watch every VM as it is: sorted, with reasons, and keys to act.

    Pauses, resumes, enables and sets from the screen, each with a question first; ? shows the
    keys. Without a daemon it looks every second itself and moves nothing.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM") == "dumb":
        raise InputError(
            "top draws on a terminal, and this is none",
            hint="`barostat list` prints once, `barostat watch VM --until ok` waits",
        )
    asyncio.run(_top(way))


async def _top(way: Way) -> None:
    from barostat.tui.app import TopApp  # noqa: PLC0415 - slow to load, only for this

    async with open_desk(way, Purpose.FOLLOW) as desk:
        direct = isinstance(desk, LocalDesk)
        where = "a direct look" if direct else str(way.socket)
        await TopApp(desk, where=where, whole_host=not direct).run_async()
    asked = asyncio.current_task()
    if asked is not None and asked.cancelling():  # by a signal, which the screen took for its end
        raise asyncio.CancelledError
