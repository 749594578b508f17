"""The commands on real guests: booted, shown, explained, told what to hold, and ended."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from barostat.lab.kept import running_labs
from barostat.lab.witness import Witness
from barostat.units import MIB

from .conftest import Run, Shell, assert_refused
from .test_endings import BAROSTAT

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]

ONE_GUEST = """
[host]
capacity = "400MiB"

[[guest]]
name = "web"
startup = "192MiB"
minimum = "96MiB"
maximum = "384MiB"

[[step]]
at = 1
guest = "web"
use = "120MiB"
"""

LOOKS = 20
"""A workload takes some seconds to take what it was told to hold."""


@pytest.fixture
def one_guest(tmp_path: Path) -> Path:
    path = tmp_path / "one.toml"
    path.write_text(ONE_GUEST)
    return path


@pytest.fixture
def lab(barostat: Shell, one_guest: Path) -> Iterator[Run]:
    """A lab that is up, with the guest `web`."""
    run = barostat("lab", "up", one_guest)
    yield run
    barostat("lab", "down", "--all")


def test_a_kept_guest_is_shown_explained_told_and_ended(
    barostat: Shell, lab: Run, one_guest: Path
) -> None:
    assert lab.code == 0, lab.err
    assert 'lab "one" is up: web' in lab.err
    folder = Path(lab.out.strip())
    assert (folder / "web.qmp").is_socket()

    shown = barostat("list", "--output", "json")
    [guest] = shown.document["guests"]
    assert (guest["name"], guest["assigned_bytes"]) == ("web", 192 * MIB)
    assert shown.document["host"]["capacity_bytes"] == 400 * MIB

    assert barostat("plan").out.startswith("web: ")
    assert barostat("explain", "web").out.startswith("web has 192 MiB: 192 MiB of boot RAM")
    assert_refused(barostat("explain", "wbe"), 'did you mean "web"?')
    assert_refused(barostat("lab", "up", one_guest), 'lab "one" is up already', code=3)

    assert barostat("lab", "hold", "web", "100MiB").code == 0
    assert any(_demand_bytes(barostat) > 120 * MIB for _ in range(LOOKS))

    assert barostat("lab", "down").code == 0
    assert running_labs() == ()
    assert not folder.exists()


def _demand_bytes(barostat: Shell) -> int:
    [guest] = barostat("list", "--output", "json").document["guests"]
    return int(guest["demand_bytes"])


def test_a_run_as_json_has_the_documented_keys(barostat: Shell, one_guest: Path) -> None:
    run = barostat("lab", "run", one_guest, "--seconds", "8", "--output", "json")

    assert run.code == 0, run.err
    assert run.err.splitlines()[-1].startswith("booting web (")
    document = run.document
    assert document["stage"] in {"kvm", "tcg"}
    samples = document["guests"]["web"]["series"]
    assert set(samples[-1]["witness"]) == {field.name for field in fields(Witness)}
    assert samples[-1]["witness"]["wished_bytes"] == 120 * MIB
    assert document["summary"]["invariant_breaches"] == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_takes_the_guests_down_and_leaves_no_file(
    one_guest: Path, tmp_path: Path, number: signal.Signals
) -> None:
    temporary = tmp_path / "t"
    temporary.mkdir()
    process = subprocess.Popen(
        [BAROSTAT, "lab", "run", one_guest, "--seconds", "60"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(temporary)},
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("    0 s  web: ")
        assert len(_speaking_of(temporary)) > 0
        process.send_signal(number)
        _, talk = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()

    assert process.returncode == 128 + number
    assert "Traceback" not in talk
    assert _speaking_of(temporary) == []
    assert list(temporary.iterdir()) == []


def _speaking_of(folder: Path) -> list[str]:
    """Find processes with a folder in their command lines: the guests that have it."""
    found = []
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = command.read_bytes().decode(errors="replace")
        except OSError:  # it has just ended
            continue
        if str(folder) in words:
            found.append(words)
    return found
