"""QEMU processes are found among all others, and nothing that they do stops the look."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.unit.host_folder import WEB, HostFolder, mib

from barostat.host.processes import IN_TURN, YOUNG_LOOKS, ProcessTable, process_names
from barostat.host.tree import Tree
from barostat.units import GIB


@pytest.fixture
def host(tmp_path: Path) -> HostFolder:
    folder = HostFolder(tmp_path)
    folder.write()
    return folder


def table(host: HostFolder) -> ProcessTable:
    return ProcessTable(Tree(host.root))


def test_a_qemu_is_found_with_what_it_holds(host: HostFolder) -> None:
    host.qemu(1234, rss=900, shmem=300, locked=8)
    host.put("proc/99/comm", "bash\n")

    [found] = table(host).look()

    assert (found.pid, found.command.name) == (1234, "web")
    assert found.command.size_bytes == GIB
    assert mib(found.resident_bytes) == 900, "its own and shared memory, not mapped files"
    assert mib(found.locked_bytes) == 8
    assert found.started_s == 100.0
    assert not found.hugepages


@pytest.mark.parametrize("name", ["qemu-system-x86", "qemu-kvm", "kvm", ".qemu-system-x8"])
def test_a_qemu_is_known_by_every_name_it_goes_by(host: HostFolder, name: str) -> None:
    host.qemu(1234, name=name)

    assert len(table(host).look()) == 1


def test_a_qemu_that_calls_itself_otherwise_is_known_by_its_program(host: HostFolder) -> None:
    host.qemu(1234, name="vm-web")
    (host.root / "proc/1234/exe").symlink_to("/usr/bin/qemu-system-x86_64 (deleted)")

    assert len(table(host).look()) == 1


@pytest.mark.parametrize("name", ["kvm-pit/1234", "bash", "qemu-ga", "qemu-img"])
def test_what_only_sounds_like_qemu_is_none(host: HostFolder, name: str) -> None:
    host.qemu(1234, name=name.replace("/", "_"))
    host.put("proc/1234/comm", name)

    assert table(host).look() == ()


def test_a_thread_of_the_kernel_is_none(host: HostFolder) -> None:
    host.qemu(1234, name="kvm")
    host.put("proc/1234/cmdline", "")

    assert table(host).look() == ()


def test_a_qemu_that_runs_no_vm_is_passed_over(host: HostFolder) -> None:
    host.qemu(1234, "-machine", "none")

    assert table(host).look() == ()


def test_a_process_that_becomes_qemu_is_found(host: HostFolder) -> None:
    found = table(host)
    host.qemu(1234, name="rpc-worker")
    assert found.look() == ()

    host.qemu(1234)

    assert len(found.look()) == 1


def test_an_old_process_that_becomes_qemu_is_found_in_its_turn(host: HostFolder) -> None:
    found = table(host)
    for pid in range(2000, 2000 + 2 * IN_TURN):
        host.put(f"proc/{pid}/comm", "sleep")
    host.qemu(1234, name="launcher")
    for _ in range(YOUNG_LOOKS):
        found.look()

    host.qemu(1234)

    assert any(found.look() for _ in range(5))


def test_a_qemu_that_ends_is_gone(host: HostFolder) -> None:
    found = table(host)
    host.qemu(1234)
    host.qemu(1235, "-name", "db")
    found.look()

    shutil.rmtree(host.root / "proc/1234")

    assert [process.pid for process in found.look()] == [1235]


def test_a_number_that_another_program_has_now_is_no_qemu_any_more(host: HostFolder) -> None:
    found = table(host)
    host.qemu(1234)
    found.look()

    host.qemu(1234, name="postgres")

    assert found.look() == ()
    assert found.look() == ()


def test_a_process_of_which_nothing_can_be_read_hinders_nobody(host: HostFolder) -> None:
    host.qemu(1234)
    (host.root / "proc/77").mkdir()
    host.qemu(78)
    (host.root / "proc/78/status").unlink()

    assert [process.pid for process in table(host).look()] == [1234]


def test_a_qemu_whose_status_vanishes_is_left_out_and_comes_back(host: HostFolder) -> None:
    found = table(host)
    host.qemu(1234)
    found.look()
    (host.root / "proc/1234/status").unlink()
    assert found.look() == ()

    host.qemu(1234)

    assert len(found.look()) == 1


def test_absurd_files_are_read_as_nothing(host: HostFolder) -> None:
    host.qemu(1234)
    status = "Name:\tqemu-system-x86\nRssAnon:\t-5 kB\nRssShmem:\nVmLck: x kB\nHugetlbPages: 9" * 2
    host.put("proc/1234/status", status)
    host.put("proc/1234/stat", "1234 (a) b) S 1")

    [found] = table(host).look()

    assert found.resident_bytes == 0
    assert found.started_s == 0.0


def test_a_kernel_that_does_not_tell_kinds_of_memory_apart_says_them_together(
    host: HostFolder,
) -> None:
    host.qemu(1234)
    host.put("proc/1234/status", "Name:\tqemu-system-x86\nVmRSS:\t 1024 kB\n")

    assert mib(table(host).look()[0].resident_bytes) == 1


@pytest.mark.parametrize(
    "options",
    [
        (*WEB, "-mem-path", "/dev/hugepages"),
        (*WEB, "-object", "memory-backend-file,mem-path=/dev/hugepages/libvirt/qemu/1-web,size=1G"),
        (*WEB, "-object", "memory-backend-memfd,hugetlb=on,size=1G"),
    ],
)
def test_hugepages_are_recognised_by_where_memory_stands(
    host: HostFolder, options: tuple[str, ...]
) -> None:
    host.qemu(1234, *options)

    assert table(host).look()[0].hugepages


def test_hugepages_are_recognised_by_what_is_held(host: HostFolder) -> None:
    host.qemu(1234, hugetlb=1024)

    assert table(host).look()[0].hugepages


def test_memory_in_an_ordinary_file_is_none_of_hugepages(host: HostFolder) -> None:
    host.qemu(1234, *WEB, "-mem-path", "/dev/shm/web")

    assert not table(host).look()[0].hugepages


def test_programs_are_named_whoever_runs_them(host: HostFolder) -> None:
    host.put("proc/5/comm", "pvestatd\n")
    (host.root / "proc/6").mkdir()

    assert process_names(Tree(host.root)) == {"pvestatd"}


def test_a_real_process_is_read(tmp_path: Path) -> None:
    program = tmp_path / "qemu-system-x86_64"
    shutil.copy("/bin/sleep", program)
    with subprocess.Popen([program, "60", "60"]) as running:
        try:
            found = ProcessTable(Tree(Path("/"))).look()
        finally:
            running.kill()

    [real] = [process for process in found if process.pid == running.pid]
    assert real.resident_bytes > 0
    assert real.started_s > 0
