"""The host's own files, cut off, garbled or missing: the box as it was, or an error in words."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest
from tests.hostile.bounds import Note, bounded, cases
from tests.hostile.mutations import garbled
from tests.unit.builders import guest
from tests.unit.host_folder import HostFolder

from barostat.errors import HostError
from barostat.host.cgroup import find_group, find_tree, read_group
from barostat.host.host import Host
from barostat.host.kernel import read_kernel
from barostat.host.mappings import has_own_page_tables, read_ram
from barostat.host.memory import read_memory
from barostat.host.processes import ProcessTable, process_names
from barostat.host.tree import Tree
from barostat.units import GIB

PID = 1234
TOKENS = (b"9" * 5000, b"-1 kB", b"18446744073709551616 kB", b"\xff\xfe", b"nan", b"1e400", b"\0")
SMAPS = b"""7f0000000000-7f0040000000 rw-p 00000000 00:00 0
Size:            1048576 kB
Rss:              500000 kB
Referenced:       400000 kB
Anonymous:        500000 kB
Swap:                  0 kB
VmFlags: rd wr mr mw me dc ac hg
"""
FILES = {
    "proc/self/mountinfo": b"30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
    f"proc/{PID}/cgroup": b"0::/machine.slice/web.scope/libvirt/emulator\n",
    f"proc/{PID}/smaps": SMAPS,
    "sys/fs/cgroup/cgroup.controllers": b"cpu memory pids\n",
    "sys/fs/cgroup/machine.slice/web.scope/cgroup.procs": b"1234\n",
    "sys/fs/cgroup/machine.slice/web.scope/memory.current": b"536870912\n",
    "sys/fs/cgroup/machine.slice/web.scope/memory.max": b"max\n",
    "sys/fs/cgroup/machine.slice/web.scope/memory.high": b"1073741824\n",
    "sys/fs/cgroup/machine.slice/web.scope/memory.stat": b"inactive_file 4096\nactive_file 1\n",
    "sys/fs/cgroup/machine.slice/web.scope/memory.pressure": b"some avg10=0.00 avg60=0.00\n",
    "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages": b"7\n",
    "sys/devices/system/node/node0/meminfo": b"Node 0 MemTotal: 999 kB\nNode 0 MemFree: 9 kB\n",
    "proc/swaps": b"Filename Type Size\n/dev/sda2 partition 999 0 -2\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A host with one QEMU, and every file that is read of it."""
    host = HostFolder(tmp_path)
    host.write()
    host.qemu(PID)
    for path, data in FILES.items():
        host.put(path, data.decode())
    return tmp_path


def read_all(tree: Tree) -> None:
    """Read everything that is ever read of a host."""
    with contextlib.suppress(HostError):
        memory = read_memory(tree)
        assert 0 <= memory.available_bytes <= memory.total_bytes
        assert memory.stall_ratio is None or 0 <= memory.stall_ratio <= 1
    for process in ProcessTable(tree).look():
        assert process.resident_bytes >= 0
    read_kernel(tree)
    process_names(tree)
    use = read_ram(tree, PID)
    assert use is None or use.own_bytes >= 0
    has_own_page_tables(tree, PID)
    found = find_tree(tree)
    group = None if found is None else find_group(tree, found, PID)
    if group is not None:
        read_group(tree, group)


def spoil(files: Sequence[tuple[Path, bytes]], chance: Random) -> list[tuple[Path, bytes]]:
    """Garble some files; gives them as they were."""
    spoiled = chance.sample(files, chance.choice((1, 1, 2, 5)))
    for file, data in spoiled:
        match chance.randrange(6):
            case 0:
                file.unlink()
            case 1:
                file.write_bytes(data[: chance.randrange(len(data) + 1)])
            case 2:
                file.write_bytes(chance.randbytes(chance.choice((1, 100, 2**21))))
            case _:
                file.write_bytes(garbled(data, chance, tokens=TOKENS))
    return spoiled


def mended(spoiled: Sequence[tuple[Path, bytes]]) -> None:
    for file, data in spoiled:
        file.write_bytes(data)


@pytest.mark.trust("input", "the kernel's files are missing, cut or garbled")
def test_whatever_the_kernels_files_hold_reading_them_breaks_nothing(
    folder: Path, record_property: Note
) -> None:
    files = [(file, file.read_bytes()) for file in sorted(folder.rglob("*")) if file.is_file()]
    read_all(Tree(folder))

    with bounded(within_s=10_000, peak_bytes=64 * 2**20):
        for chance in cases(record_property, seconds=6):
            spoiled = spoil(files, chance)
            read_all(Tree(folder))
            mended(spoiled)


@pytest.mark.trust("doubt", "the kernel's files are missing, cut or garbled")
async def test_a_host_that_says_nonsense_is_as_it_was_seen_last_or_grants_nobody(
    folder: Path, record_property: Note
) -> None:
    files = [(file, file.read_bytes()) for file in sorted(folder.rglob("*")) if file.is_file()]
    guests = (guest("web"),)
    host = Host(root=folder)
    await host.observe(guests)

    for chance in cases(record_property, seconds=4):
        spoiled = spoil(files, chance)
        seen = await host.observe(guests)
        mended(spoiled)

        assert 0 <= seen.capacity_bytes < 2**64
    assert (await host.observe(guests)).capacity_bytes < 16 * GIB
