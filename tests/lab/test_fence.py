"""A real QEMU in a cgroup of its own, a real guest that helps itself, and what the host sees."""

from __future__ import annotations

import asyncio
import mmap
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from barostat.core.decide import State, decide
from barostat.core.fence import FenceMode, FencePolicy
from barostat.core.moves import Move, MoveKind
from barostat.core.observation import GuestObservation, HostObservation, Snapshot
from barostat.core.policy import Policy
from barostat.core.reasons import Reason, ReasonCode
from barostat.core.settings import MemorySettings
from barostat.engine.act import Actor, Outcome
from barostat.engine.fencing import Fencing
from barostat.engine.loop import Balancer, Tick
from barostat.engine.observe import FixedSettings
from barostat.host.cgroup import Cgroups, Group, Holdings, find_tree, read_group
from barostat.host.holding import Holding
from barostat.host.host import Host
from barostat.host.mappings import forget_references, has_own_page_tables, read_ram
from barostat.host.policy import HostPolicy
from barostat.host.tree import Tree
from barostat.hypervisors.base import BalloonWish
from barostat.hypervisors.qmp import QmpHypervisor
from barostat.lab.fleet import Kit, Lab
from barostat.lab.guests import GuestSpec
from barostat.lab.machine import LabGuest
from barostat.units import MIB

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

SPEC = GuestSpec(name="web", boot_bytes=256 * MIB, maximum_bytes=768 * MIB, swap_bytes=256 * MIB)
SETTINGS = MemorySettings(startup_bytes=256 * MIB, minimum_bytes=128 * MIB, maximum_bytes=768 * MIB)
ROOM_BYTES = 64 * MIB
CAPACITY_BYTES = 900 * MIB
LOOK_EVERY_S = 0.2
PATIENCE_S = 20.0
PRESENT = 1 << 63
SWAPPED = 1 << 62


class Nobody:
    """Owns no cgroup."""

    async def limit(self, guest: str, limit_bytes: int | None, *, hard: bool) -> bool:
        return False


class Ground:
    """One real guest, looked at; nothing is balanced but what a test asks for."""

    def __init__(self, guest: LabGuest, hypervisor: QmpHypervisor) -> None:
        self.guest, self.hypervisor = guest, hypervisor
        self.host = Host()
        self.fencing = Fencing(
            FencePolicy(mode=FenceMode.HARD, room_bytes=ROOM_BYTES), Nobody(), self.host
        )
        self.state = State()
        self.box: HostObservation | None = None
        self.assigned_bytes = 0

    @property
    def pid(self) -> int:
        assert self.guest.pid is not None
        return self.guest.pid

    @property
    def alarms(self) -> list[Reason]:
        return [] if self.box is None else list(self.box.alarms)

    async def look(self) -> GuestObservation:
        """Do a pass: see, decide as for guests that are held, and tell the fence."""
        guests = await self.hypervisor.observe(now_s=time.monotonic())
        self.box = await self.host.observe(guests)
        snapshot = Snapshot(
            now_s=time.monotonic(),
            host=self.box,
            guests=tuple(guests),
            settings={"web": SETTINGS},
            paused=True,
        )
        decision = decide(snapshot, self.state, Policy())
        tick = Tick(
            snapshot=snapshot,
            state=self.state,
            policy=Policy(),
            decision=decision,
            observe_s=0,
            decide_s=0,
        )
        self.state, self.assigned_bytes = decision.state, decision.guests[0].assigned_bytes
        self.fencing.on_tick(tick)
        [seen] = guests
        return seen

    @property
    def overhead_bytes(self) -> int:
        assert self.host.report is not None
        return self.host.report.accounts.overhead_bytes

    def holding(self) -> Holding | None:
        return None if self.host.report is None else self.host.report.holdings.get("web")

    async def size(self) -> int:
        return (await self.hypervisor.devices("web")).assigned_bytes


@contextmanager
def cgroup_of(pid: int) -> Iterator[Group]:
    """Put a QEMU into a cgroup of its own, below ours where that may be, and take it away again."""
    memory = find_tree(Tree(Path("/")))
    assert memory is not None, "this machine has no memory cgroups"
    parent = Path("/") / memory.place
    if memory.version is Cgroups.V1:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
        [ours] = [path for line in lines if ":memory:" in line for path in line.split(":")[2:]]
        parent = parent / ours.strip("/")
    folder = parent / f"barostat-test-{os.getpid()}-{pid}"
    folder.mkdir()
    try:
        (folder / "cgroup.procs").write_text(str(pid))
        yield Group(version=memory.version, folder=str(folder).strip("/"))
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    """Move who is left back, and remove the cgroup; it may be busy for a moment."""
    for _ in range(50):
        for pid in (folder / "cgroup.procs").read_text().split():
            (folder.parent / "cgroup.procs").write_text(pid)
        try:
            folder.rmdir()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"{folder} cannot be removed")


def holds(group: Group) -> Holdings:
    found = read_group(Tree(Path("/")), group)
    assert found is not None
    return found


async def until(ground: Ground, what: str, fits: Callable[[], object]) -> None:
    """Look until something holds."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            await ground.look()
            while not fits():
                await asyncio.sleep(LOOK_EVERY_S)
                await ground.look()
    except TimeoutError:
        raise AssertionError(f"not within {PATIENCE_S:g} s: {what}; {ground.holding()}") from None


def move(kind: MoveKind, from_bytes: int, to_bytes: int) -> Move:
    return Move(guest="web", kind=kind, from_bytes=from_bytes, to_bytes=to_bytes, reasons=())


@pytest.mark.trust("unharmed")
async def test_a_fence_follows_a_grow_and_a_shrink_and_is_lifted_at_the_end(kit: Kit) -> None:
    async with Lab([SPEC], kit=kit) as lab:
        guest = lab.guests["web"]
        await guest.wait_ready()
        ground = Ground(guest, QmpHypervisor(sockets={"web": guest.qmp_path}))
        stop = asyncio.Event()
        outcomes: list[Outcome] = []
        with cgroup_of(ground.pid) as group:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(ground.fencing.run(stop))
                await until(ground, "a fence", lambda: holds(group).hard_bytes)
                first = holds(group).hard_bytes
                actor = Actor(
                    ground.hypervisor,
                    tasks,
                    clock=time.monotonic,
                    on_outcome=outcomes.append,
                    before_grow=ground.fencing.before_grow,
                )
                actor.perform([move(MoveKind.GROW, 256 * MIB, 512 * MIB)])
                await until(ground, "the grow", lambda: len(outcomes) == 1)
                await guest.hold(380 * MIB, hot=0.2)
                await guest.wait_held()
                await ground.look()
                grown, used = holds(group).hard_bytes, holds(group).used_bytes
                await guest.hold(20 * MIB)
                await asyncio.sleep(1)
                actor.perform([move(MoveKind.SHRINK, 512 * MIB, 256 * MIB)])
                await until(
                    ground,
                    "a lower fence",
                    lambda: len(outcomes) == 2 and holds(group).hard_bytes != grown,
                )
                shrunk, after = holds(group).hard_bytes, await ground.size()
                stop.set()
            lifted = holds(group).hard_bytes
        alive = await guest.qmp("query-status")
        await ground.hypervisor.close()

    assert [outcome.arrived for outcome in outcomes] == [True, True]
    assert first is not None
    assert grown is not None
    assert shrunk is not None
    assert grown >= first + 256 * MIB
    assert used < grown
    assert after == 256 * MIB
    assert shrunk < grown
    assert lifted is None
    assert alive["running"] is True


@pytest.mark.trust("confirmed", "a guest touches memory that it gave back")
@pytest.mark.trust("liars", "a guest touches memory that it gave back")
async def test_a_guest_that_touches_what_it_gave_back_is_named_and_nobody_gets_its_loot(
    kit: Kit,
) -> None:
    async with Lab([SPEC], kit=kit) as lab:
        guest = lab.guests["web"]
        await guest.wait_ready()
        ground = Ground(guest, QmpHypervisor(sockets={"web": guest.qmp_path}))
        await ground.look()
        await ground.hypervisor.request("web", BalloonWish(target_bytes=150 * MIB))
        await until(ground, "the balloon", lambda: ground.assigned_bytes <= 150 * MIB)
        await asyncio.sleep(1)
        await ground.look()
        await ground.look()
        before, quiet = ground.overhead_bytes, ground.alarms

        holding = ground.holding()
        assert holding is not None
        resident = holding.resident_bytes - holding.own_bytes
        touched = touch_what_is_not_there(ground.pid, 300 * MIB)
        await until(ground, "the alarm", lambda: ground.alarms)
        [alarm] = ground.alarms
        await ground.look()
        after = ground.overhead_bytes
        await ground.hypervisor.close()

    assert quiet == []
    assert touched > 200 * MIB
    assert alarm.code is ReasonCode.TAKES_MORE
    assert alarm.numbers["guest"] == "web"
    loot = alarm.numbers["taken_bytes"]
    assert isinstance(loot, int)
    assert touched - (150 * MIB - resident) - 64 * MIB < loot <= touched
    assert after > before + loot / 2  # and so much less may be handed out


def touch_what_is_not_there(pid: int, most_bytes: int) -> int:
    """Write zeros to RAM that is not there, as a guest does that uses what its balloon holds.

    What is not there reads as zeros: nothing in the guest changes.
    """
    page = mmap.PAGESIZE
    done = 0
    with (
        Path(f"/proc/{pid}/maps").open() as maps,
        Path(f"/proc/{pid}/pagemap").open("rb") as pagemap,
        Path(f"/proc/{pid}/mem").open("r+b", buffering=0) as memory,
    ):
        for line in maps:
            start, end = (int(part, 16) for part in re.findall(r"[0-9a-f]+", line)[:2])
            if end - start not in {256 * MIB, 512 * MIB}:
                continue
            pagemap.seek(start // page * 8)
            entries = memoryview(pagemap.read((end - start) // page * 8)).cast("Q")
            for number, entry in enumerate(entries):
                if entry & (PRESENT | SWAPPED) or done >= most_bytes:
                    continue
                memory.seek(start + number * page)
                memory.write(b"\0")
                done += page
    return done


async def test_what_a_guest_touches_is_seen_from_the_host(kit: Kit) -> None:
    spec = GuestSpec(name="web", boot_bytes=512 * MIB, maximum_bytes=512 * MIB)
    seen = {}
    async with Lab([spec], kit=kit) as lab:
        guest = lab.guests["web"]
        await guest.wait_ready()
        assert guest.pid is not None
        tree = Tree(Path("/"))
        if has_own_page_tables(tree, guest.pid):
            pytest.skip("under KVM what a guest touches is not to be seen this way")
        for percent in (0, 50, 100):
            await guest.hold(0)
            await guest.wait_held()
            await guest.hold(300 * MIB, hot=percent / 100)
            await guest.wait_held()
            forget_references(tree, guest.pid)
            await asyncio.sleep(3)
            ram = read_ram(tree, guest.pid)
            assert ram is not None
            assert ram.resident_bytes > 300 * MIB
            seen[percent] = ram.referenced_bytes // MIB

    assert seen[0] < 100
    assert seen[50] == pytest.approx(seen[0] + 150, abs=60)
    assert seen[100] == pytest.approx(seen[0] + 300, abs=60)


@pytest.mark.trust("neighbours", "a guest deflates its balloon by itself")
@pytest.mark.trust("capacity", "a guest deflates its balloon by itself")
async def test_a_guest_that_deflates_by_itself_is_named_and_its_neighbour_keeps_its_own(
    kit: Kit,
) -> None:
    full = 640 * MIB
    specs = [
        GuestSpec(name=name, boot_bytes=full, maximum_bytes=full, swap_bytes=256 * MIB)
        for name in ("honest", "thief")
    ]
    wants = MemorySettings(startup_bytes=full, minimum_bytes=128 * MIB, maximum_bytes=full)
    ticks: list[Tick] = []
    async with Lab(specs, kit=kit) as lab:
        for guest in lab.guests.values():
            await guest.wait_ready()
        await lab.guests["honest"].hold(350 * MIB, hot=0.5)
        await lab.guests["honest"].wait_held()
        hypervisor = QmpHypervisor(directory=lab.folder)
        balancer = Balancer(
            hypervisor,
            FixedSettings({"honest": wants, "thief": wants}),
            Host(HostPolicy(capacity_bytes=CAPACITY_BYTES)),
            policy=Policy(settle_s=1),
            on_tick=ticks.append,
        )
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(balancer.run(stop))
            await seen(ticks, lambda now: sum(sizes(now).values()) <= CAPACITY_BYTES)
            await asyncio.sleep(5)
            before, asked = sizes(ticks[-1]), len(ticks)
            await lab.guests["thief"].qmp("balloon", value=full)
            await seen(ticks, lambda now: sizes(now)["thief"] == full)
            await asyncio.sleep(10)
            stop.set()
        await hypervisor.close()

    later = ticks[asked:]
    needed = max(now.decision.guests[0].demand_bytes or 0 for now in later)
    least = min(sizes(now)["honest"] for now in later)
    assert any(ReasonCode.STRAYED in reasons(now, "thief") for now in later)
    assert any(
        alarm.code is ReasonCode.CAPACITY_LOST for now in later for alarm in now.decision.alarms
    )
    assert least >= min(before["honest"], needed)
    assert not any(
        move.kind is MoveKind.GROW
        for now in later
        if now.decision.in_hand_bytes < 0
        for move in now.decision.moves
    )


def sizes(tick: Tick) -> dict[str, int]:
    return {guest.guest: guest.assigned_bytes for guest in tick.decision.guests}


def reasons(tick: Tick, name: str) -> set[ReasonCode]:
    [found] = [guest for guest in tick.decision.guests if guest.guest == name]
    return {reason.code for reason in found.reasons}


async def seen(ticks: list[Tick], fits: Callable[[Tick], bool]) -> None:
    """Wait until a pass from now on fits."""
    first = len(ticks)
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not any(fits(tick) for tick in ticks[first:]):  # noqa: ASYNC110 - real time
                await asyncio.sleep(LOOK_EVERY_S)
    except TimeoutError:
        late = [(sizes(now), reasons(now, "thief")) for now in ticks[first::3]]
        raise AssertionError(f"not within {PATIENCE_S:g} s: {late}") from None
