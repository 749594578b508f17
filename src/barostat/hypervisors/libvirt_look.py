"""One look at all domains: lists in chunks, and by itself whom a list does not tell enough of.

libvirt walks the domains of a list one by one, and one QEMU that hangs holds up the list for ever:
NOWAIT only passes over guests that another call holds already. So a list has a short deadline, and
when it is late each of its guests is asked alone, in its own lane: the one that hangs is passed
over now, because the late list holds it. It is left out until that list returns after all.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import math
from collections.abc import Sequence
from functools import partial
from typing import Final

from barostat.errors import DeadlineError, HypervisorError, RefusedError
from barostat.hypervisors.lanes import Call, Lanes
from barostat.hypervisors.libvirt_guest import LibvirtGuest
from barostat.hypervisors.libvirt_line import Figures, Line

__all__ = ["ask", "fail", "look_at", "silent"]

CHUNK: Final = 25
"""Guests a list: an idle one takes libvirt 1 to 2 ms, a busy emulated one 7 ms."""

CHUNK_DEADLINE_S: Final = 0.4
"""So a list that is late and the questions that follow it fit into a tick."""

PRESSED: Final = 16
"""So many guests, those with the least memory available, are asked to speak at each look: it takes
libvirt three commands a guest, and what the others say is at most a second old."""

LOOK_DEADLINE_S: Final = 1.0
"""How long a guest may take to answer by itself."""

_log = logging.getLogger(__name__)


async def look_at(lanes: Lanes[Line], guests: Sequence[LibvirtGuest]) -> None:
    """Look at guests, all at once; each ends with what it answered, or with its fault."""
    for guest in guests:
        if lanes.late(guest.name):
            fail(guest, silent(guest.name))
    answering = [guest for guest in guests if not lanes.late(guest.name)]
    async with asyncio.TaskGroup() as tasks:
        for first in range(0, len(answering), CHUNK):
            tasks.create_task(_look_at_chunk(lanes, answering[first : first + CHUNK]))
    now_s = asyncio.get_running_loop().time()
    seen = [guest for guest in answering if guest.fault is None]
    pressed = {guest.name for guest in heapq.nsmallest(PRESSED, seen, key=_ease)}
    async with asyncio.TaskGroup() as tasks:
        for guest in seen:
            anew = guest.can_speak and guest.name in pressed
            if anew or guest.must_be_asked(now_s):
                tasks.create_task(_ask_quietly(lanes, guest, anew=anew))


def _ease(guest: LibvirtGuest) -> float:
    return guest.ease_ratio if guest.can_speak else math.inf


async def _look_at_chunk(lanes: Lanes[Line], guests: Sequence[LibvirtGuest]) -> None:
    asked_s = asyncio.get_running_loop().time()
    names = [guest.name for guest in guests]
    call = lanes.start(partial(Line.list_figures, names=names))
    try:
        found = await lanes.finish(call, deadline_s=CHUNK_DEADLINE_S)
    except DeadlineError:
        async with asyncio.TaskGroup() as tasks:
            for guest in guests:
                tasks.create_task(_look_at_one(lanes, guest, call))
        return
    except HypervisorError as error:
        for guest in guests:
            fail(guest, error)
        return
    busy = [guest for guest in guests if not _take(guest, found, asked_s)]
    async with asyncio.TaskGroup() as tasks:
        for guest in busy:
            tasks.create_task(_ask_quietly(lanes, guest, deadline_s=CHUNK_DEADLINE_S))


def _take(guest: LibvirtGuest, found: dict[str, Figures], asked_s: float) -> bool:
    """Take in a guest's part of a list. False if it was busy with somebody else's question."""
    if guest.name not in found:  # it has just ended, and the next list of guests will say so
        return True
    now_s = asyncio.get_running_loop().time()
    answered = guest.told(found[guest.name], asked_s=asked_s, now_s=now_s)
    if answered:
        recover(guest)
    return answered or not guest.asks_qemu


async def _look_at_one(
    lanes: Lanes[Line], guest: LibvirtGuest, late: Call[Line, dict[str, Figures]]
) -> None:
    """Find out whether it is this guest that holds up a list."""
    asked_s = asyncio.get_running_loop().time()
    work = partial(Line.list_figures, names=[guest.name])
    try:
        found = await lanes.call(work, lane=guest.name, deadline_s=CHUNK_DEADLINE_S)
    except HypervisorError as error:
        fail(guest, error)
        return
    if _take(guest, found, asked_s):
        return
    if late.returned:  # it was slow, not stuck
        await _ask_quietly(lanes, guest, deadline_s=CHUNK_DEADLINE_S)
        return
    lanes.hold(late, guest.name)
    fail(guest, silent(guest.name))


async def _ask_quietly(
    lanes: Lanes[Line],
    guest: LibvirtGuest,
    *,
    anew: bool = False,
    deadline_s: float = LOOK_DEADLINE_S,
) -> None:
    try:
        await ask(lanes, guest, job=True, anew=anew, deadline_s=deadline_s)
        if guest.wants_period:
            await _set_period(lanes, guest)
    except HypervisorError as error:
        fail(guest, error)
    else:
        recover(guest)


async def _set_period(lanes: Lanes[Line], guest: LibvirtGuest) -> None:
    """Have QEMU ask the guest for statistics: libvirt does so only where it was told how often."""
    guest.period_tried = True
    work = partial(Line.set_period, name=guest.name)
    try:
        await lanes.call(work, lane=guest.name, deadline_s=LOOK_DEADLINE_S)
    except RefusedError as error:
        _log.warning("its statistics cannot be switched on: %s; %s", error.message, error.hint)
    guest.doubt()


async def ask(
    lanes: Lanes[Line],
    guest: LibvirtGuest,
    *,
    job: bool = False,
    anew: bool = False,
    deadline_s: float = LOOK_DEADLINE_S,
) -> None:
    """Ask a guest by itself for all that is known of it.

    Args:
        lanes: the way to it.
        guest: whom.
        job: also whether it is being moved.
        anew: have the guest itself say something newer.
        deadline_s: how long it may take.

    Raises:
        DeadlineError, UnreachableError, RefusedError, GuestGoneError.
    """
    loop = asyncio.get_running_loop()
    asked_s = loop.time()
    answers = guest.asks_qemu
    work = partial(
        Line.exact,
        name=guest.name,
        from_qemu=answers,
        job=job and answers,
        anew=anew,
    )
    exact = await lanes.call(work, lane=guest.name, deadline_s=deadline_s)
    guest.asked(exact, asked_s=asked_s, now_s=loop.time())


def fail(guest: LibvirtGuest, error: HypervisorError) -> None:
    """Keep a guest's fault, and tell it once, not at every look."""
    if guest.fault is None:
        _log.warning("%s; %s", error.message, error.hint)
    guest.fault = error
    guest.doubt()


def recover(guest: LibvirtGuest) -> None:
    """Take a guest's fault away, and tell that it answers again."""
    if guest.fault is not None:
        _log.info('VM "%s" answers', guest.name)
    guest.fault = None


def silent(guest: str) -> DeadlineError:
    """Say that a guest does not answer."""
    return DeadlineError(
        f'VM "{guest}" does not answer',
        hint="its QEMU hangs or is stopped, or another program's question to it does not end; it "
        "is seen again by itself when it answers",
    )
