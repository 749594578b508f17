"""However a command is ended, it goes quietly, takes down what it has, and its exit code tells."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import looptime
import pytest

from barostat.cli.ending import Ending, settle_stdout, signals_interrupt

from .conftest import Shell, assert_refused, without_codes

BAROSTAT = Path(sys.executable).parent / "barostat"


@contextmanager
def running(*words: str, **settings: object) -> Iterator[subprocess.Popen[str]]:
    """Run a command as a process of its own, and wait for its end."""
    process = subprocess.Popen(
        [BAROSTAT, *words],
        # A terminal is a terminal only if it says which.
        env=os.environ | {"TERM": "xterm-256color"},
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | settings,  # type: ignore[call-overload]
    )
    try:
        yield process
        process.wait(30)
    finally:
        process.kill()
        process.communicate()


def beside_its_page(talk: str) -> list[str]:
    """What a demo says, but for where its page is."""
    return [line for line in talk.splitlines() if not line.startswith(("Look at it", "  "))]


def test_sigterm_ends_a_run_without_a_word_too_many() -> None:
    with running("demo", "--simulated", "--seconds", "60") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "With Barostat:\n"
        assert "    0 s  batch" in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        talk = process.stderr.read()

    assert process.returncode == 143
    assert beside_its_page(talk) == ["booting web, db, batch (simulated)", ""]


def test_sigterm_ends_what_a_shell_has_put_into_the_background() -> None:
    """A shell's background ignores Ctrl-C."""
    with running("demo", "--simulated", preexec_fn=_ignore_ctrl_c) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("booting")
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)

    assert process.returncode == 143


def _ignore_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class _Interrupted(asyncio.DefaultEventLoopPolicy):
    """Fast event loops in which a signal arrives after three seconds."""

    number = signal.SIGTERM

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        loop = super().new_event_loop()
        assert isinstance(loop, asyncio.BaseEventLoop)
        fast = looptime.patch_event_loop(loop)
        fast.call_later(3, signal.raise_signal, self.number)
        return fast


@pytest.fixture
def interrupted() -> Iterator[type[_Interrupted]]:
    before = asyncio.get_event_loop_policy()
    asyncio.set_event_loop_policy(_Interrupted())
    yield _Interrupted
    asyncio.set_event_loop_policy(before)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_run_that_is_interrupted_leaves_the_terminal_as_it_was(
    barostat: Shell,
    interrupted: type[_Interrupted],
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    code: int,
) -> None:
    monkeypatch.setattr(interrupted, "number", number)

    run = barostat.on_terminal("demo", "--simulated")

    assert run.code == code
    assert run.out.count("\x1b[?25l") == run.out.count("\x1b[?25h") == 1
    assert "static sizes" not in run.out


@pytest.mark.usefixtures("interrupted")
def test_an_interrupted_run_prints_no_half_document(barostat: Shell) -> None:
    run = barostat("demo", "--simulated", "--output", "json")

    assert (run.code, run.out) == (143, "")


def test_signals_that_are_ignored_stay_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals_interrupt():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)

    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_signal_interrupts_even_where_ctrl_c_is_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    ending = Ending()
    try:
        with pytest.raises(KeyboardInterrupt):
            ending.interrupt(signal.SIGTERM, None)
    finally:
        signal.signal(signal.SIGINT, before)

    assert ending.exit_code == 143


@pytest.mark.parametrize("output", ["table", "json"])
def test_a_reader_that_went_away_is_no_error(barostat: Shell, vms: Path, output: str) -> None:
    run = barostat.to_nobody("list", "--qmp", vms, "--output", output)

    assert (run.code, run.err) == (141, "")


@pytest.mark.usefixtures("fast_time")
def test_a_reader_that_goes_away_during_a_run_ends_it(barostat: Shell, scenario: Path) -> None:
    run = barostat.to_nobody("lab", "run", scenario, "--simulated")

    assert (run.code, run.err) == (141, "booting web, db (simulated)\n")


def test_a_process_whose_reader_goes_away_ends_without_a_word() -> None:
    with running("demo", "--simulated", "--seconds", "60") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        process.stdout = None
        talk = process.stderr.read()

    assert process.returncode == 141
    assert beside_its_page(talk) == ["booting web, db, batch (simulated)"]


def test_a_full_disk_is_told(vms: Path) -> None:
    with Path("/dev/full").open("w") as full, running("list", "--qmp", str(vms), stdout=full) as it:
        assert it.stderr is not None
        talk = it.stderr.read()

    assert it.returncode == 3
    assert talk.startswith("barostat: No space left on device\n  hint: ")
    assert "Traceback" not in talk
    assert "ignored" not in talk


def test_a_stdout_that_is_closed_from_the_start_is_borne(vms: Path) -> None:
    command = '"$0" list --qmp "$1" >&-; "$0" list --qmp "$1" --output json >&-'

    done = subprocess.run(
        ["/bin/sh", "-c", command, BAROSTAT, vms], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_without_a_stdout_nothing_is_left_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", None)
        settle_stdout()

        assert sys.stdout is None


def test_what_the_machine_refuses_is_told_in_words(
    barostat: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "vms").mkdir()
    monkeypatch.setattr(Path, "glob", _refuse)

    run = barostat("list", "--qmp", tmp_path / "vms")

    assert_refused(run, "vms: Permission denied", code=3)


def _refuse(path: Path, pattern: str) -> None:
    raise PermissionError(13, "Permission denied", str(path))


def test_ctrl_c_on_a_real_terminal_ends_the_live_screen() -> None:
    ours, theirs = pty.openpty()
    with running(
        "demo", "--simulated", "--seconds", "60", stdout=theirs, stderr=theirs, stdin=theirs,
        start_new_session=True, preexec_fn=_take_terminal,
    ) as process:  # fmt: skip
        os.close(theirs)
        shown = _read_until("Plugged", ours)
        os.write(ours, b"\x03")
        shown += _read_until("", ours)
    os.close(ours)

    assert process.returncode == 130
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")
    assert "Traceback" not in without_codes(shown)


def _read_until(words: str, terminal: int) -> str:
    """Read what a terminal is sent, until it shows these words; without words, until its end."""
    shown = ""
    while not words or words not in shown:
        try:
            shown += os.read(terminal, 4096).decode()
        except OSError:  # its other end is closed
            break
    return shown


def _take_terminal() -> None:
    """Make stdin the terminal of this session, so that Ctrl-C comes through it."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
