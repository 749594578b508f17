"""Commands that ask a daemon over its socket, and what they say where none answers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from barostat.cli import reach
from barostat.core.observation import Depth
from barostat.guest.base import Card
from barostat.units import GIB, MIB

from .conftest import Run, Shell, assert_refused
from .played_daemon import PlayedDaemon

NOBODY = 65534


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "settings"
    made.mkdir()
    return made


@pytest.fixture
def daemon(folder: Path, tmp_path: Path) -> Iterator[PlayedDaemon]:
    """A daemon that answers where the commands look for one."""
    with PlayedDaemon(folder, tmp_path / "barostat.sock") as played:
        yield played


@pytest.mark.usefixtures("daemon")
def test_list_is_what_the_daemon_says(barostat: Shell) -> None:
    run = barostat("list")
    document = barostat("list", "--output", "json").document

    assert (run.code, run.err) == (0, "")
    assert "web: hold at 512 MiB: " in run.out
    assert run.out.splitlines()[-1].startswith("host: capacity 4096 MiB, promised 1024 MiB")
    assert "nothing is moved" not in run.out
    assert document["host"]["moving"]
    assert document["powered_off"] is None


@pytest.mark.usefixtures("daemon")
def test_list_names_the_vms_that_are_off_where_all_are_wanted(barostat: Shell) -> None:
    assert "powered off: mail" in barostat("list", "--all").out
    assert barostat("list", "--all", "--output", "json").document["powered_off"] == ["mail"]


@pytest.mark.usefixtures("daemon")
@pytest.mark.parametrize("command", ["plan", "explain web", "show web"])
def test_what_looks_asks_the_daemon(barostat: Shell, command: str) -> None:
    run = barostat(*command.split())

    assert (run.code, run.err) == (0, "")
    assert "web" in run.out


@pytest.mark.usefixtures("daemon")
def test_show_tells_settings_in_force_and_as_written(barostat: Shell, folder: Path) -> None:
    out = barostat("show", "web").out

    assert f"settings: stand in {folder / 'web.toml'}" in out
    rows = [line.split() for line in out.partition("Setting ")[2].splitlines()[1:]]
    assert ["minimum", "256", "MiB", "256", "MiB"] in rows
    assert ["maximum", "2048", "MiB", "default"] in rows
    assert "barostat enable db" in barostat("show", "db").out


def test_show_says_who_speaks_for_a_vm_and_how_to_see_deeper(
    barostat: Shell, daemon: PlayedDaemon
) -> None:
    assert "deeper: install qemu-guest-agent in it" in barostat("show", "web").out
    agent = Card(
        depth=Depth.BALLOON,
        version="0.1.0",
        kernel="6.1.0",
        onlining="online_movable",
        block_bytes=128 * MIB,
        swap_bytes=512 * MIB,
        swap_free_bytes=500 * MIB,
        committed_bytes=300 * MIB,
        hook=True,
        fault="3 bad lines in a minute",
    )
    daemon.control.cards = {"web": agent}.get

    out = barostat("show", "web").out

    for line in (
        "seen: through its balloon driver's statistics; it spoke 0 s ago",
        "FAULT: a program in it is not heard, or not believed: 3 bad lines in a minute",
        "program: version 0.1.0, kernel 6.1.0, its hook is called before a shrink",
        "plugged is: online_movable, in blocks of 128 MiB",
        "committed: 300 MiB to its programs",
        "swap: 512 MiB, 500 MiB of it free",
    ):
        assert line in out.splitlines()


@pytest.mark.usefixtures("daemon")
def test_list_shows_how_deep_every_vm_is_seen_into(barostat: Shell) -> None:
    lines = [line.split() for line in barostat("list").out.splitlines()]

    assert lines[0][-1] == "Depth"
    assert [line[-1] for line in lines[1:3]] == ["balloon", "balloon"]


def test_a_change_is_answered_with_before_and_after(
    barostat: Shell, daemon: PlayedDaemon, folder: Path
) -> None:
    words = "set web --minimum 128MiB --maximum 2GiB --buffer 35 --weight 9000"
    run = barostat(*words.split())

    assert (run.code, run.err) == (0, "")
    rows = [line.split() for line in run.out.splitlines()]
    assert ["minimum", "256", "MiB", "128", "MiB"] in rows
    assert ["weight", "7000", "9000"] in rows
    expected = 'minimum = "128MiB"\nweight = 9000\nmaximum = "2GiB"\nbuffer = 35\n'
    assert (folder / "web.toml").read_text() == expected


@pytest.mark.usefixtures("daemon")
def test_what_is_enabled_without_settings_is_told_that_it_has_defaults(barostat: Shell) -> None:
    run = barostat("enable", "db")
    again = barostat("enable", "db")
    off = barostat("disable", "db", "--output", "json").document

    assert "db had no settings" in run.err
    assert ["maximum", "-", "2048", "MiB"] in [line.split() for line in run.out.splitlines()]
    assert "nothing was changed" in again.err
    assert (off["before"]["in_force"]["enabled"], off["after"]["in_force"]["enabled"]) == (
        True,
        False,
    )


def test_the_host_is_paused_and_resumed(
    barostat: Shell, daemon: PlayedDaemon, folder: Path
) -> None:
    run = barostat("pause")
    marked = (folder / "paused").exists()
    resumed = barostat("resume", "--output", "json").document

    assert run.out.splitlines()[-1].split() == ["paused", "no", "yes"]
    assert marked
    assert resumed == {"before": True, "after": False}
    assert not daemon.control.paused


@pytest.mark.usefixtures("daemon")
def test_one_vm_is_paused_and_resumed(barostat: Shell) -> None:
    assert "yes" in barostat("pause", "web").out.splitlines()[-1]
    assert barostat("resume", "web").out.splitlines()[-1].split() == ["paused", "yes", "no"]


@pytest.mark.usefixtures("daemon")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("set web --minimum 300MiB", ["minimum can only be lowered", "it is 256 MiB"]),
        ("set web --maximum 3GiB", ["devices allow at most 2048 MiB"]),
        ("set web --startup 1GiB", ["startup cannot change while the VM runs"]),
        ("set web --buffer 4 --weight 10001", ["buffer is 4 %", "weight is 10001"]),
        ("set web --minimum 16MiB", ["must be at least 32 MiB"]),
        ("set web --minimum 5GB --buffer much", ['write "5GiB"', '"much" is no whole number']),
        ("set web --weight 99999999999999999999", ["is no whole number"]),
        ("set web", ["--startup, --minimum"]),
        ("set wbe --weight 1", ['no VM "wbe"', 'did you mean "web"?']),
        ("show ../web", ['no VM "../web"']),
        ("pause db", ["nothing to pause", "barostat enable db"]),
        ("explain nix", ["there are: db, web"]),
    ],
)
def test_what_cannot_be_used_is_refused_and_nothing_changes(
    barostat: Shell, folder: Path, words: str, said: list[str]
) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    assert_refused(barostat(*words.split()), *said)

    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.usefixtures("daemon")
def test_a_file_that_cannot_be_used_is_shown_with_its_faults(barostat: Shell, folder: Path) -> None:
    (folder / "web.toml").write_text("wieght = 1\nminimum = 5\n")

    shown = barostat("show", "web").out

    assert "did you mean" in shown
    assert shown.count("FAULT: ") == 2
    assert_refused(barostat("set", "web", "--weight", "1"), "did you mean", "correct the file")


@pytest.mark.usefixtures("daemon")
def test_named_guests_are_looked_at_though_a_daemon_runs(barostat: Shell, vms: Path) -> None:
    run = barostat("list", "--qmp", vms, "--capacity", "2GiB", "--output", "json")

    assert run.err == ""
    assert run.document["host"]["capacity_bytes"] == 2 * GIB
    assert_refused(barostat("pause", "--qmp", vms), "only a daemon balances a whole host", code=3)


def test_without_a_daemon_a_named_folder_is_written_directly(barostat: Shell, vms: Path) -> None:
    run = barostat("set", "web", "--weight", "1", "--qmp", vms)

    assert ["weight", "7000", "1"] in [line.split() for line in run.out.splitlines()]
    assert (vms / "web.toml").read_text() == 'minimum = "256MiB"\nweight = 1\n'


def test_what_is_shown_of_a_vm_that_is_off_is_its_settings(barostat: Shell, vms: Path) -> None:
    (vms / "mail.toml").write_text('startup = "1GiB"\n')

    shown = barostat("show", "mail", "--qmp", vms)
    changed = barostat("set", "mail", "--startup", "2GiB", "--qmp", vms)

    assert "runs: no: it is off" in shown.out
    assert ["maximum", "-", "default"] in [line.split() for line in shown.out.splitlines()]
    assert "mail is off: they hold from its next start on" in changed.err


def test_the_host_cannot_be_paused_without_a_daemon(barostat: Shell) -> None:
    assert_refused(barostat("pause"), "no daemon runs at", "barostat daemon", code=3)


def test_two_ways_to_name_guests_are_one_too_many(barostat: Shell, vms: Path) -> None:
    run = barostat("list", "--qmp", vms, "--connect", "test:///default")

    assert_refused(run, "--qmp and --connect name different guests")


def hanging(path: Path) -> socket.socket:
    """A socket that lets callers in and never answers."""
    hung = socket.socket(socket.AF_UNIX)
    hung.bind(str(path))
    hung.listen()
    return hung


def test_a_daemon_that_hangs_is_an_error_and_not_looked_past(
    barostat: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "ANSWER_DEADLINE_S", 0.2)
    with hanging(tmp_path / "barostat.sock"):
        run = barostat("list")

    assert_refused(run, "did not answer within 0.2 s", "systemctl status barostat", code=3)


def test_a_socket_that_a_dead_daemon_left_is_no_daemon(barostat: Shell, tmp_path: Path) -> None:
    hanging(tmp_path / "barostat.sock").close()

    assert_refused(barostat("list"), "no daemon, no libvirt and no lab is running")
    assert_refused(barostat("resume"), "no daemon runs at", code=3)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
def test_who_may_not_ask_the_daemon_is_told_how_to(folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="barostat-") as public:
        path = Path(public) / "barostat.sock"
        path.parent.chmod(0o755)
        with PlayedDaemon(folder, path):
            run = as_nobody("list", socket=path)

    assert_refused(run, "may ask the daemon at", "usermod -aG root nobody", code=3)


def as_nobody(*words: str, socket: Path) -> Run:
    """Run a command as a user who is in no group that matters."""
    program = (
        "import os, sys\n"
        # Before it becomes one who may not read where Python is installed:
        "import concurrent.futures.thread, barostat.cli.look\n"
        "from barostat.cli.main import main\n"
        f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
        f"sys.argv = ['barostat', *{words!r}, '--socket', {str(socket)!r}]\n"
        "main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    return Run(done.returncode, done.stdout, done.stderr)
