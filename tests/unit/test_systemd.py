"""What systemd is told, as a real datagram socket hears it."""

from __future__ import annotations

import logging
import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from barostat.engine.systemd import FEEDS_A_WATCHDOG, STATUS_EVERY_S, Systemd


@pytest.fixture(params=["path", "abstract"])
def heard(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """A service manager's socket and its address."""
    name = f"{tmp_path}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as ear:
        ear.bind(name if request.param == "path" else "\0" + name)
        yield (name if request.param == "path" else "@" + name), ear


def lines(ear: socket.socket) -> list[str]:
    return ear.recv(4096).decode().split("\n")


def nothing(ear: socket.socket) -> bool:
    try:
        ear.recv(4096)
    except BlockingIOError:
        return True
    return False


def test_each_state_is_told_in_systemds_words(heard: tuple[str, socket.socket]) -> None:
    address, ear = heard
    systemd = Systemd.from_environment({"NOTIFY_SOCKET": address})

    systemd.ready("3 VMs")
    assert lines(ear) == ["READY=1", "STATUS=3 VMs"]

    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    systemd.reloading()
    reloading, stamp = lines(ear)
    assert reloading == "RELOADING=1"
    assert before <= int(stamp.removeprefix("MONOTONIC_USEC=")) <= before + 10**7

    systemd.unhealthy("the host\ncannot be read")
    assert lines(ear) == ["STATUS=the host cannot be read"]

    systemd.stopping()
    assert lines(ear)[0] == "STOPPING=1"


def test_the_watchdog_is_fed_four_times_as_often_as_it_asks(
    heard: tuple[str, socket.socket],
) -> None:
    address, ear = heard
    now = [0.0]
    systemd = Systemd(address, watchdog_s=8.0, clock=lambda: now[0])

    fed = []
    for second in range(9):
        now[0] = float(second)
        systemd.healthy("well")
        if not nothing(ear):
            fed.append(second)

    assert fed == [0, 2, 4, 6, 8]


def test_without_a_watchdog_people_read_a_status_now_and_then(
    heard: tuple[str, socket.socket],
) -> None:
    address, ear = heard
    now = [0.0]
    systemd = Systemd(address, clock=lambda: now[0])

    systemd.healthy("well")
    assert lines(ear) == ["WATCHDOG=1", "STATUS=well"]
    now[0] = STATUS_EVERY_S - 0.1
    systemd.healthy("well")
    assert nothing(ear)


@pytest.mark.parametrize(
    ("environment", "every_s"),
    [
        ({"WATCHDOG_USEC": "4000000"}, 4 / FEEDS_A_WATCHDOG),
        ({"WATCHDOG_USEC": "4000000", "WATCHDOG_PID": str(os.getpid())}, 4 / FEEDS_A_WATCHDOG),
        ({"WATCHDOG_USEC": "4000000", "WATCHDOG_PID": "1"}, STATUS_EVERY_S),
        ({"WATCHDOG_USEC": "soon"}, STATUS_EVERY_S),
        ({"WATCHDOG_USEC": "0"}, STATUS_EVERY_S),
        ({}, STATUS_EVERY_S),
    ],
)
def test_a_watchdog_is_ours_only_if_it_waits_for_us(
    environment: dict[str, str], every_s: float
) -> None:
    assert Systemd.from_environment(environment)._every_s == every_s


def test_without_systemd_nothing_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        Systemd.from_environment({}).ready("3 VMs")

    assert caplog.records == []


def test_a_message_that_cannot_be_sent_is_told_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    systemd = Systemd(f"{tmp_path}/absent")

    with caplog.at_level(logging.WARNING):
        systemd.ready("")
        systemd.stopping()

    assert len(caplog.records) == 1
    assert re.search("No such file", caplog.text)
