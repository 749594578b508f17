"""`barostat top` on a real terminal, asking a real daemon: how it begins and how it ends."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.cli.played_daemon import PlayedDaemon
from tests.cli.played_qemu import PlayedQemu

BAROSTAT = Path(sys.executable).parent / "barostat"
PATIENCE_S = 30.0
LEFT_THE_SCREEN = b"\x1b[?1049l"


class Terminal:
    """A terminal of 80 columns, and `barostat top` on it."""

    def __init__(self, *words: str | Path, **environment: str) -> None:
        self.screen, inner = pty.openpty()
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name != "NO_COLOR" and not name.startswith("BAROSTAT_")
        }
        self.process = subprocess.Popen(
            [BAROSTAT, "top", *words],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
            env=inherited
            | {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
            | environment,
        )
        os.close(inner)
        self.shown = b""

    def until(self, words: bytes) -> None:
        """Read until words were shown."""
        ends_s = time.monotonic() + PATIENCE_S
        while words not in self.shown:
            assert time.monotonic() < ends_s, self.shown[-3000:]
            self._read()

    def _read(self) -> bool:
        if not select.select([self.screen], [], [], 0.1)[0]:
            return True
        try:
            read = os.read(self.screen, 65536)
        except OSError:  # nobody is on the terminal any more
            return False
        self.shown += read
        return bool(read)

    def ended(self) -> int:
        """Wait for the end, and say its exit code."""
        ends_s = time.monotonic() + PATIENCE_S
        while self.process.poll() is None:
            assert time.monotonic() < ends_s, self.shown[-3000:]
            self._read()
        while self._read() and time.monotonic() < ends_s and LEFT_THE_SCREEN not in self.shown:
            pass
        return self.process.wait()


@contextmanager
def terminal(*words: str | Path, **environment: str) -> Iterator[Terminal]:
    made = Terminal(*words, **environment)
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.process.kill()
            made.process.wait()
        os.close(made.screen)


@pytest.fixture
def socket(tmp_path: Path) -> Iterator[Path]:
    """The socket of a daemon with two VMs."""
    folder = tmp_path / "settings"
    folder.mkdir()
    with PlayedDaemon(folder, tmp_path / "api.sock"):
        yield tmp_path / "api.sock"


def test_q_ends_it_and_gives_the_terminal_back(socket: Path) -> None:
    with terminal("--socket", socket) as top:
        top.until(b"2 VMs")
        top.until(b"hold at 512 MiB")
        os.write(top.screen, b"q")

        assert top.ended() == 0
        assert LEFT_THE_SCREEN in top.shown


def test_a_signal_ends_it_and_gives_the_terminal_back(socket: Path) -> None:
    with terminal("--socket", socket) as top:
        top.until(b"2 VMs")
        top.process.send_signal(signal.SIGTERM)

        assert top.ended() == 128 + signal.SIGTERM
        assert LEFT_THE_SCREEN in top.shown


def test_no_color_is_none_at_all(socket: Path) -> None:
    with terminal("--socket", socket, NO_COLOR="1") as top:
        top.until(b"2 VMs")
        os.write(top.screen, b"q")
        assert top.ended() == 0

    assert b"\x1b[38;" not in top.shown
    assert b"\x1b[48;" not in top.shown
    assert b";38;" not in top.shown


def test_without_a_daemon_it_looks_every_second_itself(tmp_path: Path) -> None:
    with (
        PlayedQemu(tmp_path / "web.qmp", available_mib=20),
        terminal("--qmp", tmp_path, "--capacity", "2GiB") as top,
    ):
        top.until(b"1 VM")
        top.until(b"a direct look")
        top.until(b"nothing is moved")
        with PlayedQemu(tmp_path / "late.qmp", available_mib=400):
            top.until(b"2 VMs")
            os.write(top.screen, b"q")
            assert top.ended() == 0


def test_vms_that_are_not_there_end_it_in_words(tmp_path: Path) -> None:
    (tmp_path / "vms").mkdir()
    with terminal("--qmp", tmp_path / "vms") as top:
        assert top.ended() == 2
        assert b"there is no VM at" in top.shown
        assert b"Traceback" not in top.shown
