"""The daemon as a process of its own, over played QEMUs, with a service manager that listens."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
from tests.cli.played_qemu import PlayedQemu

BAROSTAT: Final = Path(sys.executable).parent / "barostat"
PATIENCE_S: Final = 20.0

Found = TypeVar("Found")


def until(look: Callable[[], Found], what: str) -> Found:
    """Look until something is found."""
    ends_s = time.monotonic() + PATIENCE_S
    while not (found := look()):
        assert time.monotonic() < ends_s, f"never seen: {what}"
        time.sleep(0.02)
    return found


class Running:
    """`barostat daemon`, what it was given, and what it said."""

    def __init__(self, folder: Path, vms: Path) -> None:
        self.folder = folder
        self.config = folder / "barostat.toml"
        self.socket = folder / "run" / "api.sock"
        self.heard: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._log = folder / "log"
        self._ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._ear.bind(str(folder / "notify"))
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith("BAROSTAT_")
        } | {"NOTIFY_SOCKET": str(folder / "notify")}
        self.base = f"""
[host]
capacity = "2GiB"
[libvirt]
uris = []
[qmp]
folders = ["{vms}"]
[service]
socket = "{self.socket}"
group = ""
tokens = "{folder}/tokens.json"
[history]
path = "{folder}/history.db"
"""
        self.write('[policy]\ntick_s = 0.2\n[log]\nlevel = "debug"\n')

    def write(self, text: str) -> None:
        """Write the configuration: its base and what a test is about."""
        self.config.write_text(self.base + text)

    def start(self, *words: str) -> None:
        """Start it, and wait until it says that it is ready."""
        self._listen()
        self.heard.clear()  # what the one before said
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [BAROSTAT, "daemon", "--config", self.config, *words],
                stderr=log,
                env=self.environment,
            )
        self.hear("READY=1")

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process."""
        assert self._process is not None
        return self._process

    def hear(self, line: str) -> str:
        """Wait until the service manager is told a line that begins so; then it is used up."""

        def listen() -> str:
            assert self.process.poll() is None or self.heard, self._log.read_text()
            self._listen()
            return next((said for said in self.heard if said.startswith(line)), "")

        said = until(listen, f"{line} among {self.heard}; {self._log.read_text()}")
        self.heard.remove(said)
        return said

    def _listen(self) -> None:
        try:
            while True:
                self.heard += self._ear.recv(4096).decode().split("\n")
        except BlockingIOError:
            return

    def told(self, words: str) -> dict[str, Any]:
        """Wait for a line of the log with these words, and give it."""

        def look() -> dict[str, Any]:
            return next((line for line in self.log() if words in line["event"]), {})

        return until(look, f"{words} in the log")

    def log(self) -> list[dict[str, Any]]:
        """Give all whole lines of the log."""
        return [json.loads(line) for line in self._log.read_text().split("\n")[:-1]]

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it by a signal, and say its exit code."""
        self.send(number)
        return self.process.wait(PATIENCE_S)

    def ask(self, *words: str) -> Any:
        """Ask it by a command, and give the document that it answers with."""
        done = subprocess.run(
            [BAROSTAT, *words, "--socket", self.socket, "--output", "json"],
            capture_output=True,
            text=True,
            env=self.environment,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), done
        return json.loads(done.stdout)

    def close(self) -> None:
        """Leave nothing behind."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._ear.close()


@pytest.fixture
def vms(tmp_path: Path) -> Iterator[dict[str, PlayedQemu]]:
    """Two VMs: `web` has settings and needs nearly all that it has, `db` has neither."""
    folder = tmp_path / "vms"
    folder.mkdir()
    (folder / "web.toml").write_text('minimum = "256MiB"\nweight = 7000\n')
    web = PlayedQemu(folder / "web.qmp", available_mib=20)
    db = PlayedQemu(folder / "db.qmp", available_mib=400)
    with web, db:
        yield {"web": web, "db": db}


@pytest.fixture
def daemon(tmp_path: Path, vms: dict[str, PlayedQemu]) -> Iterator[Running]:
    """A daemon of these VMs, not started yet."""
    assert vms
    running = Running(tmp_path, tmp_path / "vms")
    yield running
    running.close()
