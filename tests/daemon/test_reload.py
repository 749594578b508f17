"""SIGHUP: a good configuration is taken over, and the last good one stays where it is not."""

from __future__ import annotations

import signal

from .conftest import Running


def test_a_good_configuration_is_taken_over(daemon: Running) -> None:
    daemon.start()
    daemon.write('[policy]\ntick_s = 5\n[log]\nlevel = "info"\n')

    daemon.send(signal.SIGHUP)

    assert daemon.hear("RELOADING=1")
    assert int(daemon.hear("MONOTONIC_USEC=").partition("=")[2]) > 0
    daemon.hear("READY=1")
    daemon.told("the configuration was read anew")
    daemon.ask("list")


def test_a_configuration_with_faults_is_told_and_left(daemon: Running) -> None:
    daemon.start()
    daemon.write('[policy]\ntick_s = "often"\n[log]\nlevel = "loud"\n')

    daemon.send(signal.SIGHUP)

    daemon.hear("RELOADING=1")
    daemon.hear("READY=1")
    daemon.told("stays as it was")
    faults = [line for line in daemon.log() if line["event"].startswith("configuration: ")]
    assert len(faults) == 2
    assert {line["level"] for line in faults} == {"error"}
    assert f"{daemon.config}:" in faults[0]["event"]
    assert daemon.ask("list")["guests"]


def test_what_cannot_change_while_it_runs_is_said(daemon: Running) -> None:
    daemon.start()
    before = daemon.socket
    daemon.base = daemon.base.replace("api.sock", "other.sock")
    daemon.write("")

    daemon.send(signal.SIGHUP)

    assert daemon.told("[service] has changed")["level"] == "warning"
    assert before.exists()
    assert daemon.ask("list")["guests"]
