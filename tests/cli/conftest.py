"""Commands as a person gives them: words in; an exit code, data and talk out."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import looptime
import pytest

from barostat.cli import direct, find
from barostat.cli.main import main

from .played_qemu import PlayedQemu

SCENARIO = """
[host]
capacity = "640MiB"

[[guest]]
name = "web"
startup = "256MiB"
minimum = "128MiB"
maximum = "512MiB"

[[guest]]
name = "db"
startup = "256MiB"
minimum = "128MiB"

[[step]]
at = 2
guest = "web"
use = "300MiB"
"""


@dataclass(frozen=True)
class Run:
    """What came of a command."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout, in which nothing is infinite or not a number."""

        def refuse(constant: str) -> None:
            raise AssertionError(constant)

        return json.loads(self.out, parse_constant=refuse)


class Terminal(io.StringIO):
    """A stdout that a person looks at."""

    def isatty(self) -> bool:
        return True


class Shell:
    """Runs `barostat` in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *words: str | Path) -> Run:
        self._monkeypatch.setattr(sys, "argv", ["barostat", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = self._capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Run(ended.value.code, out, err)

    def on_terminal(
        self, *words: str | Path, columns: int = 80, term: str = "xterm-256color"
    ) -> Run:
        """Run it with stdout on a terminal of that kind and width."""
        with self._monkeypatch.context() as patch:
            patch.setenv("COLUMNS", str(columns))
            patch.setenv("LINES", "24")
            patch.setenv("TERM", term)
            patch.setattr(sys, "stdout", terminal := Terminal())
            run = self(*words)
        return Run(run.code, terminal.getvalue(), run.err)

    def to_nobody(self, *words: str | Path) -> Run:
        """Run it with a stdout whose reader has gone away."""
        read, write = os.pipe()
        os.close(read)
        with os.fdopen(write, "w") as stdout, self._monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", stdout)
            return self(*words)


def assert_refused(run: Run, *words: str, code: int = 2) -> None:
    """Check for an error as errors should be: on stderr alone, in words, with what to do."""
    assert (run.code, run.out) == (code, "")
    assert "Traceback" not in run.err
    assert "hint:" in run.err or "--help" in run.err
    for word in words:
        assert word in run.err


def without_codes(text: str) -> str:
    """Take the escape codes out of what a terminal was sent."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


@pytest.fixture(autouse=True)
def _own_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the user's labs, libvirt and settings out, and a second between two looks short."""
    monkeypatch.setattr(direct, "BETWEEN_LOOKS_S", 0.05)
    monkeypatch.setattr(find, "SYSTEM_SOCKETS", ())
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("BAROSTAT_SOCKET", str(tmp_path / "barostat.sock"))
    for name in ("BAROSTAT_QMP", "NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def barostat(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    """The command."""
    return Shell(monkeypatch, capsys)


class FastPolicy(asyncio.DefaultEventLoopPolicy):
    """Makes event loops whose time passes as soon as all wait."""

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        loop = super().new_event_loop()
        assert isinstance(loop, asyncio.BaseEventLoop)
        return looptime.patch_event_loop(loop)


@pytest.fixture
def fast_time() -> Iterator[None]:
    """A simulated minute takes no time."""
    before = asyncio.get_event_loop_policy()
    asyncio.set_event_loop_policy(FastPolicy())
    yield
    asyncio.set_event_loop_policy(before)


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    """A scenario file."""
    path = tmp_path / "play.toml"
    path.write_text(SCENARIO)
    return path


@pytest.fixture
def vms(tmp_path: Path) -> Iterator[Path]:
    """A folder with two VMs: `web` has settings and needs nearly all it has, `db` has neither."""
    folder = tmp_path / "vms"
    folder.mkdir()
    (folder / "web.toml").write_text('minimum = "256MiB"\nweight = 7000\n')
    web = PlayedQemu(folder / "web.qmp", available_mib=20)
    db = PlayedQemu(folder / "db.qmp", available_mib=400)
    with web, db:
        yield folder
