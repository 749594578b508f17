"""`barostat admit`: may a VM start? Its memory is set aside for it until it runs.

Scripts and libvirt's hook go by the exit code: 0 it may, 1 it may not, 3 nobody could tell.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final, TextIO

import click

from barostat.cli.documents import print_document
from barostat.cli.ending import EXIT_BAD
from barostat.cli.options import SIZE, NumberRange, output_option
from barostat.cli.output import say
from barostat.cli.reach import socket_option
from barostat.core.settings import LARGEST_WEIGHT
from barostat.errors import InputError, RefusedError
from barostat.hypervisors.base import Startup
from barostat.service.client import open_daemon
from barostat.service.documents import Release, Start
from barostat.units import format_size

__all__ = ["admit_command"]

WAIT_S: Final = 30.0
LARGEST_XML: Final = 4 * 1024 * 1024
"""libvirt itself takes no message much larger."""


@click.command()
@click.argument("vm")
@click.option("--size", type=SIZE, help="What it starts with. Default: its XML's or settings'.")
@click.option(
    "--weight", type=click.IntRange(0, LARGEST_WEIGHT), help="Its rank. Default: its settings'."
)
@click.option(
    "--xml",
    type=click.File("r"),
    help='Take both from this domain XML, "-" for standard input, as libvirt gives it to hooks.',
)
@click.option(
    "--timeout",
    "timeout_s",
    type=NumberRange(0, 600),
    default=WAIT_S,
    show_default=True,
    metavar="SECONDS",
    help="How long other VMs may take to give what is missing.",
)
@click.option("--release", "release", is_flag=True, help="Give up what is set aside for it.")
@socket_option
@output_option
def admit_command(
    vm: str,
    *,
    size: int | None,
    weight: int | None,
    xml: TextIO | None,
    timeout_s: float,
    release: bool,
    socket: Path,
    output: str,
) -> int:
    """Ask whether a VM may start, and set its memory aside.

    It is taken from what is free, from what others hold beyond what they should have, and from
    their buffers; what lighter VMs need is taken for a heavier one. Exits with 0 if it may start,
    1 if it may not, 3 if nobody could tell.
    """
    if release:
        return _give_up(vm, socket, output)
    if xml is not None:
        found = _startup(vm, xml)
        size = found.size_bytes if size is None else size
        weight = found.weight if weight is None else weight
    start = asyncio.run(_admitted(vm, size, weight, timeout_s, socket))
    if output == "json":
        print_document(start)
    else:
        say(start.says)
    return 0 if start.may_start else EXIT_BAD


def _startup(vm: str, xml: TextIO) -> Startup:
    from barostat.hypervisors.libvirt_xml import read_startup  # noqa: PLC0415 - only for this

    try:
        return read_startup(xml.read(LARGEST_XML), guest=vm)
    except (RefusedError, UnicodeDecodeError) as error:
        message = error.message if isinstance(error, RefusedError) else "the XML is not text"
        raise InputError(message, hint="give what `virsh dumpxml` prints, or --size") from error


async def _admitted(
    vm: str, size_bytes: int | None, weight: int | None, timeout_s: float, socket: Path
) -> Start:
    async with open_daemon(socket) as desk:
        return await desk.admit(vm, size_bytes=size_bytes, weight=weight, timeout_s=timeout_s)


def _give_up(vm: str, socket: Path, output: str) -> int:
    done = asyncio.run(_released(vm, socket))
    if output == "json":
        print_document(done)
    elif done.released_bytes is None:
        say(f"nothing was set aside for {vm}")
    else:
        say(f"{format_size(done.released_bytes)} are not set aside for {vm} any more")
    return 0


async def _released(vm: str, socket: Path) -> Release:
    async with open_daemon(socket) as desk:
        return await desk.release(vm)
