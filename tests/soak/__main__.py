"""Soak a real daemon and real guests in work and faults: `python -m tests.soak --for 30m`.

Exit code 1: memory was promised twice, a guest was lost or put below its minimum by our doing, the
daemon ended or grew. Ctrl-C ends it early, with a report.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import re
import secrets
import shutil
import signal
import sys
from pathlib import Path

import click
import msgspec
from rich.console import Console
from tests.soak.faults import DAEMON_IS_KILLED, FAULTS
from tests.soak.ground import Ground, Inmate, open_ground
from tests.soak.looks import follow, watch
from tests.soak.report import Report, report_of, show, warm_up_s

from barostat.errors import BarostatError, GuestDiedError, LabError, first_fault
from barostat.lab.fleet import Kit, ensure_kit
from barostat.units import MIB

GUESTS = 8
KEPT = Path("build/soak")
FAULT_AFTER_S = (3.0, 12.0)
WORK_FOR_S = (4.0, 20.0)
LARGEST_HOLD_MIB, LARGEST_CACHE_MIB = 400, 200
"""Less than a guest's minimum and swap together: whatever it is given, its kernel need not kill."""

FAULT_ENDS_S = 150.0
ANSWER_S = 60.0
INTERRUPTED, UNFIT = 130, 2


async def soak(kit: Kit, *, seconds: float, seed: int, stop: asyncio.Event) -> Report:
    """Play until the time is over or somebody wants it to end."""
    async with open_ground(kit, guests=GUESTS, seed=seed) as ground:
        ground.begin()
        async with asyncio.TaskGroup() as tasks:
            players = [
                tasks.create_task(work) for work in (follow(ground), watch(ground), labour(ground))
            ]
            faults = tasks.create_task(mischief(ground, seconds))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await stop.wait()
            seconds_played = ground.passed_s
            faults.cancel()
            await asyncio.wait([faults])
            await all_answer(ground)
            for player in players:
                player.cancel()
        code = await ground.daemon.stop()
        if code != 0:
            ground.fail(ground.record.ends, f"the daemon was told to end, and ended with {code}")
        report = report_of(
            ground.record, seed=seed, guests=GUESTS, seconds=seconds_played, planned_s=seconds
        )
        if not report.good:
            keep(ground)
        return report


async def mischief(ground: Ground, seconds: float) -> None:
    """Have faults happen, several at a time; whatever they broke off is undone."""
    chance = ground.chance("faults")
    async with asyncio.TaskGroup() as tasks:
        for number in range(sys.maxsize):
            await asyncio.sleep(chance.uniform(*FAULT_AFTER_S))
            kinds = list(FAULTS)
            if not daemon_may_die(ground.passed_s, seconds):
                kinds.remove(DAEMON_IS_KILLED)
            kind = chance.choice(kinds)
            tasks.create_task(befall(ground, kind, ground.chance(f"fault {number}")))


def daemon_may_die(passed_s: float, seconds: float) -> bool:
    """Leave the daemon one life that is long enough to show growth."""
    return not warm_up_s(seconds) / 2 < passed_s < seconds * 0.9


async def befall(ground: Ground, kind: str, chance: random.Random) -> None:
    ground.record.faults[kind] += 1
    try:
        async with asyncio.timeout(FAULT_ENDS_S):
            await FAULTS[kind](ground, chance)
    except (BarostatError, TimeoutError, ProcessLookupError) as error:
        ground.say(f"could not be done: {kind}: {str(error).partition(': ')[0]}")
        ground.record.undone[kind] += 1


async def labour(ground: Ground) -> None:
    """Have every guest work, those that come later as well."""
    async with asyncio.TaskGroup() as tasks:
        working: set[str] = set()
        while True:
            for inmate in list(ground.inmates.values()):
                if inmate.name not in working:
                    working.add(inmate.name)
                    tasks.create_task(work(ground, inmate))
            await asyncio.sleep(1)


async def work(ground: Ground, inmate: Inmate) -> None:
    """Have a guest hold and read as much as the dice say, until it is gone."""
    chance = ground.chance(inmate.name)
    while inmate.name in ground.inmates:
        if not inmate.deaf and ground.passed_s > inmate.bombed_until_s:
            with contextlib.suppress(LabError):
                if chance.random() < 0.2:
                    await inmate.guest.cache(chance.randrange(0, LARGEST_CACHE_MIB) * MIB)
                else:
                    wish_bytes = chance.randrange(0, LARGEST_HOLD_MIB) * MIB
                    await inmate.guest.hold(wish_bytes, hot=chance.choice((0, 0.05, 0.2)))
        await asyncio.sleep(chance.uniform(*WORK_FOR_S))


async def all_answer(ground: Ground) -> None:
    """Have every guest say that it lives, and the daemon."""

    async def answer(inmate: Inmate) -> None:
        try:
            async with asyncio.timeout(ANSWER_S):
                await inmate.guest.hold(0)
        except (LabError, TimeoutError) as error:
            if not inmate.killed and not isinstance(error, GuestDiedError):
                ground.fail(ground.record.lost, f"{inmate.name} does not answer: {error}")

    await asyncio.gather(*map(answer, list(ground.inmates.values())))
    try:
        async with asyncio.timeout(ANSWER_S):
            while ground.overview is None:  # noqa: ASYNC110 - it may have been killed just now
                await asyncio.sleep(1)
    except TimeoutError:
        ground.fail(ground.record.ends, "the daemon does not answer")


def keep(ground: Ground) -> None:
    """Keep what tells why a soak failed."""
    folder = KEPT / f"seed-{ground.seed}"
    folder.mkdir(parents=True, exist_ok=True)
    for path in (*ground.lab.folder.glob("*.console"), ground.daemon.log):
        with contextlib.suppress(OSError):
            shutil.copy(path, folder)
    click.echo(f"the daemon's log and the guests' consoles are in {folder}")


async def play(*, seconds: float, seed: int) -> Report:
    stop, this = asyncio.Event(), asyncio.current_task()
    kit = await asyncio.to_thread(ensure_kit, progress=click.echo)

    def end() -> None:
        if stop.is_set() and this is not None:
            this.cancel()  # who asks twice does not want to wait
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, end)
    return await soak(kit, seconds=seconds, seed=seed, stop=stop)


def duration(text: str) -> float:
    """Turn "90s", "30m" or "2h" into seconds."""
    found = re.fullmatch(r"([1-9][0-9]{0,5})([smh])", text)
    if found is None:
        raise argparse.ArgumentTypeError(f'"{text}" is no length of time, such as "30m"')
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--for", dest="seconds", type=duration, default="10m", metavar="TIME")
    parser.add_argument("--seed", type=int, default=None, help="the same dice again")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there, too")
    given = parser.parse_args()
    seed = secrets.randbelow(10**6) if given.seed is None else given.seed
    click.echo(f"soak: {GUESTS} guests for {given.seconds:g} s, seed {seed}")
    try:
        report = asyncio.run(play(seconds=given.seconds, seed=seed))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return INTERRUPTED
    except (BarostatError, ExceptionGroup) as error:
        cause = first_fault(error)
        if not isinstance(cause, BarostatError):
            raise
        click.echo(f"soak: {cause.message}\n  {cause.hint}", err=True)
        return UNFIT
    if given.json is not None:
        given.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    show(report, Console(width=100, highlight=False))
    return 0 if report.good else 1


if __name__ == "__main__":
    sys.exit(main())
