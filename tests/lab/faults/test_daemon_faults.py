"""The daemon itself is killed, doubled, and deprived of its disk and of a clock it can trust."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.lab.faults.ground import CAPACITY_MIB, MINIMUM_BYTES, settings, spec
from tests.lab.real_daemon import RealDaemon, guest_of

from barostat.config.settings_file import write_settings
from barostat.core.moves import MoveKind
from barostat.core.observation import RunState
from barostat.lab.fleet import Kit, Lab
from barostat.lab.machine import LabGuest
from barostat.service.documents import Overview
from barostat.units import MIB

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]

PLUG = "/machine/peripheral/vmem0"
BALLOON = "/machine/peripheral/balloon0"
LOOK_S = 0.25
PATIENCE_S = 60
TIGHT_MIB = 560


@dataclass(frozen=True, slots=True)
class Sizes:
    """What QEMU itself says of a guest."""

    actual_bytes: int
    plugged_bytes: int
    requested_bytes: int

    @property
    def assigned_bytes(self) -> int:
        return self.actual_bytes + self.plugged_bytes

    @property
    def promised_bytes(self) -> int:
        return self.actual_bytes + max(self.plugged_bytes, self.requested_bytes)


async def sizes_of(guest: LabGuest) -> Sizes:
    """Ask QEMU on a line of the lab's own."""
    balloon = await guest.qmp("query-balloon")
    return Sizes(
        actual_bytes=balloon["actual"],
        plugged_bytes=await guest.qmp("qom-get", path=PLUG, property="size"),
        requested_bytes=await guest.qmp("qom-get", path=PLUG, property="requested-size"),
    )


class Place:
    """Two guests, a daemon over them, and somebody who keeps an eye on both."""

    def __init__(self, lab: Lab, daemon: RealDaemon, capacity_mib: int) -> None:
        self.lab, self.daemon = lab, daemon
        self.capacity_bytes = capacity_mib * MIB
        self.breaches: list[str] = []

    async def sizes(self) -> dict[str, Sizes]:
        """Ask every QEMU."""
        return {name: await sizes_of(guest) for name, guest in self.lab.guests.items()}

    async def audit(self) -> None:
        """Keep an eye on what QEMU says, whatever the daemon does or does not."""
        while True:
            sizes = await self.sizes()
            promised = sum(size.promised_bytes for size in sizes.values())
            if promised > self.capacity_bytes:
                self.breaches.append(f"{promised} of {self.capacity_bytes}: {sizes}")
            self.breaches += [
                f"{name} too small: {size}"
                for name, size in sizes.items()
                if size.assigned_bytes < MINIMUM_BYTES
            ]
            await asyncio.sleep(LOOK_S)

    async def hold(self, name: str, mib: int) -> None:
        await self.lab.guests[name].hold(mib * MIB)

    async def well(self) -> Overview:
        return await self.daemon.until(well)

    async def serves(self, name: str) -> Overview:
        """Have a guest need more, and see that it gets it."""
        before = guest_of(await self.well(), name).assigned_bytes
        await self.hold(name, before // MIB + 64)
        return await self.has(name, before + 64 * MIB)

    async def has(self, name: str, size_bytes: int) -> Overview:
        """Wait until a guest has so much."""
        return await self.daemon.until(
            lambda now: guest_of(now, name).assigned_bytes >= size_bytes, timeout_s=PATIENCE_S
        )

    async def told(self, words: str) -> None:
        """Wait until the daemon's log says something."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                if words in self.daemon.log.read_text():
                    return
                await asyncio.sleep(LOOK_S)

    async def until(self, name: str, fits: Callable[[Sizes], bool]) -> None:
        """Wait until QEMU itself says something of a guest."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                if fits(await sizes_of(self.lab.guests[name])):
                    return
                await asyncio.sleep(LOOK_S)

    def check(self) -> None:
        assert self.breaches == []
        self.lab.check()
        for guest in self.lab.guests.values():
            assert guest.witness is not None
            assert (guest.witness.oom_kills, guest.witness.holder_deaths) == (0, 0)


def well(said: Overview) -> bool:
    """Say whether both guests are seen, and have said how they are."""
    return len(said.guests) == 2 and all(
        guest.run_state is RunState.RUNNING and guest.demand_bytes is not None
        for guest in said.guests
    )


@asynccontextmanager
async def place(
    kit: Kit, *, capacity_mib: int = CAPACITY_MIB, history: Path | None = None, swap_mib: int = 256
) -> AsyncIterator[Place]:
    """Boot two guests and start a daemon over them; at the end see that nothing was harmed."""
    guests = [spec("web"), spec("db", swap_mib=swap_mib)]
    async with Lab(guests, kit=kit) as lab:
        for guest in guests:
            write_settings(lab.folder / f"{guest.name}.toml", settings())
        daemon = RealDaemon(lab, capacity_mib=capacity_mib, settle_s=1, history=history)
        there = Place(lab, daemon, capacity_mib)
        audit = asyncio.create_task(there.audit())
        try:
            await daemon.start()
            await there.well()
            yield there
        finally:
            audit.cancel()
            await asyncio.wait({audit})
            await daemon.stop()
        there.check()


async def idle(there: Place) -> None:
    """Have nothing to do."""
    await there.daemon.until(lambda now: all(guest.move is None for guest in now.guests))


async def growing(there: Place) -> None:
    """Have a guest granted more."""
    await there.hold("web", 350)
    await there.daemon.until(lambda now: asked(now, "web", MoveKind.GROW))


async def shrinking(there: Place) -> None:
    """Have a guest asked to give what the other needs."""
    await there.hold("web", 380)
    await there.daemon.until(lambda now: asked(now, "db", MoveKind.SHRINK))


async def paused(there: Place) -> None:
    """Have the operator hold every guest."""
    await there.daemon.pause(paused=True)


async def stuck(there: Place) -> None:
    """Have a guest that has no swap need what was plugged; step by step, so that it can be had."""
    for mib in (150, 220, 290):
        await there.hold("db", mib)
        await there.has("db", (mib + 80) * MIB)
    await there.lab.guests["db"].wait_held()


def asked(said: Overview, name: str, kind: MoveKind) -> bool:
    move = guest_of(said, name).move
    return move is not None and move.kind is kind


@pytest.mark.parametrize(
    ("reach", "capacity_mib"),
    [
        pytest.param(
            idle,
            CAPACITY_MIB,
            id="idle",
            marks=pytest.mark.trust("restart", "the daemon is killed while nothing moves"),
        ),
        pytest.param(
            growing,
            TIGHT_MIB,
            id="growing",
            marks=pytest.mark.trust("restart", "the daemon is killed while a guest grows"),
        ),
        pytest.param(
            shrinking,
            TIGHT_MIB,
            id="shrinking",
            marks=pytest.mark.trust("restart", "the daemon is killed while a guest shrinks"),
        ),
    ],
)
async def test_a_daemon_that_is_killed_finds_everything_as_it_is_and_goes_on(
    kit: Kit, reach: Callable[[Place], Awaitable[None]], capacity_mib: int
) -> None:
    async with place(kit, capacity_mib=capacity_mib) as there:
        await reach(there)
        await there.daemon.kill()
        left = await there.sizes()
        await there.daemon.start()
        said = await there.well()
        await there.hold("db", 20)
        await there.hold("web", 350)
        await there.has("web", 380 * MIB)

    assert said.host.promised_bytes <= said.host.capacity_bytes
    for name, size in left.items():
        assert size.assigned_bytes >= MINIMUM_BYTES
        assert guest_of(said, name).promised_bytes >= MINIMUM_BYTES


@pytest.mark.trust("restart", "the daemon is killed while the operator holds every guest")
async def test_a_daemon_that_is_killed_while_all_is_paused_holds_on(kit: Kit) -> None:
    async with place(kit) as there:
        await paused(there)
        await there.hold("web", 330)
        left = await there.sizes()
        await there.daemon.kill()
        await there.daemon.start()
        said = await there.well()
        await asyncio.sleep(2)
        now = await there.sizes()
        await there.daemon.pause(paused=False)
        await there.has("web", 350 * MIB)

    assert said.host.paused
    assert {name: size.assigned_bytes for name, size in now.items()} == {
        name: size.assigned_bytes for name, size in left.items()
    }


@pytest.mark.trust("restart", "the daemon is killed while an unplug is stuck")
async def test_an_unplug_that_a_killed_daemon_left_stuck_is_ended_by_the_next(kit: Kit) -> None:
    async with place(kit, swap_mib=0) as there:
        await stuck(there)
        await there.daemon.kill()
        # What the daemon may have asked for in its last moment: all of it is in use, and there
        # is no swap, so that the guest cannot give it.
        await there.lab.guests["db"].qmp("qom-set", path=PLUG, property="requested-size", value=0)
        await asyncio.sleep(1)
        left = await sizes_of(there.lab.guests["db"])
        await there.daemon.start()
        await there.serves("web")
        await there.until("db", lambda size: size.requested_bytes >= size.plugged_bytes)

    assert left.plugged_bytes > 0, "nothing was stuck"


@pytest.mark.trust("capacity", "two daemons at once")
async def test_a_second_daemon_is_refused_and_moves_nothing(kit: Kit) -> None:
    async with place(kit) as there:
        second = RealDaemon(there.lab, capacity_mib=8 * CAPACITY_MIB, settle_s=1)
        await second.start()
        code = await second.ended()
        await there.serves("web")
        said = await there.well()
        told = second.log.read_text()

    assert code == 3
    assert "another daemon runs" in told
    assert said.host.capacity_bytes == CAPACITY_MIB * MIB


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a disk of few MiB."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(file: Path) -> None:
    """Write until nothing fits any more, whoever else writes meanwhile."""
    with file.open("wb", buffering=0) as full, contextlib.suppress(OSError):
        while full.write(b"-" * 4096):
            pass


@pytest.mark.skipif(os.geteuid() != 0, reason="to mount a small disk takes root")
@pytest.mark.trust("neighbours", "the disk with the history is full")
async def test_a_full_disk_costs_history_and_no_guest_anything(kit: Kit, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        async with place(kit, history=disk / "history.db") as there:
            fill(disk / "filler")
            await there.serves("web")
            await there.told("make room on the disk")
            (disk / "filler").unlink()
            await there.serves("db")
            await there.told("is written again")


SHIFTED = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long shift(void)
{
    char text[32] = "";
    int file = open(getenv("CLOCK_SHIFT"), O_RDONLY | O_CLOEXEC);
    if (file >= 0) {
        if (read(file, text, sizeof text - 1) < 0)
            text[0] = 0;
        close(file);
    }
    return atol(text);
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
    int failed = syscall(SYS_clock_gettime, clock, time);
    if (!failed && clock == CLOCK_REALTIME)
        time->tv_sec += shift();
    return failed;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone)
{
    int failed = syscall(SYS_gettimeofday, time, zone);
    if (!failed)
        time->tv_sec += shift();
    return failed;
}

time_t time(time_t *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}
"""
"""Every process that loads this has a wall clock that a file sets."""


@pytest.mark.trust("neighbours", "the wall clock jumps")
async def test_a_wall_clock_that_jumps_changes_nothing_for_anybody(
    kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, library, shift = (tmp_path / name for name in ("clock.c", "clock.so", "shift"))
    source.write_text(SHIFTED)
    shift.write_text("0")
    gcc = await asyncio.create_subprocess_exec(*("gcc", "-shared", "-fPIC", "-o", library, source))
    assert await gcc.wait() == 0
    monkeypatch.setenv("LD_PRELOAD", str(library))
    monkeypatch.setenv("CLOCK_SHIFT", str(shift))
    async with place(kit, history=tmp_path / "history.db") as there:
        for name, jump in (("web", "3600"), ("db", "-86400")):
            shift.write_text(jump)
            await asyncio.sleep(2)
            said = await there.serves(name)
            heard = await there.lab.guests[name].qmp(
                "qom-get", path=BALLOON, property="guest-stats"
            )
            assert heard["last-update"] - time.time() == pytest.approx(int(jump), abs=10)
            assert {guest.run_state for guest in said.guests} == {RunState.RUNNING}
            for guest in said.guests:
                assert guest.statistics_age_s is not None
                assert guest.statistics_age_s < 4
        assert "Traceback" not in there.daemon.log.read_text()
        assert "pass failed" not in there.daemon.log.read_text()
