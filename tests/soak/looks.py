"""How a soak is watched: from outside, by what QEMUs, guests, the daemon and /proc say."""

from __future__ import annotations

import asyncio
import contextlib

from pydantic import ValidationError
from tests.soak.books import Sizes, held_bytes, promised_too_much
from tests.soak.ground import MINIMUM_BYTES, Ground, Inmate

from barostat.errors import GuestDiedError, LabError, ServiceError
from barostat.hypervisors.plugging import BLOCK_BYTES
from barostat.lab.witness import Witness
from barostat.service.client import open_daemon
from barostat.service.documents import Overview
from barostat.service.stream import Pass
from barostat.units import MIB

__all__ = ["follow", "watch"]

LOOK_EVERY_S = 1.0
AGAIN_S = 0.5


async def follow(ground: Ground) -> None:
    """Take note of every pass of the daemon, whichever of its lives it is in."""
    while True:
        with contextlib.suppress(ServiceError):
            await _listen(ground)
        ground.overview = None
        await asyncio.sleep(AGAIN_S)


async def _listen(ground: Ground) -> None:
    before: Pass | None = None
    record = ground.record
    async with (
        open_daemon(ground.daemon.socket) as desk,
        contextlib.aclosing(desk.passes()) as passes,
    ):
        async for text in passes:
            try:
                told = Pass.model_validate_json(text)
            except ValidationError as error:
                ground.fail(record.breaches, f"a pass that cannot be read: {error}")
                return
            record.passes += 1 if before is None else told.number - before.number
            record.moves += len(told.moves)
            if before is not None and told.number == before.number + 1:
                record.longest_pass_s = max(record.longest_pass_s, told.at_s - before.at_s)
            if too_much := promised_too_much(told.overview):
                ground.fail(record.breaches, f"pass {told.number}: {too_much}")
            if not ground.daemon.ready:
                ground.daemon.ready = True
                ground.daemon.reload()  # what was written while it started
            ground.overview, before = told.overview, told


async def watch(ground: Ground) -> None:
    """Look once a second: at sizes, at guests, at the daemon."""
    while True:
        ground.record.looks += 1
        await _look_at_sizes(ground)
        for inmate in list(ground.inmates.values()):
            await _look_at(ground, inmate)
        await _look_at_daemon(ground)
        await asyncio.sleep(LOOK_EVERY_S)


async def _look_at_sizes(ground: Ground) -> None:
    told: list[Overview | None] = [ground.overview]
    before = {name: inmate.sizes for name, inmate in ground.inmates.items()}
    sizes = [await _measure(ground)]
    told.append(ground.overview)
    capacity_bytes = ground.daemon.capacity_bytes
    allowed_bytes = ground.books.allowed_bytes(now_s=ground.passed_s)
    if held_bytes(sizes, told) > capacity_bytes + allowed_bytes:
        sizes.append(await _measure(ground))
        told.append(ground.overview)
    held = held_bytes(sizes, told)
    capacity_bytes = max(capacity_bytes, ground.daemon.capacity_bytes)
    beyond = ground.books.judge(held - capacity_bytes, now_s=ground.passed_s)
    if beyond:
        ground.fail(
            ground.record.breaches,
            f"{held // MIB} MiB held of {capacity_bytes // MIB}, {beyond // MIB} MiB unexcused: "
            + ", ".join(f"{name} {size}" for name, size in sizes[-1].items()),
        )
    ground.record.fullest_ratio = max(ground.record.fullest_ratio, held / capacity_bytes)
    ground.record.moved_bytes += sum(
        abs(size.actual_bytes - before[name].actual_bytes)
        for name, size in sizes[-1].items()
        if name in before
    )
    _look_for_low(ground, before, told[0])


async def _measure(ground: Ground) -> dict[str, Sizes]:
    """Ask all QEMUs; one that cannot answer now is as it was: its memory cannot change."""
    inmates = list(ground.inmates.values())

    async def measure(inmate: Inmate) -> None:
        if not inmate.deaf or inmate.resets:
            with contextlib.suppress(LabError):
                inmate.sizes = await inmate.measure()

    await asyncio.gather(*map(measure, inmates))
    return {inmate.name: inmate.sizes for inmate in inmates}


def _look_for_low(ground: Ground, before: dict[str, Sizes], told: Overview | None) -> None:
    """See whether a guest fell below its minimum since the last look."""
    guests = () if told is None else told.guests
    minimums = {
        guest.name: guest.settings.minimum_bytes for guest in guests if guest.settings is not None
    }
    for name, inmate in ground.inmates.items():
        low_bytes = minimums.get(name, MINIMUM_BYTES) - BLOCK_BYTES
        was = before.get(name, inmate.sizes).actual_bytes
        if inmate.sizes.actual_bytes <= low_bytes < was:
            now_mib = inmate.sizes.actual_bytes // MIB
            ground.fail(ground.record.below, f"{name} has {now_mib} MiB, less than its minimum")


async def _look_at(ground: Ground, inmate: Inmate) -> None:
    """See whether a guest was lost, and put another in its place."""
    if inmate.killed:
        return
    try:
        inmate.guest.check()
    except GuestDiedError as error:
        ground.fail(ground.record.lost, f"{error.message}\n{error.hint}")
        with contextlib.suppress(LabError):
            await ground.replace(inmate)
        return
    if inmate.guest.witness is not None:
        _hear(ground, inmate, inmate.guest.witness)


def _hear(ground: Ground, inmate: Inmate, said: Witness) -> None:
    if said.uptime_us < inmate.uptime_us:
        if inmate.resets:
            inmate.resets = 0
        else:
            ground.fail(ground.record.lost, f"{inmate.name} booted anew by itself")
        inmate.oom_kills = 0
    if said.oom_kills > inmate.oom_kills and ground.passed_s > inmate.bombed_until_s:
        ground.fail(
            ground.record.lost,
            f"the kernel of {inmate.name} killed; it had {inmate.sizes}, and said {said}",
        )
    inmate.uptime_us, inmate.oom_kills = said.uptime_us, said.oom_kills


async def _look_at_daemon(ground: Ground) -> None:
    if ground.daemon_killed:
        return
    if not ground.daemon.runs:
        ground.fail(ground.record.ends, "the daemon ended by itself")
        ground.daemon.ready = False
        await ground.daemon.start()
    footprint = ground.daemon.footprint()
    if footprint is not None:
        ground.record.footprints.append(
            (ground.passed_s, ground.daemon.lives, footprint.rss_bytes, footprint.handles)
        )
