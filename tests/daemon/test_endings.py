"""How the daemon ends when something keeps it from working: in words, with what to do."""

from __future__ import annotations

import subprocess

import structlog

from barostat.daemon.command import _ending
from barostat.errors import ServiceError

from .conftest import BAROSTAT, Running


def test_what_is_in_the_way_of_its_socket_is_left_there_and_said(daemon: Running) -> None:
    daemon.socket.parent.mkdir()
    daemon.socket.write_text("somebody's notes")

    done = subprocess.run(
        [BAROSTAT, "daemon", "--config", daemon.config],
        capture_output=True,
        text=True,
        env=daemon.environment,
        check=False,
    )

    assert done.returncode == 3
    assert f"barostat: {daemon.socket} is in the way: it is no socket" in done.stderr
    assert daemon.socket.read_text() == "somebody's notes"


def test_of_several_errors_the_first_is_said() -> None:
    first = ServiceError("no room", hint="make some")

    assert _ending(ExceptionGroup("all", [ExceptionGroup("inner", [first])])) is first


def test_a_fault_of_our_own_is_in_the_log_whole() -> None:
    group = ExceptionGroup("all", [ZeroDivisionError("oops")])

    with structlog.testing.capture_logs() as lines:
        said = _ending(group)

    assert "oops" in said.message
    assert "its log" in said.hint
    assert [(line["log_level"], line["exc_info"]) for line in lines] == [("critical", group)]
