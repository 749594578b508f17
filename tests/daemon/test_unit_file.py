"""The systemd unit: what systemd says of it, and that it fits the daemon."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from barostat.cli.main import cli
from barostat.config.numbers import PolicySection
from barostat.config.ranges import Between
from barostat.config.sections import SOCKET
from barostat.daemon.parts import OWN_GROUP

FOLDER = Path(__file__).parent.parent.parent / "deploy" / "systemd"
UNIT = FOLDER / "barostat.service"
EXPOSED_AT_MOST = 25
"""Tenths, as systemd reckons: it is root, because libvirt's and QEMU's sockets are."""


def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(delimiters="=", interpolation=None)
    parser.read(UNIT)
    return parser


def test_it_is_told_where_the_daemon_says_it_is() -> None:
    service = unit()["Service"]

    assert Path("/run", service["RuntimeDirectory"]) == SOCKET.parent
    assert service["Group"] == OWN_GROUP
    assert f"g {OWN_GROUP} -" in (FOLDER / "sysusers.d" / "barostat.conf").read_text()


def test_it_starts_a_command_that_there_is_and_waits_for_its_word() -> None:
    service = unit()["Service"]

    program, *words = service["ExecStart"].split()
    assert program == "/usr/bin/barostat"
    assert set(words) <= set(cli.list_commands(click.Context(cli)))
    assert service["Type"] == "notify"
    assert "-HUP" in service["ExecReload"]


def test_its_watchdog_outlasts_the_slowest_passes_that_may_be_configured() -> None:
    (slowest,) = (
        item.high
        for item in PolicySection.model_fields["tick_s"].metadata
        if isinstance(item, Between)
    )

    assert float(unit()["Service"]["WatchdogSec"]) > 4 * slowest


def test_every_choice_has_its_reason() -> None:
    blocks = re.split(r"\n(?=#|\[|\n)", UNIT.read_text())
    unexplained = [
        block
        for block in blocks
        if re.search(r"^\w+=", block, re.MULTILINE) and "#" not in block
        if not block.startswith(("[Unit]", "[Install]"))
    ]

    assert unexplained == []


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd to ask")
def test_systemd_takes_it_as_it_is(tmp_path: Path) -> None:
    program = Path(sys.executable).parent / "barostat"
    file = tmp_path / UNIT.name
    file.write_text(UNIT.read_text().replace("/usr/bin/barostat", str(program)))

    verified = subprocess.run(
        ["systemd-analyze", "verify", file], capture_output=True, text=True, check=False
    )
    exposed = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", f"--threshold={EXPOSED_AT_MOST}", file],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")
    assert exposed.returncode == 0, exposed.stdout.rpartition("→")[2]
