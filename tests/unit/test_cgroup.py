"""The memory cgroup of a QEMU, in captured trees of v1, v2 and both."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from tests.unit.host_folder import HostFolder

from barostat.errors import HostError
from barostat.host.cgroup import (
    Cgroups,
    Group,
    Holdings,
    MemoryTree,
    find_group,
    find_tree,
    read_group,
    set_limit,
)
from barostat.host.tree import Tree
from barostat.units import KIB, MIB

V1_MOUNT = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
V2_MOUNT = "41 31 0:38 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n"
BESIDE_MOUNT = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
V1 = MemoryTree(version=Cgroups.V1, place="sys/fs/cgroup/memory")
V2 = MemoryTree(version=Cgroups.V2, place="sys/fs/cgroup")
SCOPE = "machine.slice/machine-qemu\\x2d1\\x2dweb.scope/libvirt"
OWN = "machine/qemu-1-web.libvirt-qemu"
QEMU = 1234


@pytest.fixture
def host(tmp_path: Path) -> HostFolder:
    return HostFolder(tmp_path)


def process(host: HostFolder, pid: int, name: str, *, parent: int = 1) -> None:
    host.put(f"proc/{pid}/comm", name + "\n")
    host.put(f"proc/{pid}/stat", f"{pid} ({name}) S {parent} 0 0\n")


def in_v1(host: HostFolder, path: str = OWN, *, pids: tuple[int, ...] = (QEMU,)) -> Tree:
    """A QEMU in a group of v1."""
    host.put("proc/self/mountinfo", V1_MOUNT + BESIDE_MOUNT)
    host.put(f"proc/{QEMU}/cgroup", f"9:name=systemd:/x\n4:memory:/{path}\n0::/init.scope\n")
    process(host, QEMU, "qemu-system-x86")
    folder = f"{V1.place}/{path}".rstrip("/")
    host.put(f"{folder}/memory.usage_in_bytes", f"{700 * MIB}\n")
    host.put(f"{folder}/memory.limit_in_bytes", "9223372036854771712\n")
    host.put(f"{folder}/cgroup.procs", "".join(f"{pid}\n" for pid in pids))
    return Tree(host.root)


def in_v2(host: HostFolder) -> Tree:
    """A QEMU as libvirt and systemd place it: its threads in groups below that have no memory."""
    host.put("proc/self/mountinfo", V2_MOUNT)
    host.put("sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids\n")
    host.put(f"proc/{QEMU}/cgroup", f"0::/{SCOPE}/emulator\n")
    process(host, QEMU, "qemu-system-x86")
    folder = f"{V2.place}/{SCOPE}"
    host.put(f"{folder}/memory.current", f"{800 * MIB}\n")
    host.put(f"{folder}/memory.high", "max\n")
    host.put(f"{folder}/memory.max", "max\n")
    host.put(f"{folder}/cgroup.procs", f"{QEMU}\n")
    host.put(f"{folder}/emulator/cgroup.procs", "")
    return Tree(host.root)


def group(tree: Tree) -> Group:
    memory = find_tree(tree)
    assert memory is not None
    found = find_group(tree, memory, QEMU)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("mounts", "controllers", "found"),
    [
        (V1_MOUNT + BESIDE_MOUNT, None, V1),
        (BESIDE_MOUNT + V1_MOUNT, None, V1),
        (V2_MOUNT, "cpu memory", V2),
        (V2_MOUNT, "cpu", None),
        (V2_MOUNT, None, None),
        ("", None, None),
        ("nonsense\n1 2 3 - \n", None, None),
    ],
)
def test_the_memory_controller_is_found_wherever_it_is_mounted(
    host: HostFolder, mounts: str, controllers: str | None, found: MemoryTree | None
) -> None:
    host.put("proc/self/mountinfo", mounts)
    if controllers is not None:
        host.put("sys/fs/cgroup/cgroup.controllers", controllers)

    assert find_tree(Tree(host.root)) == found


def test_a_mount_with_a_blank_in_its_place_is_found(host: HostFolder) -> None:
    host.put("proc/self/mountinfo", V1_MOUNT.replace("/memory ", "/my\\040memory "))

    found = find_tree(Tree(host.root))

    assert found is not None
    assert found.place == "sys/fs/cgroup/my memory"


def test_a_qemu_of_libvirt_has_the_group_above_its_threads(host: HostFolder) -> None:
    found = group(in_v2(host))

    assert found == Group(version=Cgroups.V2, folder=f"{V2.place}/{SCOPE}")


def test_a_qemu_in_v1_has_its_group(host: HostFolder) -> None:
    assert group(in_v1(host)) == Group(version=Cgroups.V1, folder=f"{V1.place}/{OWN}")


def test_in_a_container_paths_begin_at_what_is_mounted(host: HostFolder) -> None:
    in_v1(host)
    host.put("proc/self/mountinfo", V1_MOUNT.replace(" / ", " /docker/1 "))
    host.put(f"proc/{QEMU}/cgroup", f"4:memory:/docker/1/{OWN}\n")

    assert group(Tree(host.root)).folder == f"{V1.place}/{OWN}"


@pytest.mark.parametrize("words", ["4:memory:/elsewhere/x\n", "4:memory:../x\n", "", "4:cpu:/x\n"])
def test_a_group_that_is_not_to_be_seen_is_none(host: HostFolder, words: str) -> None:
    tree = in_v1(host)
    host.put(f"proc/{QEMU}/cgroup", words)
    memory = MemoryTree(version=Cgroups.V1, place=V1.place, top="/docker/1")

    assert find_group(tree, memory, QEMU) is None


def test_the_group_of_the_whole_host_is_nobodys_own(host: HostFolder) -> None:
    found = group(in_v1(host, ""))

    assert found.shared == "it is in no memory cgroup of its own"


def test_a_group_shared_with_another_vm_is_not_its_own_and_says_why(host: HostFolder) -> None:
    tree = in_v1(host, pids=(QEMU, 999))
    process(host, 999, "qemu-system-x86")

    assert group(tree).shared == "its cgroup is shared with qemu-system-x86 (process 999)"


def test_a_group_shared_with_the_shell_it_was_started_from_is_not_its_own(
    host: HostFolder,
) -> None:
    tree = in_v1(host, pids=(77, QEMU))
    process(host, 77, "bash")

    assert "shared with bash" in group(tree).shared


def test_somebody_in_a_group_below_shares_it_too(host: HostFolder) -> None:
    tree = in_v1(host)
    host.put(f"{V1.place}/{OWN}/below/cgroup.procs", "999\n")
    process(host, 999, "postgres")

    assert "shared with postgres" in group(tree).shared


def test_children_and_helpers_of_a_qemu_do_not_share_its_group(host: HostFolder) -> None:
    tree = in_v1(host, pids=(QEMU, 2000, 2001, 2002))
    process(host, 2000, "sh", parent=QEMU)
    process(host, 2001, "swtpm")  # 2002 has just gone

    assert group(tree).shared == ""


def test_a_group_of_very_many_is_no_vms_own(host: HostFolder) -> None:
    tree = in_v1(host, pids=tuple(range(3000, 3100)))

    assert group(tree).shared == "its cgroup holds 100 processes"


def test_a_group_of_v1_says_what_it_holds(host: HostFolder) -> None:
    tree = in_v1(host)
    folder = f"{V1.place}/{OWN}"
    host.put(f"{folder}/memory.limit_in_bytes", f"{900 * MIB}\n")
    host.put(
        f"{folder}/memory.stat",
        f"cache 1\ntotal_cache {100 * MIB}\ntotal_shmem {40 * MIB}\ntotal_swap {5 * MIB}\nodd\n",
    )

    assert read_group(tree, group(tree)) == Holdings(
        used_bytes=700 * MIB, kept_bytes=640 * MIB, hard_bytes=900 * MIB, swap_bytes=5 * MIB
    )


def test_a_group_of_v2_says_what_it_holds(host: HostFolder) -> None:
    tree = in_v2(host)
    folder = f"{V2.place}/{SCOPE}"
    host.put(f"{folder}/memory.high", f"{900 * MIB}\n")
    host.put(f"{folder}/memory.swap.max", f"{64 * MIB}\n")
    host.put(f"{folder}/memory.swap.current", f"{3 * MIB}\n")
    host.put(f"{folder}/memory.stat", f"file {200 * MIB}\nshmem {50 * MIB}\n")
    host.put(f"{folder}/memory.pressure", "some avg10=12.50 avg60=0 avg300=0 total=9\n")

    assert read_group(tree, group(tree)) == Holdings(
        used_bytes=800 * MIB,
        kept_bytes=650 * MIB,
        high_bytes=900 * MIB,
        swap_bytes=3 * MIB,
        swap_limit_bytes=64 * MIB,
        stall_ratio=0.125,
    )


def test_a_group_that_has_gone_holds_nothing(host: HostFolder) -> None:
    gone = Group(version=Cgroups.V2, folder="sys/fs/cgroup/gone")

    assert read_group(Tree(host.root), gone) is None
    with pytest.raises(HostError, match="No such file") as raised:
        set_limit(Tree(host.root), gone, MIB, hard=True)
    assert "has just ended" in raised.value.hint


@pytest.mark.parametrize(
    ("hard", "name"), [(True, "memory.max"), (False, "memory.high")], ids=["hard", "high"]
)
def test_a_limit_of_v2_is_set_and_taken_away(host: HostFolder, hard: bool, name: str) -> None:
    tree = in_v2(host)
    file = host.root / V2.place / SCOPE / name

    set_limit(tree, group(tree), 600 * MIB, hard=hard)
    standing = file.read_text()
    file.write_text("")
    set_limit(tree, group(tree), None, hard=hard)

    assert standing.rstrip() == str(600 * MIB)
    assert file.read_text() == "max"


def test_a_hard_limit_of_v1_is_set_and_taken_away(host: HostFolder) -> None:
    tree = in_v1(host)
    file = host.root / V1.place / OWN / "memory.limit_in_bytes"
    file.write_text("")

    set_limit(tree, group(tree), 600 * MIB, hard=True)
    standing = file.read_text()
    file.write_text("")
    set_limit(tree, group(tree), None, hard=True)

    assert standing == str(600 * MIB)
    assert file.read_text() == "-1"


def test_v1_has_nothing_that_slows_and_says_so(host: HostFolder) -> None:
    tree = in_v1(host)

    with pytest.raises(HostError, match="its soft limit stops no one") as raised:
        set_limit(tree, group(tree), 600 * MIB, hard=False)

    assert "cgroup v2" in raised.value.hint


def test_a_group_that_others_share_is_never_limited(host: HostFolder) -> None:
    tree = in_v1(host, pids=(77, QEMU))
    process(host, 77, "bash")

    with pytest.raises(HostError, match="would hit them too"):
        set_limit(tree, group(tree), 600 * MIB, hard=True)


class Refusing(Tree):
    """A tree whose kernel refuses to be written to."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        super().__init__(Path("/nowhere"))
        self.number = number

    def write(self, path: str, text: str) -> None:
        raise OSError(self.number, f"no {text} in {path}")


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.EACCES, "must run as root"),
        (errno.EROFS, "must run as root"),
        (errno.EBUSY, "could not reclaim"),
        (errno.EINVAL, "another limit"),
        (errno.EIO, "kernel's log"),
    ],
)
def test_a_limit_that_the_kernel_refuses_says_what_to_do(number: int, hint: str) -> None:
    own = Group(version=Cgroups.V1, folder="sys/fs/cgroup/memory/web")

    with pytest.raises(HostError, match="nothing was changed") as raised:
        set_limit(Refusing(number), own, 4 * KIB, hard=True)

    assert hint in raised.value.hint
