"""One command puts the agent into a guest, or into the image of one, and takes it out again."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.unit.agent_guest import AGENT

from barostat.guest import agent

FILES = AGENT.parent / "files"
PROGRAM = "usr/local/sbin/barostat-agent"
UNIT = "etc/systemd/system/barostat-agent.service"
WANTED = "etc/systemd/system/multi-user.target.wants/barostat-agent.service"
RULES = "etc/udev/rules.d/90-barostat-memory.rules"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image with Python."""
    python = tmp_path / "image" / "usr" / "bin" / "python3"
    python.parent.mkdir(parents=True)
    python.touch(mode=0o755)
    return tmp_path / "image"


def setup(*arguments: str, script: Path = FILES / "setup") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(script), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_an_image_gets_the_agent_its_unit_and_its_rule(image: Path) -> None:
    said = setup("install", "--root", str(image))

    assert said.returncode == 0, said.stderr
    assert (image / PROGRAM).read_bytes() == AGENT.read_bytes()
    assert os.access(image / PROGRAM, os.X_OK)
    assert (image / WANTED).readlink() == Path("/", UNIT)
    assert "online_movable" in (image / RULES).read_text()
    unit = configparser.ConfigParser(strict=False)
    unit.read_string((image / UNIT).read_text())
    assert unit["Service"]["ExecStart"] == f"/usr/bin/python3 -IS /{PROGRAM} run"
    assert unit["Install"]["WantedBy"] == "multi-user.target"
    assert f"/{RULES}" == agent.RULES
    for name in (PROGRAM, UNIT, RULES):
        assert f"wrote     {image}/{name}" in said.stdout


def test_a_second_time_nothing_is_changed(image: Path) -> None:
    setup("install", "--root", str(image))
    before = {path: path.lstat().st_mtime_ns for path in image.rglob("*") if path.is_file()}

    said = setup("install", "--root", f"{image}/")

    after = {path: path.lstat().st_mtime_ns for path in image.rglob("*") if path.is_file()}
    assert said.returncode == 0
    assert said.stdout.count("unchanged") == 3
    assert "wrote" not in said.stdout
    assert {path: after[path] for path in before if not path.is_symlink()} == {
        path: before[path] for path in before if not path.is_symlink()
    }


def test_what_was_installed_is_taken_out_but_for_what_is_the_operators(image: Path) -> None:
    setup("install", "--root", str(image))
    hook = image / "etc" / "barostat-agent" / "hook"
    hook.parent.mkdir()
    hook.touch()

    said = setup("uninstall", "--root", str(image))
    again = setup("uninstall", "--root", str(image))

    assert said.returncode == again.returncode == 0
    assert said.stdout.count("removed") == 4
    assert again.stdout.count("removed") == 0
    left = sorted(str(path.relative_to(image)) for path in image.rglob("*") if path.is_file())
    assert left == ["etc/barostat-agent/hook", "usr/bin/python3"]


def test_a_guest_whose_python_is_elsewhere_gets_it_by_its_name(image: Path) -> None:
    (image / "usr" / "libexec").mkdir()
    (image / "usr" / "bin" / "python3").rename(image / "usr" / "libexec" / "platform-python")

    setup("install", "--root", str(image))

    assert (image / PROGRAM).read_text().startswith("#!/usr/libexec/platform-python -IS\n")
    assert "ExecStart=/usr/libexec/platform-python -IS" in (image / UNIT).read_text()


def test_four_files_in_one_folder_are_all_that_a_guest_needs(tmp_path: Path, image: Path) -> None:
    folder = tmp_path / "copied"
    shutil.copytree(FILES, folder)
    shutil.copy(AGENT, folder)

    said = setup("install", "--root", str(image), script=folder / "setup")

    assert said.returncode == 0, said.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "usage: sh setup install|uninstall [--root DIR]"),
        (["instal"], 2, "usage"),
        (["install", "--rot", "/"], 2, "usage"),
        (["install", "--root", "/nowhere"], 1, "there is no folder /nowhere; nothing was changed"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is(
    arguments: list[str], code: int, words: str
) -> None:
    said = setup(*arguments)

    assert said.returncode == code
    assert words in said.stderr


def test_an_image_without_python_is_left_as_it_is(image: Path) -> None:
    (image / "usr" / "bin" / "python3").unlink()

    said = setup("install", "--root", str(image))

    assert said.returncode == 1
    assert "there is no python3 in" in said.stderr
    assert not (image / PROGRAM).exists()
