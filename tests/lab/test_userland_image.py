"""The image with a userland is built once, whole or not at all, of all that goes into it."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from barostat.errors import LabError
from barostat.lab.dependencies import fetched
from barostat.lab.fleet import Kit
from barostat.lab.kernel import Kernel, cache_folder
from barostat.lab.userland import KEPT, Parts, build_userland, ensure_userland


def parts(tmp_path: Path) -> Parts:
    """A userland of nothing but busybox and scripts, of a kernel that is none."""
    kernel = Kernel(release="1", image=tmp_path / "vmlinuz", modules=tmp_path / "modules")
    kernel.image.write_bytes(b"x")
    return Parts(
        kernel=kernel,
        busybox=kernel.image,
        archives=(Path("box_1_all.deb"),),
        workload={"witness.c": b"c"},
        scripts={"start.sh": b"s", "begin.sh": b"b"},
        agent=b"",
    )


@pytest.mark.parametrize(
    "change",
    [
        {"archives": (Path("box_2_all.deb"),)},
        {"workload": {"witness.c": b"d"}},
        {"scripts": {"start.sh": b"s", "begin.sh": b"c"}},
        {"agent": b"a"},
    ],
)
def test_whatever_goes_into_a_userland_makes_it_another_one(
    change: dict[str, Any], tmp_path: Path
) -> None:
    before = parts(tmp_path)

    assert replace(before, **change).hash != before.hash
    assert parts(tmp_path).hash == before.hash


@pytest.mark.lab
@pytest.mark.usefixtures("userland_kit")  # it brings the tools
def test_a_build_that_fails_leaves_nothing_behind_and_says_why(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"box_1_all\.deb could not be unpacked"):
        build_userland(parts(tmp_path), tmp_path / "cache", progress=lambda _: None)

    assert list((tmp_path / "cache" / "userland").iterdir()) == []


@pytest.mark.lab
def test_what_is_built_is_found_again_and_the_oldest_is_forgotten(
    userland_kit: Kit, tmp_path: Path
) -> None:
    assert userland_kit.userland is not None
    cache = cache_folder()
    oldest = [tmp_path / "userland" / f"{number}" for number in range(KEPT)]
    for number, folder in enumerate(oldest):
        folder.mkdir(parents=True)
        os.utime(folder, (number, number))
    (tmp_path / "packages").symlink_to(cache / "packages")
    (tmp_path / "userland-packages").symlink_to(cache / "userland-packages")
    said: list[str] = []

    first = ensure_userland(progress=said.append, cache=tmp_path)
    second = ensure_userland(progress=said.append, cache=tmp_path)

    assert first == second
    assert len([line for line in said if line.startswith("building")]) == 1
    assert any(re.search(r"has \d+ MiB, built in", line) for line in said)
    assert [folder.exists() for folder in oldest] == [False, True, True]


@pytest.mark.lab
def test_packages_come_with_what_they_need_and_nothing_that_does_not_belong(tmp_path: Path) -> None:
    said: list[str] = []

    def get() -> list[str]:
        found = fetched(
            ["libmd0"],
            tmp_path / "kept",
            belongs=lambda name: name in {"libmd0", "gcc-12-base", "gcc-14-base"},
            progress=said.append,
        )
        return [path.name.split("_")[0] for path in found]

    first, second = get(), get()

    assert first == second
    assert first[-1] == "libmd0"
    assert [name[:4] for name in first[:-1]] == ["gcc-"]
    assert len(said) == 1
