"""Labs that are up: which one is meant, what is shown of them, and how they end."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from barostat.lab.kept import KeptGuest, KeptLab, labs_folder, write_lab
from barostat.lab.processes import identify
from barostat.units import MIB

from .conftest import Run, Shell, assert_refused

Up = Callable[..., KeptLab]


@pytest.fixture
def up() -> Iterator[Up]:
    """Bring up labs whose guests are processes that only sleep."""
    processes = []

    def bring_up(name: str, *guests: str) -> KeptLab:
        folder = labs_folder() / name
        folder.mkdir(mode=0o700, parents=True)
        kept = []
        for guest in guests:
            process = subprocess.Popen(["sleep", "60"])
            processes.append(process)
            identity = identify(process.pid)
            assert identity is not None
            kept.append(KeptGuest(name=guest, process=identity))
        lab = KeptLab(name=name, folder=folder, capacity_bytes=900 * MIB, guests=tuple(kept))
        write_lab(lab)
        return lab

    yield bring_up
    for process in processes:
        process.kill()
        process.wait()


def test_without_a_lab_the_list_is_empty(barostat: Shell) -> None:
    run = barostat("lab", "list")

    assert (run.code, run.out) == (0, "")
    assert "no lab is up" in run.err
    assert barostat("lab", "list", "--output", "json").document == []


def test_a_lab_is_listed_with_its_guests_and_whether_they_run(barostat: Shell, up: Up) -> None:
    lab = up("play", "web", "db")
    lab.guests[1].process.kill()
    os.waitpid(lab.guests[1].process.pid, 0)

    run = barostat("lab", "list")
    [shown] = barostat("lab", "list", "--output", "json").document

    assert run.out.splitlines()[1].split(maxsplit=3) == [
        "play",
        "900",
        "MiB",
        f"web, db (ended)  {lab.folder}",
    ]
    assert [guest["runs"] for guest in shown["guests"]] == [True, False]
    assert shown["guests"][0]["pid"] == lab.guests[0].process.pid


def test_the_only_lab_is_meant(barostat: Shell, up: Up) -> None:
    lab = up("play", "web")

    assert barostat("lab", "down") == Run(0, "", 'lab "play" is down\n')
    assert not lab.folder.exists()
    assert not lab.runs


def test_of_two_labs_one_must_be_named(barostat: Shell, up: Up) -> None:
    lab, other = up("play", "web"), up("work", "web")

    assert_refused(barostat("lab", "down"), "2 labs are up; nothing was changed", "play, work")
    assert_refused(barostat("list"), "2 labs are running", str(lab.folder), str(other.folder))
    assert_refused(barostat("lab", "down", "--lab", "wok"), 'no lab "wok"', 'mean "work"?')
    assert_refused(barostat("lab", "hold", "web", "0", "--lab", "x"), "there are: play, work")
    assert barostat("lab", "down", "--lab", "work").code == 0
    assert (lab.runs, other.runs) == (True, False)


def test_all_labs_can_be_ended_even_if_there_are_none(barostat: Shell, up: Up) -> None:
    labs = [up("play", "web"), up("work", "web")]

    assert barostat("lab", "down", "--all").err == 'lab "play" is down\nlab "work" is down\n'
    assert not any(lab.runs for lab in labs)
    assert barostat("lab", "down", "--all") == Run(0, "", "")


def test_a_guest_that_a_lab_has_not_is_answered_with_the_nearest(barostat: Shell, up: Up) -> None:
    up("play", "web", "db")

    assert_refused(barostat("lab", "hold", "wbe", "1MiB"), 'has no guest "wbe"', 'mean "web"?')


def test_a_guest_that_does_not_answer_is_told_with_its_console(barostat: Shell, up: Up) -> None:
    up("play", "web")

    run = barostat("lab", "hold", "web", "1MiB")

    assert_refused(run, 'guest "web" of lab "play" does not answer', "console", code=3)


def test_a_lab_whose_guests_hung_up_has_no_vm(barostat: Shell, up: Up) -> None:
    lab = up("play", "web")

    assert_refused(barostat("list"), f"there is no VM at {lab.folder}")


def test_a_folder_of_labs_that_others_may_write_to_is_not_believed(
    barostat: Shell, tmp_path: Path
) -> None:
    labs_folder().mkdir(parents=True)
    labs_folder().chmod(0o777)

    assert_refused(barostat("lab", "list"), "is not ours alone", "XDG_RUNTIME_DIR", code=3)
