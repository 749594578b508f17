"""Fences follow what guests have, over captured cgroups, and are gone when the daemon ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.builders import devices, guest, settings
from tests.unit.host_folder import HostFolder

from barostat.core.decide import State, decide
from barostat.core.fence import FenceMode, FencePolicy
from barostat.core.observation import GuestObservation, RunState, Snapshot
from barostat.core.policy import Policy
from barostat.engine.fencing import Fencing
from barostat.engine.loop import Tick
from barostat.errors import HostError, RefusedError
from barostat.host.host import Host
from barostat.units import KIB, MIB

GROUP = "sys/fs/cgroup/machine/web"
OVERHEAD_MIB = 72
ROOM_MIB = 64
RAM = """7f24f7e00000-7f2507e00000 rw-p 00000000 00:00 0
Size:             {ram} kB
Rss:              {ram} kB
Anonymous:        {ram} kB
VmFlags: rd wr mr mw me dc ac
7f25f7e00000-7f25f8e00000 rw-p 00000000 00:00 0 [heap]
Size:             {own} kB
Rss:              {own} kB
Anonymous:        {own} kB
VmFlags: rd wr mr mw me ac
"""


class Owner:
    """Makes the guest's cgroup, as libvirt does; what it is asked can be waited for."""

    def __init__(self, folder: HostFolder) -> None:
        self.folder = folder
        self.asked: asyncio.Queue[int | None] = asyncio.Queue()
        self.refuses = False
        self.owns = True

    async def limit(self, guest: str, limit_bytes: int | None, *, hard: bool) -> bool:
        if self.refuses:
            raise RefusedError(f"{guest} cannot be limited")
        if self.owns:
            name = "memory.max" if hard else "memory.high"
            text = "max" if limit_bytes is None else str(limit_bytes)
            self.folder.put(f"{GROUP}/{name}", text)
        self.asked.put_nowait(None if limit_bytes is None else limit_bytes // MIB)
        return self.owns


class Place:
    """A host of captured files with one guest, whose QEMU has a cgroup of its own."""

    def __init__(self, root: Path, policy: FencePolicy) -> None:
        self.folder = HostFolder(root)
        self.folder.write()
        self.folder.put(
            "proc/self/mountinfo", "41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
        )
        self.folder.put("sys/fs/cgroup/cgroup.controllers", "memory")
        self.folder.put("proc/1234/cgroup", "0::/machine/web\n")
        self.folder.put(f"{GROUP}/cgroup.procs", "1234\n")
        for name in ("memory.high", "memory.max"):
            self.folder.put(f"{GROUP}/{name}", "max")
        self.uses(400)
        self.owner = Owner(self.folder)
        self.host = Host(root=root)
        self.fencing = Fencing(policy, self.owner, self.host, root=root)

    def uses(self, mib: int, *, own: int = 20) -> None:
        """Have the guest use so much."""
        self.folder.qemu(1234, rss=mib + own)
        self.folder.put("proc/1234/smaps", RAM.format(ram=mib * KIB, own=own * KIB))
        self.folder.put(f"{GROUP}/memory.current", str((mib + own) * MIB))

    def limit(self, name: str = "memory.high") -> str:
        return (self.folder.root / GROUP / name).read_text().strip()

    async def look(self, seen: GuestObservation) -> None:
        """Do a pass in which a guest is seen."""
        box = await self.host.observe([seen])
        snapshot = Snapshot(
            now_s=100.0, host=box, guests=(seen,), settings={"web": settings()}, paused=True
        )
        decision = decide(snapshot, State(), Policy())
        self.fencing.on_tick(
            Tick(
                snapshot=snapshot,
                state=State(),
                policy=Policy(),
                decision=decision,
                observe_s=0,
                decide_s=0,
            )
        )

    async def measured(self, seen: GuestObservation) -> None:
        """Do passes until QEMU's own need is known."""
        async with asyncio.timeout(10):
            await self.look(seen)
            while self.host.report is None or not self.host.report.holdings["web"].measured:
                await self.look(seen)

    async def asked(self) -> int | None:
        async with asyncio.timeout(10):
            return await self.owner.asked.get()

    @asynccontextmanager
    async def fenced(self) -> AsyncIterator[None]:
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.fencing.run(stop))
            yield
            stop.set()


HIGH = FencePolicy(mode=FenceMode.HIGH)
HARD = FencePolicy(mode=FenceMode.HARD)
SMALL = guest(has=devices(balloon=524, region=0))  # has 500 of 1024 MiB
LARGE = guest(has=devices(balloon=224, region=0))  # has 800


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, HIGH)


async def test_a_fence_is_set_follows_a_shrink_and_is_lifted_at_the_end(place: Place) -> None:
    place.uses(780)
    async with place.fenced():
        await place.measured(LARGE)
        first = await place.asked()
        place.uses(300)
        await place.look(SMALL)
        lowered = await place.asked()
        kept = place.fencing.kept

    assert first == 800 + OVERHEAD_MIB + ROOM_MIB
    assert lowered == 500 + OVERHEAD_MIB + ROOM_MIB
    assert kept == {"web"}
    assert place.limit() == "max"
    assert place.fencing.kept == frozenset()


async def test_a_fence_is_raised_before_a_grow_and_stays_until_it_has_arrived(
    place: Place,
) -> None:
    async with place.fenced():
        await place.measured(SMALL)
        await place.asked()
        await place.fencing.before_grow("web", 800 * MIB)
        raised = await place.asked()

    assert raised == 800 + OVERHEAD_MIB + ROOM_MIB


async def test_a_grow_whose_fence_cannot_be_raised_is_refused(place: Place) -> None:
    async with place.fenced():
        await place.measured(SMALL)
        await place.asked()
        place.owner.refuses = True
        with pytest.raises(RefusedError):
            await place.fencing.before_grow("web", 800 * MIB)
        place.owner.refuses = False


async def test_a_guest_without_a_fence_need_not_wait_for_one(place: Place) -> None:
    place.owner.refuses = True

    await place.fencing.before_grow("web", 800 * MIB)

    assert place.limit() == "max"


async def test_where_nobody_owns_the_cgroup_its_files_are_written(place: Place) -> None:
    place.owner.owns = False
    place.folder.put(f"{GROUP}/memory.high", "")
    async with place.fenced():
        await place.measured(SMALL)
        await place.asked()
        await place.fencing.before_grow("web", 800 * MIB)
        standing = place.limit()
        place.folder.put(f"{GROUP}/memory.high", "")
        await place.fencing.before_grow("web", 800 * MIB)

    assert standing == str((800 + OVERHEAD_MIB + ROOM_MIB) * MIB)


async def test_a_hard_fence_leaves_room_for_a_restart(tmp_path: Path) -> None:
    place = Place(tmp_path, HARD)
    async with place.fenced():
        await place.measured(SMALL)
        asked = await place.asked()
        high = place.limit("memory.high")

    assert asked == 1024 + OVERHEAD_MIB + ROOM_MIB
    assert high == "max"


async def test_no_fence_is_set_before_qemus_own_need_is_known(place: Place) -> None:
    place.folder.put("proc/1234/smaps", "")
    async with place.fenced():
        for _ in range(5):
            await place.look(SMALL)

    assert place.owner.asked.empty()


async def test_a_fence_that_was_left_standing_where_it_belongs_is_taken_over(
    place: Place,
) -> None:
    place.folder.put(f"{GROUP}/memory.high", str((500 + OVERHEAD_MIB + ROOM_MIB) * MIB))
    async with place.fenced():
        await place.measured(SMALL)
        await place.look(replace(SMALL, run_state=RunState.MIGRATING))
        lifted = await place.asked()

    assert lifted is None


async def test_another_mode_takes_the_old_fence_away(place: Place) -> None:
    async with place.fenced():
        await place.measured(SMALL)
        await place.asked()
        place.fencing.policy = HARD
        answers = [await place.asked(), await place.asked()]
        high, hard = place.limit("memory.high"), place.limit("memory.max")
        place.fencing.policy = FencePolicy()
        off = await place.asked()

    assert answers == [None, 1024 + OVERHEAD_MIB + ROOM_MIB]
    assert high == "max"
    assert hard != "max"
    assert off is None
    assert not place.host.fenced


async def test_nothing_is_touched_while_fences_are_off(tmp_path: Path) -> None:
    place = Place(tmp_path, FencePolicy())
    place.folder.put(f"{GROUP}/memory.high", "123456789")
    async with place.fenced():
        for _ in range(5):
            await place.look(SMALL)

    assert place.owner.asked.empty()
    assert place.limit() == "123456789"


async def test_a_guest_whose_cgroup_others_share_has_no_fence_and_why_is_told_once(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.folder.put(f"{GROUP}/cgroup.procs", "1234\n999\n")
    place.folder.put("proc/999/comm", "bash\n")
    stop = asyncio.Event()
    with caplog.at_level(logging.WARNING):
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            tasks.create_task(place.fencing.run(stop))
            while "web" not in place.fencing.faults:
                await place.look(SMALL)
            for _ in range(5):
                await place.look(SMALL)
            stop.set()

    assert "shared with bash" in place.fencing.faults["web"]
    assert len([record for record in caplog.records if "bash" in record.message]) == 1
    assert place.owner.asked.empty()


async def test_a_host_without_memory_cgroups_says_so_once(place: Place) -> None:
    place.folder.put("proc/self/mountinfo", "")
    stop = asyncio.Event()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(place.fencing.run(stop))
        while "" not in place.fencing.faults:
            await place.look(SMALL)
        stop.set()

    assert place.fencing.faults[""] == "this host has no memory cgroups"


async def test_a_fence_that_cannot_be_lifted_is_told_of_and_stays(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    async with place.fenced():
        await place.measured(SMALL)
        await place.asked()
        place.owner.refuses = True

    assert "its fence stands as it is" in caplog.text
    assert place.fencing.kept == {"web"}


async def test_a_guest_that_has_gone_is_forgotten(place: Place) -> None:
    async with place.fenced():
        await place.measured(SMALL)
        await place.asked()
        (place.folder.root / GROUP / "memory.current").unlink()
        await place.fencing.before_grow("web", 800 * MIB)
        empty = place.owner.asked.empty()

    assert empty


async def test_a_deadline_ends_what_a_thread_does_not() -> None:
    from barostat.host.threads import within  # noqa: PLC0415 - the only one here that needs it

    never: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    with pytest.raises(HostError, match="took longer"):
        await within(never, 0.01, what="waiting")
