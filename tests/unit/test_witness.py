"""A closer look at single guests: whose memory a QEMU holds, and what its guest touches."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.unit.builders import devices, guest
from tests.unit.host_folder import HostFolder

from barostat.core.reasons import ReasonCode
from barostat.errors import HostError
from barostat.host.command import read_command
from barostat.host.holding import Holding, hold, is_suspect, takes_more
from barostat.host.host import Host
from barostat.host.mappings import RamUse, forget_references, has_own_page_tables, read_ram
from barostat.host.policy import HostPolicy
from barostat.host.processes import QemuProcess
from barostat.host.tree import Tree
from barostat.host.witness import Touched, Witness, WitnessPace
from barostat.units import KIB, MIB

POLICY = HostPolicy()
MAPPING = """7f24f7e00000-7f2507e00000 rw-p 00000000 00:00 0 {name}
Size:             {size} kB
KernelPageSize:        4 kB
Rss:              {rss} kB
Referenced:       {touched} kB
Anonymous:        {rss} kB
Swap:                  {swap} kB
VmFlags: rd wr mr mw me {flags}ac hg mg
"""
EVERY = WitnessPace(own_s=300, touched_s=300, budget_ratio=0.01)
"""Both kinds of look, one at a time."""


def mapping(
    size: int, rss: int, *, touched: int = 0, swap: int = 0, flags: str = "dc ", name: str = ""
) -> str:
    """A mapping as the kernel shows it, sizes in MiB; by default of a guest's RAM."""
    sizes = {"size": size, "rss": rss, "touched": touched, "swap": swap}
    in_kib = {key: value * KIB for key, value in sizes.items()}
    return MAPPING.format(name=name, flags=flags, **in_kib)


@pytest.fixture
def folder(tmp_path: Path) -> HostFolder:
    return HostFolder(tmp_path)


def qemu(folder: HostFolder, pid: int = 1234, *, ram: int = 700, touched: int = 0) -> None:
    """A QEMU of 1 GiB with a region beside it, a screen, and 90 MiB of its own."""
    folder.put(
        f"proc/{pid}/smaps",
        mapping(1024, ram - 100, touched=touched, swap=5)
        + mapping(1024, 100)
        + mapping(16, 16)
        + mapping(128, 90 - 16, flags="", name="[heap]"),
    )
    folder.put(f"proc/{pid}/clear_refs", "")
    (folder.root / f"proc/{pid}/fd").mkdir(parents=True, exist_ok=True)


def test_a_guests_ram_is_told_from_what_qemu_has_for_itself(folder: HostFolder) -> None:
    qemu(folder, ram=700, touched=300)

    assert read_ram(Tree(folder.root), 1234) == RamUse(
        resident_bytes=700 * MIB,
        swapped_bytes=5 * MIB,
        referenced_bytes=300 * MIB,
        own_bytes=90 * MIB,
    )


@pytest.mark.parametrize("text", ["", "nonsense", mapping(128, 5, flags="")])
def test_what_has_no_ram_is_not_measured(folder: HostFolder, text: str) -> None:
    folder.put("proc/7/smaps", text)

    assert read_ram(Tree(folder.root), 7) is None


def test_a_qemu_that_has_gone_is_not_measured(folder: HostFolder) -> None:
    assert read_ram(Tree(folder.root), 7) is None


def test_a_guest_under_kvm_is_known(folder: HostFolder) -> None:
    qemu(folder)
    (folder.root / "proc/1234/fd/9").symlink_to("anon_inode:[eventfd]")
    before = has_own_page_tables(Tree(folder.root), 1234)
    (folder.root / "proc/1234/fd/10").symlink_to("anon_inode:kvm-vm")

    assert not before
    assert has_own_page_tables(Tree(folder.root), 1234)


def test_references_that_may_not_be_forgotten_say_what_to_do(folder: HostFolder) -> None:
    with pytest.raises(HostError, match="clear_refs cannot be written") as raised:
        forget_references(Tree(folder.root), 7)

    assert "runs as root" in raised.value.hint


class Looking:
    """A witness over captured files, and a clock that only tests move."""

    def __init__(self, folder: HostFolder) -> None:
        self.now_s = 1000.0
        self.folder = folder
        self.witness = Witness(Tree(folder.root), clock=lambda: self.now_s)
        self.pids = {"web": 1234}
        self.suspects: set[str] = set()
        self.pace = EVERY

    async def see(self, *, after_s: float = 0.0) -> None:
        """Look until nothing more is done at this moment."""
        self.now_s += after_s
        self.witness.see(self.pids, self.suspects, pace=self.pace)
        under_way = self.witness._under_way
        if under_way is not None:
            await asyncio.wait({under_way[1]}, timeout=10)
        self.witness.see(self.pids, self.suspects, pace=self.pace)


@pytest.fixture
def looking(folder: HostFolder) -> Looking:
    qemu(folder)
    return Looking(folder)


async def test_what_a_guest_touches_is_seen_over_a_window(
    looking: Looking, folder: HostFolder
) -> None:
    looking.pace = WitnessPace(own_s=None, touched_s=300, budget_ratio=0.01)
    await looking.see()
    await looking.see(after_s=5)
    early = dict(looking.witness.touched)
    told = (folder.root / "proc/1234/clear_refs").read_text()
    qemu(folder, touched=300)
    await looking.see(after_s=6)

    assert told == "1"
    assert early == {}
    assert looking.witness.touched == {
        "web": Touched(touched_bytes=300 * MIB, resident_bytes=700 * MIB, over_s=11.0, at_s=1011.0)
    }


async def test_a_guest_under_kvm_is_not_said_to_touch_nothing(
    looking: Looking, folder: HostFolder
) -> None:
    looking.pace = WitnessPace(own_s=None, touched_s=300, budget_ratio=0.01)
    (folder.root / "proc/1234/fd/10").symlink_to("anon_inode:kvm-vm")

    await looking.see()
    await looking.see(after_s=60)

    assert looking.witness.touched == {}
    assert (folder.root / "proc/1234/clear_refs").read_text() == ""


async def test_nothing_is_looked_at_that_nobody_asked_for(looking: Looking) -> None:
    looking.pace = WitnessPace(own_s=None, touched_s=None, budget_ratio=0.01)

    await looking.see()
    await looking.see(after_s=600)

    assert looking.witness.ram == {}
    assert looking.witness.touched == {}


async def test_a_suspect_is_looked_at_and_again_after_a_while(
    looking: Looking, folder: HostFolder
) -> None:
    looking.pace = WitnessPace(own_s=None, touched_s=None, budget_ratio=0.01)
    looking.suspects = {"web"}
    await looking.see()
    first = looking.witness.ram["web"].resident_bytes
    qemu(folder, ram=800)
    await looking.see(after_s=10)
    soon = looking.witness.ram["web"].resident_bytes
    await looking.see(after_s=25)

    assert first == soon == 700 * MIB
    assert looking.witness.ram["web"].resident_bytes == 800 * MIB


async def test_another_qemu_of_that_name_is_another_guest(looking: Looking) -> None:
    looking.pace = WitnessPace(own_s=300, touched_s=None, budget_ratio=0.01)
    await looking.see()
    before = dict(looking.witness.ram)
    looking.pids = {"web": 77}
    await looking.see()

    assert before
    assert looking.witness.ram == {}


async def test_looks_stay_within_their_share_of_the_time(looking: Looking) -> None:
    looking.pace = WitnessPace(own_s=1, touched_s=None, budget_ratio=1e-9)

    await looking.see()
    first = looking.witness.ram.pop("web", None)
    await looking.see(after_s=60)

    assert first is not None
    assert looking.witness.ram == {}


async def test_a_witness_that_is_not_allowed_says_so_once(
    looking: Looking, folder: HostFolder, caplog: pytest.LogCaptureFixture
) -> None:
    looking.pace = WitnessPace(own_s=None, touched_s=20, budget_ratio=0.01)
    (folder.root / "proc/1234/clear_refs").unlink()

    for _ in range(3):
        await looking.see(after_s=30)

    assert len(caplog.records) == 1
    assert "witness = false" in caplog.text


# What it is for.


def process(resident: int, *options: str, swapped: int = 0, shared: int = 0) -> QemuProcess:
    words = ("qemu-system-x86_64", "-name", "web", "-m", "1024", *options)
    return QemuProcess(
        pid=1234,
        started_s=0.0,
        command=read_command(words),
        resident_bytes=resident * MIB,
        shared_bytes=shared * MIB,
        swapped_bytes=swapped * MIB,
    )


def ram(resident: int, own: int) -> RamUse:
    return RamUse(
        resident_bytes=resident * MIB,
        swapped_bytes=0,
        referenced_bytes=0,
        own_bytes=own * MIB,
    )


SHRUNK = guest(has=devices(balloon=624))  # has 400 of 1024 MiB


def holding(resident: int, use: RamUse | None) -> Holding:
    return hold(SHRUNK, process(resident), use, None, POLICY)


def test_a_guest_that_uses_ballooned_memory_is_named_with_its_figures() -> None:
    found = holding(700, ram(600, 100))

    reason = takes_more(SHRUNK, found)

    assert is_suspect(SHRUNK, process(700), POLICY)
    assert found.taken_bytes == 200 * MIB
    assert reason is not None
    assert reason.code is ReasonCode.TAKES_MORE
    assert reason.numbers == {
        "guest": "web",
        "held_bytes": 700 * MIB,
        "taken_bytes": 200 * MIB,
        "assigned_bytes": 400 * MIB,
    }


def test_a_qemu_that_needs_much_itself_is_not_its_guests_fault() -> None:
    found = holding(700, ram(400, 300))

    assert takes_more(SHRUNK, found) is None
    assert found.own_bytes == 300 * MIB


def test_nobody_is_named_before_a_closer_look() -> None:
    found = holding(700, None)

    assert takes_more(SHRUNK, found) is None
    assert not found.measured
    assert found.own_bytes == (64 + 8) * MIB


def test_a_guest_within_its_bounds_is_no_suspect() -> None:
    assert not is_suspect(SHRUNK, process(460), POLICY)


def test_what_a_guest_uses_is_resident_or_was_swapped_out_by_the_host() -> None:
    found = hold(SHRUNK, process(300, swapped=100), None, None, POLICY)

    assert found.in_use_bytes == 400 * MIB


@pytest.mark.parametrize(
    "hidden",
    [
        process(300, shared=280),
        process(300, "-object", "memory-backend-file,id=m,size=1G,mem-path=/ram,share=on"),
    ],
    ids=["shared", "in a file"],
)
def test_of_memory_that_others_share_nothing_is_said(hidden: QemuProcess) -> None:
    assert hold(SHRUNK, hidden, None, None, POLICY).in_use_bytes is None


async def test_the_host_names_a_guest_that_takes_more_and_grants_its_loot_to_nobody(
    folder: HostFolder,
) -> None:
    folder.write()
    folder.qemu(1234, rss=400)
    qemu(folder, ram=340)
    host = Host(root=folder.root)
    before = (await host.observe([SHRUNK])).capacity_bytes
    folder.qemu(1234, rss=900)
    qemu(folder, ram=810)

    async with asyncio.timeout(10):
        found = await host.observe([SHRUNK])
        while not found.alarms:  # each look waits for a thread, as the closer look does
            found = await host.observe([SHRUNK])

    assert [reason.code for reason in found.alarms] == [ReasonCode.TAKES_MORE]
    assert found.alarms[0].numbers["taken_bytes"] == (810 - 400) * MIB
    loot = (900 - 400 - 72) * MIB
    assert before - found.capacity_bytes == pytest.approx(loot, abs=MIB)
