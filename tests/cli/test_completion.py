"""Completion: what may come next, live names of VMs, quick, and silent where no daemon answers."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from barostat.cli.completing import WORDS, candidates, vm_names
from barostat.cli.main import cli

from .conftest import Shell, assert_refused
from .played_daemon import PlayedDaemon

ROOT = Path(__file__).parent.parent.parent
BAROSTAT = Path(sys.executable).parent / "barostat"
TREE = json.loads(WORDS.read_text())


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Path]:
    """A daemon's socket, where the commands look for one."""
    folder, path = tmp_path / "settings", tmp_path / "barostat.sock"
    folder.mkdir()
    with PlayedDaemon(folder, path):
        yield path


def after(line: str) -> list[str]:
    """Say what may come where the line ends."""
    *before, begun = line.split(" ")
    return [found.word for found in candidates(TREE, before, begun)]


def test_the_words_are_those_of_the_program() -> None:
    spec = importlib.util.spec_from_file_location("words", ROOT / "tools" / "words.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    assert WORDS.read_text() == module.words(), "run `make docs`"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", [*cli.list_commands(None)]),  # type: ignore[arg-type]
        ("wat", ["watch"]),
        ("--ver", ["--version"]),
        ("lab ", ["down", "hold", "list", "run", "up"]),
        ("set web --m", ["--minimum", "--maximum"]),
        ("list --output ", ["table", "json"]),
        ("list --output = j", ["json"]),
        ("list --output=json --al", ["--all"]),
        ("completion z", ["zsh"]),
        ("watch --until l", ["low"]),
        ("set --weight ", []),
        ("lab hold ", []),
        ("show web ", []),
        ("nothing like it ", []),
    ],
)
def test_what_may_come_next(line: str, words: list[str]) -> None:
    assert after(line) == words


@pytest.mark.usefixtures("daemon")
def test_names_are_those_that_the_daemon_has_running_or_not() -> None:
    assert after("show ") == ["db", "mail", "web"]
    assert after("set --weight 5 w") == ["web"]
    assert after("pause --output json m") == ["mail"]


def test_the_socket_that_is_named_is_asked(daemon: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BAROSTAT_SOCKET")

    assert after(f"show --socket {daemon} w") == ["web"]
    assert after(f"show --socket={daemon} w") == ["web"]
    assert after("show --socket /nowhere w") == []
    assert after(f"show --socket {daemon} --qmp /vms w") == []


def test_without_a_daemon_there_are_no_names_and_no_delay(tmp_path: Path) -> None:
    began_s = time.monotonic()

    assert vm_names(str(tmp_path / "nobody.sock")) == ()
    assert time.monotonic() - began_s < 0.2


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.0 200 OK\r\n\r\n[]", b"HTTP/1.0 403 No\r\n\r\n{}"]
)
def test_what_is_no_answer_gives_no_names(tmp_path: Path, answer: bytes) -> None:
    path = str(tmp_path / "strange.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def answer_one() -> None:
            caller, _ = listener.accept()
            with caller:
                caller.recv(4096)
                caller.sendall(answer)

        answering = threading.Thread(target=answer_one)
        answering.start()
        assert vm_names(path) == ()
        answering.join()


def test_a_daemon_that_hangs_is_not_waited_for(tmp_path: Path) -> None:
    path = str(tmp_path / "hung.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        assert vm_names(path, deadline_s=0.05) == ()


def completing(program: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *words],
        env={"PATH": f"{BAROSTAT.parent}:{os.environ['PATH']}", "HOME": "/nonexistent"}
        | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def script(shell: str) -> str:
    done = completing(str(BAROSTAT), "completion", shell)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_shell_is_answered_before_anything_heavy_is_loaded(daemon: Path) -> None:
    program = (
        "import sys; from barostat.cli.entry import main\n"
        "try: main()\n"
        "finally: print(*sys.modules, file=sys.stderr)"
    )
    done = completing(
        sys.executable,
        "-c",
        program,
        COMP_WORDS="barostat show w",
        COMP_CWORD="2",
        _BAROSTAT_COMPLETE="bash_complete",
        BAROSTAT_SOCKET=str(daemon),
    )

    assert done.stdout == "plain,web\n"
    heavy = {"click", "pydantic", "httpx2", "asyncio", "rich", "importlib.resources", "logging"}
    assert set(done.stderr.split()) & heavy == set()


def test_bash_completes(daemon: Path) -> None:
    ask = (
        "COMP_WORDS=(barostat show w); COMP_CWORD=2; _barostat_completion barostat\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = completing("bash", "--norc", "-c", script("bash") + ask, BAROSTAT_SOCKET=str(daemon))

    assert (done.stdout, done.stderr) == ("web\n", "")


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish_completes(daemon: Path, tmp_path: Path) -> None:
    surroundings = {"BAROSTAT_SOCKET": str(daemon), "HOME": str(tmp_path)}
    ask = f'complete -C "{BAROSTAT.name} show "; complete -C "{BAROSTAT.name} list --output j"'
    done = completing("fish", "--no-config", "-c", script("fish") + ask, **surroundings)

    assert done.stdout.split() == ["db", "mail", "web", "json"]


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_completes(daemon: Path) -> None:
    # What a line editor would be told, printed instead.
    ask = """
    function compdef { }
    function compadd { print -l -- ${(P)@[-1]} }
    function _describe { print -l -- ${(P)3} }
    """
    ends = "\nwords=(barostat show ''); CURRENT=3; _barostat_completion\n"
    done = completing("zsh", "-fc", ask + script("zsh") + ends, BAROSTAT_SOCKET=str(daemon))

    assert (done.stdout.split(), done.stderr) == (["db", "mail", "web"], "")


def test_zsh_and_fish_are_told_what_words_mean(daemon: Path) -> None:
    surroundings = {"COMP_WORDS": "barostat wat", "BAROSTAT_SOCKET": str(daemon)}
    zsh = completing(
        str(BAROSTAT), **surroundings, COMP_CWORD="1", _BAROSTAT_COMPLETE="zsh_complete"
    )
    fish = completing(
        str(BAROSTAT), **surroundings, COMP_CWORD="wat", _BAROSTAT_COMPLETE="fish_complete"
    )

    about = TREE["commands"]["watch"]["help"]
    assert zsh.stdout == f"plain\nwatch\n{about}\n"
    assert fish.stdout == f"plain,watch\t{about}\n"


def test_a_line_that_is_not_whole_is_no_error() -> None:
    done = completing(
        str(BAROSTAT),
        COMP_WORDS='barostat show "we',
        COMP_CWORD="2",
        _BAROSTAT_COMPLETE="bash_complete",
        BAROSTAT_SOCKET="/nowhere",
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_shell_that_is_not_known_is_refused(barostat: Shell) -> None:
    assert_refused(barostat("completion", "tcsh"), "'tcsh' is not one of")
