"""What people get wrong: an error on stderr that says what to do, an empty stdout, exit code 2."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from barostat.cli.output import fail
from barostat.errors import RefusedError

from .conftest import SCENARIO, Shell, assert_refused


@pytest.mark.parametrize("command", ["list", "plan", "explain web"])
def test_without_a_lab_and_without_sockets_no_vm_is_meant(barostat: Shell, command: str) -> None:
    run = barostat(*command.split())

    assert_refused(run, "no daemon, no libvirt and no lab is running", "--qmp", "--connect")
    assert "barostat lab up" in run.err


def test_an_absent_path_is_named(barostat: Shell, tmp_path: Path) -> None:
    path = tmp_path / "absent"

    assert_refused(barostat("list", "--qmp", path), f"{path}: No such file or directory")


def test_a_path_below_a_file_is_named(barostat: Shell, scenario: Path) -> None:
    assert_refused(barostat("list", "--qmp", scenario / "web.qmp"), "Not a directory")


def test_a_file_is_no_socket(barostat: Shell, scenario: Path) -> None:
    assert_refused(barostat("list", "--qmp", scenario), f"{scenario} is no socket", "-qmp unix:")


def test_a_folder_without_sockets_has_no_vm(barostat: Shell, tmp_path: Path) -> None:
    (tmp_path / "web.qmp").touch()

    assert_refused(barostat("list", "--qmp", tmp_path), f"there is no VM at {tmp_path}", "NAME.qmp")


def test_the_environment_can_name_the_sockets(
    barostat: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BAROSTAT_QMP", str(tmp_path / "absent"))

    assert_refused(barostat("list"), "absent")


def test_a_socket_that_a_vm_left_behind_is_told_as_such(barostat: Shell, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "web.qmp"))

    assert_refused(barostat("list", "--qmp", tmp_path), 'VM "web": nobody listens', code=3)
    assert_refused(barostat("list", "--qmp", tmp_path / "web.qmp"), "nobody listens", code=3)


@pytest.mark.parametrize(
    ("size", "said"),
    [
        ("5GB", 'write "5GiB" if you mean that'),
        ("plenty", "is not a size of memory"),
        ("-5GiB", "is not a size of memory"),
        ("0", "it must be at least 1 MiB"),
        ("5", "has no unit"),
    ],
)
def test_a_capacity_that_is_none_is_refused(barostat: Shell, size: str, said: str) -> None:
    assert_refused(barostat("plan", "--capacity", size), "--capacity", said)


@pytest.mark.parametrize(
    "words",
    [
        "demo --simulated --seconds nan",
        "demo --simulated --seconds 4",
        "demo --simulated --seconds inf",
        "demo --output xml",
        "lab run x.toml --seconds soon",
        "lab run x.toml --policy guess",
        "lab run",
        "lab hold web",
        "lab hold web 1GB",
        "lab hold web 1GiB --hot nan",
        "lab hold web 1GiB --hot 2",
        "explain",
    ],
)
def test_what_cannot_be_an_option_or_argument_is_refused(barostat: Shell, words: str) -> None:
    assert_refused(barostat(*words.split()), "Usage:", "Error:")


@pytest.mark.parametrize("command", ["lab run", "lab up"])
def test_all_faults_of_a_scenario_are_listed(barostat: Shell, tmp_path: Path, command: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(SCENARIO.replace("128MiB", "300MiB").replace('"web"\nuse', '"wbe"\nuse'))

    run = barostat(*command.split(), path)

    assert_refused(run, f"scenario {path} cannot be run:\n", "nothing was booted")
    faults = [line for line in run.err.splitlines() if line.startswith("  - ")]
    assert len(faults) == 3
    assert any('did you mean "web"?' in fault for fault in faults)


def test_one_fault_of_a_scenario_stands_in_the_same_line(barostat: Shell, tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(SCENARIO.replace("[host]", "[hots]"))

    assert_refused(barostat("lab", "run", path), "hots: there is no such key", 'mean "host"?')


@pytest.mark.parametrize("command", ["lab run", "lab up"])
def test_a_scenario_that_is_not_there_is_named(barostat: Shell, command: str) -> None:
    run = barostat(*command.split(), "absent.toml")

    assert_refused(run, "cannot read absent.toml: No such file")


@pytest.mark.parametrize("command", ["lab down", "lab hold web 1GiB", "lab hold web 0 --lab play"])
def test_without_a_lab_there_is_none_to_end_or_to_tell(barostat: Shell, command: str) -> None:
    assert_refused(barostat(*command.split()), "no lab is up; nothing was changed", "lab up")


def test_an_error_without_a_hint_is_said_without_one(capsys: pytest.CaptureFixture[str]) -> None:
    fail(RefusedError("no"))

    assert capsys.readouterr() == ("", "barostat: no\n")
