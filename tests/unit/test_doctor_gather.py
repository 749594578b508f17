"""What doctor gathers of a machine, from captured files and from programs that answer or do not."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.host_folder import WEB, HostFolder, mib

from barostat.core.reasons import ReasonCode
from barostat.doctor import gather
from barostat.doctor.facts import Libvirt
from barostat.doctor.gather import ask_libvirt, ask_qemu, look_at_machine, read_version
from barostat.errors import HostError
from barostat.host.tree import Tree
from barostat.units import GIB


@pytest.fixture
def folder(tmp_path: Path) -> HostFolder:
    found = HostFolder(tmp_path / "root")
    found.write()
    return found


def program(folder: Path, name: str, *lines: str) -> None:
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text("\n".join(["#!/bin/sh", *lines]))
    file.chmod(0o755)


async def test_a_machine_is_seen_with_its_guests_and_what_else_runs(folder: HostFolder) -> None:
    folder.qemu(1234, *WEB, "-device", "virtio-balloon-pci,free-page-reporting=on")
    folder.qemu(1300, "-name", "other", "-overcommit", "mem-lock=on")
    folder.put("proc/9/comm", "pvestatd\n")

    found = await look_at_machine({"web": GIB}, root=folder.root)

    assert found.facts.foreign == ("other",)
    assert "pvestatd" in found.facts.programs
    assert mib(found.facts.memory.total_bytes) == 16384
    assert found.facts.capacity_bytes > 0
    balloon = found.balloon_of("web")
    assert balloon is not None
    assert balloon.free_page_reporting
    assert found.balloon_of("nobody") is None
    assert found.unfit == {}


async def test_a_guest_whose_memory_cannot_be_had_back_is_found(folder: HostFolder) -> None:
    folder.qemu(1234, *WEB, "-overcommit", "mem-lock=on")

    found = await look_at_machine({"web": GIB}, root=folder.root)

    assert found.unfit["web"].code is ReasonCode.LOCKED


async def test_a_machine_that_cannot_be_looked_at_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="/proc/meminfo"):
        await look_at_machine({}, root=tmp_path)


async def test_a_machine_without_libvirt_says_so(folder: HostFolder) -> None:
    found = await ask_libvirt(Tree(folder.root), [])

    assert (found.serving, found.version) == (False, None)


async def test_a_libvirt_whose_binding_is_missing_is_not_asked(
    folder: HostFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.put("run/libvirt/libvirt-sock", "")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    assert await ask_libvirt(Tree(folder.root), []) == Libvirt(serving=True, bound=False)


async def test_libvirt_says_its_version(folder: HostFolder) -> None:
    pytest.importorskip("libvirt")

    found = await ask_libvirt(Tree(folder.root), ["test:///default"])

    assert found.version is not None
    assert found.version >= (7, 9)


async def test_a_libvirt_that_does_not_answer_says_no_version(folder: HostFolder) -> None:
    pytest.importorskip("libvirt")

    found = await ask_libvirt(Tree(folder.root), [f"qemu+unix:///system?socket={folder.root}/no"])

    assert found == Libvirt(serving=False, bound=True)


async def test_qemu_says_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = "QEMU emulator version 8.2.2 (Debian 1:8.2.2+ds-0ubuntu1)"
    program(tmp_path / "bin", "qemu-system-x86_64", f"echo '{said}'")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    assert await ask_qemu() == (8, 2, 2)


async def test_a_machine_without_qemu_says_no_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert await ask_qemu() is None


async def test_a_qemu_that_hangs_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "bin", "qemu-system-x86_64", "exec /bin/sleep 60")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(gather, "ANSWER_S", 0.05)

    assert await ask_qemu() is None


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("QEMU emulator version 7.2.22", (7, 2, 22)),
        ("9.0", (9, 0)),
        ("10.1.0-rc2", (10, 1, 0)),
        ("no version", None),
        ("", None),
    ],
)
def test_versions_are_read_as_programs_say_them(text: str, version: tuple[int, ...] | None) -> None:
    assert read_version(text) == version
