"""What the lab needs of a machine, and what it says where that is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from barostat.errors import LabError, MissingPackagesError
from barostat.lab.archives import asking_apt, unpacked
from barostat.lab.packages import (
    ensure_packages,
    missing_libvirt_packages,
    missing_packages,
    missing_userland_packages,
    run_apt,
)


def nothing_is_there(_command: str) -> str | None:
    return None


def everything_is_there(command: str) -> str | None:
    return f"/usr/bin/{command}"


def test_a_machine_with_everything_misses_nothing(tmp_path: Path) -> None:
    assert missing_packages(which=everything_is_there, static_libc=tmp_path) == ()


def test_missing_commands_are_named_by_the_packages_that_have_them(tmp_path: Path) -> None:
    missing = missing_packages(which=nothing_is_there, static_libc=tmp_path / "libc.a")

    assert set(missing) == {
        *("qemu-system-x86", "cpio", "gcc", "util-linux", "libc6-dev"),
    }


def test_libvirt_is_needed_only_by_who_asks_for_it() -> None:
    missing = missing_libvirt_packages(which=nothing_is_there)

    assert missing == ("libvirt-daemon-system", "libvirt-clients", "util-linux", "mount")
    assert missing_libvirt_packages(which=everything_is_there) == ()


def test_a_userland_needs_what_makes_its_disk() -> None:
    assert missing_userland_packages(which=nothing_is_there) == ("e2fsprogs",)
    assert missing_userland_packages(which=everything_is_there) == ()


def test_without_root_the_error_carries_the_command_to_run() -> None:
    said: list[str] = []

    with pytest.raises(MissingPackagesError) as caught:
        ensure_packages(progress=said.append, missing=("cpio", "gcc"), root=False)

    assert "cpio, gcc" in caught.value.message
    assert caught.value.hint == (
        "sudo apt-get update && sudo apt-get install -y --no-install-recommends cpio gcc"
    )
    assert said == []


def test_with_nothing_missing_nothing_is_run() -> None:
    said: list[str] = []

    ensure_packages(progress=said.append, missing=(), root=True)

    assert said == []


def test_a_failing_apt_is_quoted() -> None:
    with pytest.raises(LabError, match="barostat-has-no-such-package") as caught:
        run_apt(["apt-get", "install", "--simulate", "barostat-has-no-such-package"])

    assert "by hand" in caught.value.hint


def test_a_machine_without_apt_is_told_so() -> None:
    with pytest.raises(LabError, match="could not be run"):
        run_apt(["barostat-no-such-apt"])


def test_without_root_old_package_lists_are_named_as_the_cause() -> None:
    def question() -> str:
        raise LabError("apt knows nothing")

    with pytest.raises(LabError, match="apt knows nothing") as caught:
        asking_apt(question, root=False)

    assert "sudo apt-get update" in caught.value.hint


def test_an_unpacked_package_is_used_without_asking_anybody(tmp_path: Path) -> None:
    for version in ("1.9", "1.35", "1.4"):
        (tmp_path / f"box_{version}_amd64").mkdir()

    assert unpacked("box", tmp_path, progress=print) == tmp_path / "box_1.35_amd64"
