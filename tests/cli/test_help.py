"""Help answers at once, says what there is, and knows what was meant."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from barostat import __version__
from barostat.cli.ending import EXIT_CODES
from barostat.cli.main import cli

from .conftest import Shell, assert_refused

HEAVY = {
    *("asyncio", "fastapi", "httpx2", "libvirt", "logging", "msgspec", "pydantic", "qemu", "rich"),
    *("structlog", "subprocess", "tomlkit", "tomllib", "uvicorn"),
}


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; sys.argv = ['barostat', '--help']\n"
        "import barostat.cli.main\n"
        "try: barostat.cli.main.main()\n"
        "finally: print(*sys.modules, file=sys.stderr)"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert "Usage: barostat" in done.stdout
    assert set(done.stderr.split()) & HEAVY == set()


def test_help_lists_commands_and_exit_codes(barostat: Shell) -> None:
    run = barostat("--help")

    assert (run.code, run.err) == (0, "")
    for word in (*cli.commands, *EXIT_CODES):
        assert f"\n  {word} " in run.out
    assert all(len(line) <= 80 for line in run.out.splitlines())


@pytest.mark.parametrize("name", cli.commands)
def test_a_command_is_listed_with_the_first_line_of_its_own_help(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)

    assert command is not None
    assert (command.help or "").splitlines()[0] == cli.commands[name].short_help


@pytest.mark.parametrize("command", [*cli.commands, "lab run"])
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_every_command_helps(barostat: Shell, command: str, option: str) -> None:
    run = barostat(*command.split(), option)

    assert (run.code, run.err) == (0, "")
    assert run.out.startswith(f"Usage: barostat {command} ")


def test_no_line_of_help_is_cut_short_at_80_columns(barostat: Shell) -> None:
    assert "..." not in barostat("lab", "--help").out.partition("\n")[2]


def test_the_version_is_told(barostat: Shell) -> None:
    assert barostat("--version").out == f"barostat, version {__version__}\n"


@pytest.mark.parametrize("words", [(), ("lab",)])
def test_no_command_at_all_is_answered_with_help_on_stderr(
    barostat: Shell, words: tuple[str, ...]
) -> None:
    assert_refused(barostat(*words), "Usage: barostat", "Commands:")


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("exlpain", "explain"),
        ("lab hodl web 1GiB", "hold"),
        ("list --outptu json", "--output"),
    ],
)
def test_a_slip_of_the_fingers_is_answered_with_what_was_meant(
    barostat: Shell, words: str, meant: str
) -> None:
    assert_refused(barostat(*words.split()), f"Did you mean '{meant}'?")
