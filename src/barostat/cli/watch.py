"""`barostat watch VM --until ok`: waits for a status, for scripts; a line for every change.

What gets lost on the way, such as a daemon that is restarted, is said once and waited for, too.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

import click
from pydantic import Field

from barostat.cli.direct import Purpose
from barostat.cli.ending import EXIT_BAD
from barostat.cli.options import NumberRange
from barostat.cli.output import fail, print_line, say
from barostat.cli.reach import Way, open_desk, reach_options
from barostat.core.pressure import Status
from barostat.errors import BarostatError, UnknownGuestError
from barostat.service.desk import Desk
from barostat.service.documents import Document, Guest
from barostat.units import format_size

__all__ = ["Watched", "watch_command"]

EVERY_S: Final = 1.0
"""As often as a daemon looks."""

LONGEST_S: Final = 7 * 24 * 3600.0

_STATES: Final = {
    "ok": Status.OK,
    "low": Status.LOW,
    "warning": Status.WARNING,
    "paging": Status.PAGING,
    "unknown": Status.UNKNOWN,
    "off": None,
}
"""What may be waited for; None: the VM does not run."""


class Watched(Document):
    """A VM when something about it had changed."""

    at_s: float = Field(description="When, in seconds since 1970.")
    reached: bool = Field(description="Whether it is as was waited for.")
    guest: Guest | None = Field(description="Null while it does not run, or is not seen.")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wait:
    """What is waited for."""

    vm: str
    until: tuple[str, ...]
    timeout_s: float
    output: str

    def reached(self, guest: Guest | None) -> bool:
        status = None if guest is None else guest.status
        return any(_STATES[state] == status for state in self.until)


@click.command()
@click.argument("vm")
@click.option(
    "--until",
    required=True,
    multiple=True,
    type=click.Choice(list(_STATES)),
    help="The status to wait for; given several times, any of them. Off: it does not run.",
)
@click.option(
    "--timeout",
    "timeout_s",
    metavar="SECONDS",
    type=NumberRange(min=0.1, max=LONGEST_S),
    default=60,
    show_default=True,
    help="How long to wait.",
)
@reach_options
@click.option(
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="How to print: for people, or a JSON document a line (sizes in bytes, times in seconds).",
)
def watch_command(
    vm: str, *, until: tuple[str, ...], timeout_s: float, way: Way, output: str
) -> int:
    """Wait until a VM has a status, and print a line for every change.

    The exit code is 0 once it has, and 1 if it had not in time.
    """
    wait = _Wait(vm=vm, until=until, timeout_s=timeout_s, output=output)
    return asyncio.run(_watch(wait, way))


async def _watch(wait: _Wait, way: Way) -> int:
    async with open_desk(way, Purpose.FOLLOW) as desk:
        await desk.details(wait.vm)  # a name that is mistyped would be waited for in vain
        try:
            async with asyncio.timeout(wait.timeout_s):
                await _reach(wait, desk)
        except TimeoutError:
            wanted = " or ".join(wait.until)
            say(f"{wait.vm} was not {wanted} within {wait.timeout_s:g} s")
            return EXIT_BAD
    return 0


async def _reach(wait: _Wait, desk: Desk) -> None:
    told: Any = ()
    async with aclosing(_looks(wait.vm, desk)) as looks:
        async for guest in looks:
            reached = wait.reached(guest)
            if told != (told := _outline(guest)) or reached:
                _print(wait, guest, reached=reached)
            if reached:
                return


async def _looks(vm: str, desk: Desk) -> AsyncGenerator[Guest | None, None]:
    """Say how a VM is, every second; None while it does not run."""
    lost = ""
    while True:
        try:
            guest: Guest | None = (await desk.explanation(vm)).guest
            lost = ""
            yield guest
        except UnknownGuestError:
            yield None
        except BarostatError as error:
            if error.message != lost:  # said once, and waited for
                fail(error)
            lost = error.message
        await asyncio.sleep(EVERY_S)


def _outline(guest: Guest | None) -> Any:
    """Give what a change of is worth a line; figures in the reasons move every second."""
    if guest is None:
        return None
    codes = tuple(reason.code for reason in guest.reasons)
    return guest.status, guest.assigned_bytes, guest.move, codes


def _print(wait: _Wait, guest: Guest | None, *, reached: bool) -> None:
    now_s = time.time()
    if wait.output == "json":
        document = Watched(at_s=now_s, reached=reached, guest=guest)
        click.echo(json.dumps(document.model_dump(mode="json"), allow_nan=False))
        return
    clock = time.strftime("%H:%M:%S", time.localtime(now_s))
    if guest is None:
        print_line(f"{clock}  {wait.vm}: it does not run")
        return
    size = format_size(guest.assigned_bytes)
    print_line(f"{clock}  {wait.vm}: {guest.status.value}, has {size}: {guest.why}")
