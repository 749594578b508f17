"""`barostat token`: through the daemon where one runs, in the file where none does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Shell, assert_refused
from .played_daemon import PlayedDaemon


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where tokens are kept while no daemon runs."""
    path = tmp_path / "lib" / "tokens.json"
    monkeypatch.setenv("BAROSTAT_SERVICE__TOKENS", str(path))
    return path


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Path]:
    """A daemon that keeps its own tokens, in the file that it gives."""
    (tmp_path / "settings").mkdir()
    with PlayedDaemon(tmp_path / "settings", tmp_path / "barostat.sock"):
        yield tmp_path / "settings" / "tokens.json"


def test_a_token_is_printed_alone_so_that_a_script_can_take_it(barostat: Shell) -> None:
    run = barostat("token", "create", "--role", "viewer", "--name", "tv", "--expires", "30d")

    assert run.code == 0
    assert run.out.startswith("bst_")
    assert len(run.out.split()) == 1
    assert "tv, viewer until" in run.err
    assert "not shown again" in run.err


def test_without_a_daemon_the_file_is_changed_and_that_is_said(barostat: Shell, file: Path) -> None:
    run = barostat("token", "create", "--role", "admin", "--output", "json")
    made = run.document["made"]
    listed = barostat("token", "list", "--output", "json").document["tokens"]

    assert f"no daemon runs at {file.parent.parent / 'barostat.sock'}" in run.err
    assert listed == [made]
    assert json.loads(file.read_text())["tokens"][0]["name"] == made["name"]
    assert barostat("token", "revoke", made["name"]).out.startswith(f"revoked: {made['name']}")
    assert barostat("token", "list", "--output", "json").document == {"tokens": []}


def test_with_a_daemon_its_own_tokens_are_changed(
    barostat: Shell, daemon: Path, file: Path
) -> None:
    run = barostat("token", "create", "--role", "viewer", "--name", "tv")
    listed = barostat("token", "list")
    gone = barostat("token", "revoke", "tv", "--output", "json")

    assert (run.code, listed.err) == (0, "")
    assert "tv" in listed.out
    assert f"...{run.out.strip()[-4:]}" in listed.out
    assert run.out.strip() not in daemon.read_text()
    assert gone.document["name"] == "tv"
    assert not file.exists()


@pytest.mark.usefixtures("daemon")
@pytest.mark.parametrize("name", ["a b", "x" * 65, "../x", "é"])
def test_a_daemon_refuses_a_bad_name_as_the_file_does(barostat: Shell, name: str) -> None:
    assert_refused(barostat("token", "create", "--role", "viewer", "--name", name), "hint:")
    assert_refused(barostat("token", "revoke", name))


@pytest.mark.parametrize("words", ["--role root", "--role viewer --expires 3y", ""])
def test_what_is_no_role_or_time_is_refused(barostat: Shell, words: str) -> None:
    assert_refused(barostat("token", "create", *words.split()))


@pytest.mark.parametrize("expires", ["999999w", "0s"])
def test_a_time_that_makes_no_sense_is_refused(barostat: Shell, expires: str, file: Path) -> None:
    run = barostat("token", "create", "--role", "viewer", "--expires", expires)

    assert_refused(run)
    assert not file.exists()


def test_a_token_that_has_expired_is_listed_as_such(barostat: Shell, file: Path) -> None:
    barostat("token", "create", "--role", "viewer", "--name", "old", "--expires", "1s")
    raw = json.loads(file.read_text())
    raw["tokens"][0]["expires_at_s"] = 1_000_000_000
    file.write_text(json.dumps(raw))

    assert ", expired" in barostat("token", "list").out


def test_a_file_that_cannot_be_is_told(barostat: Shell, file: Path) -> None:
    file.parent.touch()

    run = barostat("token", "create", "--role", "viewer")

    assert_refused(run, "cannot be changed", "sudo", code=3)
