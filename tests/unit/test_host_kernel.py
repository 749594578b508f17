"""How the host's kernel is set up, read from captured files."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.host_folder import HostFolder

from barostat.host.kernel import Cgroups, HugepagePool, Kernel, Node, read_kernel
from barostat.host.tree import Tree
from barostat.units import GIB, MIB


@pytest.fixture
def host(tmp_path: Path) -> HostFolder:
    return HostFolder(tmp_path)


def read(host: HostFolder) -> Kernel:
    return read_kernel(Tree(host.root))


def test_where_nothing_can_be_read_nothing_is_known(host: HostFolder) -> None:
    assert read(host) == Kernel(release="")


def test_everything_is_read(host: HostFolder) -> None:
    host.put("proc/sys/kernel/osrelease", "6.1.0-18-amd64\n")
    host.put("proc/swaps", "Filename Type Size Used Priority\n/dev/vda2 partition 1 0 -2\n")
    host.put("proc/sys/vm/overcommit_memory", "2\n")
    host.put("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n")
    host.put("sys/kernel/mm/ksm/run", "1\n")

    found = read(host)

    assert found.release == "6.1.0-18-amd64"
    assert found.swap_places == ("/dev/vda2",)
    assert found.overcommit == 2
    assert found.transparent_hugepages == "madvise"
    assert found.ksm_on


def test_pools_of_hugepages_are_read_and_empty_ones_left_out(host: HostFolder) -> None:
    folder = "sys/kernel/mm/hugepages"
    host.put(f"{folder}/hugepages-2048kB/nr_hugepages", "512")
    host.put(f"{folder}/hugepages-2048kB/free_hugepages", "100")
    host.put(f"{folder}/hugepages-1048576kB/nr_hugepages", "0")
    host.put(f"{folder}/something/nr_hugepages", "7")

    assert read(host).pools == (HugepagePool(page_bytes=2 * MIB, pages=512, free_pages=100),)


def test_numa_nodes_are_read_in_their_order(host: HostFolder) -> None:
    for node in (10, 2):
        text = f"Node {node} MemTotal:  1048576 kB\nNode {node} MemFree:  1024 kB\n"
        host.put(f"sys/devices/system/node/node{node}/meminfo", text)
    host.put("sys/devices/system/node/nodes/meminfo", "x")
    host.put("sys/devices/system/node/node3/meminfo", "")
    (host.root / "sys/devices/system/node/node4").mkdir()

    assert read(host).nodes == (
        Node(number=2, total_bytes=GIB, free_bytes=MIB),
        Node(number=10, total_bytes=GIB, free_bytes=MIB),
    )


V1 = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory"
V2 = "41 31 0:38 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw"


@pytest.mark.parametrize(
    ("mounts", "controllers", "cgroups"),
    [
        (V2, "cpu io memory pids", Cgroups.V2),
        (V2, "cpu io", Cgroups.NONE),
        (f"{V2}\n{V1}", "", Cgroups.V1),
        ("", "", Cgroups.NONE),
    ],
)
def test_the_memory_controller_is_found(
    host: HostFolder, mounts: str, controllers: str, cgroups: Cgroups
) -> None:
    host.put("proc/self/mountinfo", mounts + "\n")
    host.put("sys/fs/cgroup/cgroup.controllers", controllers)

    assert read(host).cgroups is cgroups
