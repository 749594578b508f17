"""Smart Paging over a played cgroup tree: limits come with a restart, and go without a trace."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.builders import devices, guest, of, settings
from tests.unit.host_folder import HostFolder
from tests.unit.paging_scenarios import boots

from barostat.core.decide import Decision, State, decide
from barostat.core.observation import GuestObservation, HostObservation, Snapshot
from barostat.core.policy import Policy
from barostat.core.pressure import Status
from barostat.core.reasons import ReasonCode
from barostat.engine.loop import Tick
from barostat.engine.paging import SmartPaging
from barostat.errors import RefusedError
from barostat.host.host import Host
from barostat.units import GIB, MIB

GROUP = "sys/fs/cgroup/machine/web"
OWN_MIB = 64 + 8  # what a QEMU of 1 GiB is estimated to need
SHRUNK = devices(balloon=512, region=0)
FULL_MIB = 512


class Place:
    """A host of captured files with one guest that gave half of its boot RAM back."""

    def __init__(self, root: Path) -> None:
        self.folder = HostFolder(root)
        self.folder.write()
        self.put("proc/self/mountinfo", "41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
        self.put("sys/fs/cgroup/cgroup.controllers", "memory")
        self.put("proc/1234/cgroup", "0::/machine/web\n")
        self.folder.qemu(1234, rss=540)
        self.put(f"{GROUP}/cgroup.procs", "1234\n")
        self.put(f"{GROUP}/memory.current", str(540 * MIB))
        self.put(f"{GROUP}/memory.swap.current", str(10 * MIB))
        self.put(f"{GROUP}/memory.high", "max")
        self.put(f"{GROUP}/memory.swap.max", "max")
        self.note = root / "paging"
        self.owner: dict[str, bool] = {"owns": False, "refuses": False}
        self.host = Host(root=root)
        self.capacity, self.now, self.state = FULL_MIB, 100.0, State()
        self.paging = self.daemon()

    def daemon(self, *, observing: bool = False, fenced: bool = False) -> SmartPaging:
        return SmartPaging(
            self.host,
            self,
            note=self.note,
            observing=observing,
            fenced=lambda: fenced,
            root=self.folder.root,
        )

    async def limit(self, guest: str, limit_bytes: int | None, *, hard: bool) -> bool:
        assert not hard
        if self.owner["refuses"]:
            raise RefusedError(f"{guest} cannot be limited")
        if self.owner["owns"]:
            self.put(f"{GROUP}/memory.high", "max" if limit_bytes is None else str(limit_bytes))
        return self.owner["owns"]

    def put(self, path: str, text: str) -> None:
        self.folder.put(path, text)

    def limits(self) -> tuple[str, str]:
        """What stands in memory.high and memory.swap.max, in MiB."""
        names = ("memory.high", "memory.swap.max")
        texts = [(self.folder.root / GROUP / name).read_text().strip() for name in names]
        high, swap = (str(int(text) // MIB) if text.isdigit() else text for text in texts)
        return high, swap

    async def look(self, seen: GuestObservation) -> Decision:
        """Do a pass in which the guest is seen."""
        self.now += 1
        seen = replace(seen, seen_at_s=self.now, statistics_at_s=self.now)
        box = await self.paging.observe([seen])
        box = replace(box, capacity_bytes=self.capacity * MIB)
        return self.decide(box, seen)

    def decide(self, box: HostObservation, seen: GuestObservation) -> Decision:
        snapshot = Snapshot(
            now_s=self.now, host=box, guests=(seen,), settings={"web": settings(maximum=1024)}
        )
        state, decision = self.state, decide(snapshot, self.state, Policy())
        self.state = decision.state
        tick = Tick(
            snapshot=snapshot,
            state=state,
            policy=Policy(),
            decision=decision,
            observe_s=0,
            decide_s=0,
        )
        self.paging.on_tick(tick)
        return decision

    async def resets(self) -> tuple[GuestObservation, Decision]:
        await self.look(guest(has=SHRUNK, used=300))
        reset = boots(self.now + 1)
        return reset, await self.look(reset)

    async def until(self, high: str, swap: str) -> None:
        async with asyncio.timeout(10):
            while self.limits() != (high, swap):  # noqa: ASYNC110 - files tell of no change
                await asyncio.sleep(0.01)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.paging.run(stop))
            yield
            stop.set()


PAGED = (str(512 + OWN_MIB), str(10 + 512))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.mark.parametrize("owns", [True, False])
@pytest.mark.trust("neighbours", "a VM restarts larger than what the host has left")
async def test_a_guest_that_restarts_is_limited_to_what_there_is_and_let_go_when_it_is_found(
    place: Place, owns: bool
) -> None:
    place.owner["owns"] = owns
    async with place.running():
        reset, decision = await place.resets()
        await place.until(*PAGED)
        place.capacity += 200
        await place.look(reset)
        await place.until(str(712 + OWN_MIB), str(10 + 312))
        place.capacity += 400
        await place.look(reset)
        await place.until("max", "max")

    assert of(decision).status is Status.PAGING
    assert place.paging.faults == {}
    assert not place.note.exists()


async def test_limits_that_somebody_had_set_are_put_back_at_the_end(place: Place) -> None:
    place.put(f"{GROUP}/memory.high", str(2 * GIB))
    place.put(f"{GROUP}/memory.swap.max", "0")
    async with place.running():
        await place.resets()
        await place.until(*PAGED)

    assert place.limits() == ("2048", "0")


async def test_where_there_is_a_fence_the_limit_goes_and_the_fence_is_left_to_come(
    place: Place,
) -> None:
    place.paging = place.daemon(fenced=True)
    place.put(f"{GROUP}/memory.high", str(700 * MIB))
    async with place.running():
        await place.resets()
        await place.until(*PAGED)

    assert place.limits() == ("max", "max")


@pytest.mark.trust("restart", "the daemon is killed while the host pages for a VM")
async def test_what_a_killed_daemon_left_is_put_back_by_the_next(place: Place) -> None:
    async with asyncio.TaskGroup() as tasks:
        killed = tasks.create_task(place.paging.run(asyncio.Event()))
        await place.resets()
        await place.until(*PAGED)
        left = place.note.read_bytes()
        killed.cancel()
    place.note.write_bytes(left)
    for name, limit in zip(("memory.high", "memory.swap.max"), PAGED, strict=True):
        place.put(f"{GROUP}/{name}", str(int(limit) * MIB))
    place.paging = place.daemon()

    async with place.running():
        await place.until("max", "max")

    assert not place.note.exists()


@pytest.mark.trust("input", "what a killed daemon noted is garbled")
async def test_a_note_that_makes_no_sense_is_left_aside(place: Place) -> None:
    place.note.write_bytes(b'{"web": 7')

    async with place.running():
        await place.resets()
        await place.until(*PAGED)

    assert place.limits() == ("max", "max")


@pytest.mark.trust("doubt", "a limit cannot be set")
async def test_paging_that_cannot_be_had_is_counted_on_no_more(place: Place) -> None:
    place.owner["refuses"] = True
    async with place.running():
        reset, _ = await place.resets()
        async with asyncio.timeout(10):
            while not place.paging.faults:  # noqa: ASYNC110 - nobody is told
                await asyncio.sleep(0.01)
        decision = await place.look(reset)

    assert of(decision).paged_bytes == 0
    assert [reason.code for reason in of(decision).reasons][-1] is ReasonCode.NOT_PAGED
    assert place.paging.faults == {"web": "web cannot be limited"}


async def test_the_limits_of_a_guest_that_ended_are_nobody_s(place: Place) -> None:
    async with place.running():
        await place.resets()
        await place.until(*PAGED)
        shutil.rmtree(place.folder.root / "proc/1234")

    assert place.limits() == PAGED
    assert not place.note.exists()


def without_swap(place: Place) -> None:
    info = place.folder.root / "proc/meminfo"
    info.write_text(info.read_text().replace("2097152", "0").replace("1048576 kB", "0 kB"))


def with_v1(place: Place) -> None:
    place.put("proc/self/mountinfo", "35 31 0:32 / /sys/fs/cgroup rw - cgroup cgroup rw,memory\n")


def without_cgroups(place: Place) -> None:
    place.put("proc/self/mountinfo", "")


def with_a_shared_group(place: Place) -> None:
    place.put(f"{GROUP}/cgroup.procs", "1234\n1\n")
    place.put("proc/1/comm", "systemd")


def without_swap_limits(place: Place) -> None:
    (place.folder.root / GROUP / "memory.swap.max").unlink()


def without_a_process(place: Place) -> None:
    shutil.rmtree(place.folder.root / "proc/1234")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (without_swap, "no swap"),
        (with_v1, "cgroup v1"),
        (without_cgroups, "no memory cgroups"),
        (with_a_shared_group, "shared with systemd"),
        (without_swap_limits, "no memory.swap.max"),
        (without_a_process, "not to be seen"),
    ],
)
async def test_where_the_host_cannot_page_the_reason_says_why(
    place: Place, wrong: object, says: str
) -> None:
    assert callable(wrong)
    wrong(place)

    _, decision = await place.resets()

    reason = of(decision).reasons[-1]
    assert reason.code is ReasonCode.NOT_PAGED
    assert says in str(reason.numbers["why"])
    assert of(decision).paged_bytes == 0


async def test_a_daemon_that_only_observes_pages_for_nobody(place: Place) -> None:
    place.paging = place.daemon(observing=True)

    _, decision = await place.resets()

    assert of(decision).reasons[-1].numbers["why"] == "the daemon only observes"


async def test_a_note_that_cannot_be_written_keeps_every_limit_as_it_is(place: Place) -> None:
    place.note.with_name("paging.new").mkdir()
    async with place.running():
        await place.resets()
        async with asyncio.timeout(10):
            while not place.paging.faults:  # noqa: ASYNC110 - nobody is told
                await asyncio.sleep(0.01)

    assert "cannot be written" in place.paging.faults["web"]
    assert place.limits() == ("max", "max")
