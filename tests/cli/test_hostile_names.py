"""Nothing that came from outside steers a terminal or forges a line: names, errors, arguments."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.hostile.mutations import WORDS

from .conftest import Shell, without_codes
from .played_qemu import PlayedQemu

NAMES = (
    "\x1b[2J\x1b]0;owned\x07",
    "a\nhost: capacity 1 B",
    "\u202eevil\u200b",
    "\x9b31m",
    "tab\there",
    "\x7f\x08\x08",
    "x" * 240,
)


class Liar(PlayedQemu):
    """A QEMU whose refusals are addressed to whoever reads them."""

    def answer(self, command: str, arguments: dict[str, Any]) -> Any:
        if command == "query-balloon":
            return {"actual": "\x1b[2J\nbarostat: all is well"}
        return super().answer(command, arguments)


def assert_tame(text: str, *, terminal: bool = False) -> None:
    """Only our own colours, and no letter that cannot be printed."""
    shown = without_codes(text) if terminal else text
    assert all(letter.isprintable() or letter == "\n" for letter in shown)


@pytest.fixture
def strange(tmp_path: Path) -> Iterator[Path]:
    """A folder of VMs with strange names, and one whose QEMU says strange things."""
    folder = tmp_path / "v"
    folder.mkdir()
    with Liar(folder / "liar.qmp", available_mib=100):
        others = [PlayedQemu(folder / f"{name}.qmp", available_mib=100) for name in NAMES[:-1]]
        for other in others:
            other.__enter__()
        yield folder
        for other in others:
            other.__exit__(None, None, None)


@pytest.mark.trust("input", "a VM's name would steer a terminal")
@pytest.mark.parametrize("command", ["list", "plan", "explain", "show", "doctor"])
def test_strange_names_are_shown_by_their_codes(
    barostat: Shell, strange: Path, command: str
) -> None:
    of_one = [NAMES[0]] if command in {"explain", "show"} else []
    for run in (
        barostat(command, *of_one, "--qmp", strange),
        barostat.on_terminal(command, *of_one, "--qmp", strange),
    ):
        assert_tame(run.err)
        assert_tame(run.out, terminal="\x1b[" in run.out and "\x1b[2J" not in run.out)
        assert "\\x1b[2J" in run.out
        assert not any(line.startswith("barostat: all is well") for line in run.err.splitlines())


@pytest.mark.trust("input", "a VM's name would forge a line")
def test_a_name_with_a_line_end_forges_no_line(barostat: Shell, strange: Path) -> None:
    run = barostat("list", "--qmp", strange)

    assert [line for line in run.out.splitlines() if line.startswith("host: capacity 1 B")] == []
    assert "a\\nhost: capacity 1 B" in run.out


def test_json_has_every_letter_and_none_of_them_raw(barostat: Shell, strange: Path) -> None:
    run = barostat("list", "--qmp", strange, "--output", "json")

    assert run.out.isascii()
    assert set(NAMES[:-1]) <= {guest["name"] for guest in json.loads(run.out)["guests"]}
    assert_tame(run.out)


@pytest.mark.parametrize(
    "words",
    [
        ["show", "{}"],
        ["explain", "{}"],
        ["set", "{}", "--weight", "5"],
        ["set", "web", "--minimum", "{}"],
        ["set", "web", "--buffer", "{}"],
        ["history", "web", "--since", "{}"],
        ["config", "check", "--config", "{}"],
        ["lab", "run", "{}"],
        ["token", "create", "--name", "{}"],
        ["list", "--qmp", "{}"],
        ["{}"],
        ["list", "--{}"],
    ],
    ids=" ".join,
)
def test_whatever_is_typed_is_answered_in_words(
    barostat: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for strange_word in (*WORDS, *NAMES):
        typed = os.fsdecode(strange_word.replace("\0", "").encode(errors="surrogatepass"))
        run = barostat(*(word.replace("{}", typed) for word in words))

        assert run.code in {0, 2, 3}
        assert "Traceback" not in run.err
        assert_tame(run.err)
        assert_tame(run.out)
