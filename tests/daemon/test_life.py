"""The daemon from its start to its end, as a service manager and an operator see it."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest
from tests.cli.played_qemu import PlayedQemu

from .conftest import BAROSTAT, Running, until

MOVES = {"qom-set", "balloon"}


def moved(vm: PlayedQemu) -> list[str]:
    """Say what a VM was asked that moves memory (setting how often it reports does not)."""
    return [command for command in vm.asked if command in MOVES]


def test_it_is_ready_once_guests_were_looked_at_and_answers_commands(daemon: Running) -> None:
    daemon.start()

    status = daemon.hear("STATUS=")
    seen = daemon.ask("list")

    assert status.startswith("STATUS=2 VMs, promised ")
    assert [guest["name"] for guest in seen["guests"]] == ["db", "web"]
    assert seen["host"]["capacity_bytes"] == 2 * 2**30


def test_every_move_is_told_with_its_reason_and_every_hold_once(daemon: Running) -> None:
    daemon.start()
    move = daemon.told("web: grow from 512 MiB")
    daemon.told("web: go on")  # some seconds later

    assert move["reasons"] == ["demand"]
    assert move["from_bytes"] == 512 * 2**20
    held = [line for line in daemon.log() if line["event"].startswith("db: held")]
    assert [line["reasons"] for line in held] == [["no-settings"]]


def test_when_it_is_stopped_what_is_unfinished_is_cancelled(
    daemon: Running, vms: dict[str, PlayedQemu]
) -> None:
    daemon.start()
    until(lambda: "qom-set" in moved(vms["web"]), "a wish of web")
    daemon.told("web: grow")
    wishes = len(moved(vms["web"]))

    code = daemon.end(signal.SIGTERM)

    assert code == 0
    daemon.hear("STOPPING=1")
    assert len(moved(vms["web"])) > wishes
    assert not daemon.socket.exists()
    assert daemon.log()[-1]["event"].startswith("stopping on SIGTERM")


def test_ctrl_c_ends_it_like_sigterm(daemon: Running) -> None:
    daemon.start()

    assert daemon.end(signal.SIGINT) == 0


class Stubborn(PlayedQemu):
    """A QEMU that stops answering when it is told to."""

    hangs = False

    def answer(self, command: str, arguments: dict[str, object]) -> object:
        while self.hangs:
            time.sleep(0.05)
        return super().answer(command, arguments)


def test_a_second_signal_ends_it_at_once(daemon: Running, tmp_path: Path) -> None:
    (tmp_path / "vms" / "hung.toml").write_text('minimum = "256MiB"\n')
    with Stubborn(tmp_path / "vms" / "hung.qmp", available_mib=20) as hung:
        daemon.start()
        daemon.told("hung: grow")
        hung.hangs = True
        daemon.send(signal.SIGTERM)
        daemon.told("stopping")

        code = daemon.end(signal.SIGTERM)
        hung.hangs = False

    assert code == 128 + signal.SIGTERM


def test_a_second_daemon_is_refused_and_the_first_goes_on(daemon: Running) -> None:
    daemon.start()

    second = subprocess.run(
        [BAROSTAT, "daemon", "--config", daemon.config],
        capture_output=True,
        text=True,
        env=daemon.environment,
        check=False,
    )

    assert second.returncode == 3
    assert f"with PID {daemon.process.pid}" in second.stderr
    assert "Traceback" not in second.stderr
    assert daemon.ask("list")["guests"]


def test_what_a_killed_daemon_leaves_behind_hinders_nobody(daemon: Running) -> None:
    daemon.start()
    daemon.end(signal.SIGKILL)
    assert daemon.socket.exists()

    daemon.start()

    assert daemon.ask("list")["guests"]


def test_an_observer_decides_and_tells_and_moves_nothing(
    daemon: Running, vms: dict[str, PlayedQemu]
) -> None:
    daemon.start("--observe")
    assert daemon.hear("STATUS=").startswith("STATUS=observing, 2 VMs")
    would = daemon.told("would move web: grow")
    looks = vms["web"].asked.count("query-memory-devices")
    until(lambda: vms["web"].asked.count("query-memory-devices") > looks + 10, "ten more looks")

    assert would["reasons"] == ["demand"]
    assert "balloon" not in moved(vms["web"])
    assert daemon.ask("list")["host"]["moving"] is False
    assert [line["event"] for line in daemon.log() if "would move" in line["event"]] == [
        would["event"]
    ]
    assert daemon.end() == 0


def test_a_pause_of_the_host_outlives_a_restart(daemon: Running) -> None:
    daemon.start()
    daemon.ask("pause")
    daemon.end()

    daemon.start()
    assert "PAUSED" in daemon.hear("STATUS=")
    daemon.ask("resume")
    daemon.end()

    daemon.start()
    assert "PAUSED" not in daemon.hear("STATUS=")


def test_a_configuration_with_faults_starts_nothing(daemon: Running) -> None:
    daemon.write("[policy]\ntick_s = 0\nhalf_life = 3\n")

    done = subprocess.run(
        [BAROSTAT, "daemon", "--config", daemon.config],
        capture_output=True,
        text=True,
        env=daemon.environment,
        check=False,
    )

    assert done.returncode == 2
    assert "policy.tick_s: 0 s is out of range" in done.stderr
    assert 'did you mean "half_life_s"?' in done.stderr
    assert not daemon.socket.parent.exists()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('group = ""', 'group = "no-such-group"', "there is no group"),
        ("folders = ", "# folders = ", "nothing whose VMs could be balanced"),
    ],
)
def test_what_is_named_and_not_there_is_said_before_anything_begins(
    daemon: Running, old: str, new: str, words: str
) -> None:
    daemon.config.write_text(daemon.base.replace(old, new))

    done = subprocess.run(
        [BAROSTAT, "daemon", "--config", daemon.config],
        capture_output=True,
        text=True,
        env=daemon.environment,
        check=False,
    )

    assert done.returncode == 2
    assert words in done.stderr
    assert "hint:" in done.stderr
