"""`barostat history` and `explain --at`: the past, as a daemon remembers it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import click
import pytest

from barostat.cli.times import DURATION, MOMENT
from barostat.units import MIB

from .conftest import Shell, assert_refused, without_codes
from .played_daemon import PlayedDaemon


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[None]:
    """A daemon that has looked at its VMs and written it down."""
    (tmp_path / "settings").mkdir()
    with PlayedDaemon(tmp_path / "settings", tmp_path / "barostat.sock"):
        yield


@pytest.mark.usefixtures("daemon")
def test_a_chart_is_drawn_with_what_it_sums_up_to(barostat: Shell) -> None:
    piped = barostat("history", "web", "--since", "60s")
    terminal = barostat.on_terminal("history", "web", "--since", "60s", columns=60)

    assert (piped.code, piped.err) == (0, "")
    assert "└──" in piped.out
    assert "web: 512 MiB assigned on average, 512 MiB to 512 MiB" in " ".join(piped.out.split())
    lines = without_codes(terminal.out).splitlines()
    assert max(map(len, lines)) <= 60
    assert any("minimum" in line for line in lines)


@pytest.mark.usefixtures("daemon")
def test_samples_come_as_numbers_too(barostat: Shell) -> None:
    minute = ("history", "web", "--since", "60s", "--output")
    document = barostat(*minute, "json").document
    rows = list(csv.DictReader(io.StringIO(barostat(*minute, "csv").out)))

    assert document["guest"] == "web"
    assert document["samples"][0]["assigned_bytes"] == 512 * MIB
    assert int(rows[0]["assigned_bytes"]) == 512 * MIB
    assert set(rows[0]) == set(document["samples"][0])


@pytest.mark.usefixtures("daemon")
def test_a_past_decision_is_explained_with_its_time(barostat: Shell) -> None:
    now = datetime.now().astimezone().isoformat(sep=" ")

    run = barostat("explain", "web", "--at", now)

    assert run.code == 0
    assert run.out.startswith(f"At {now[:15]}")
    assert "web has 512 MiB" in run.out


@pytest.mark.usefixtures("daemon")
@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        ("history nobody", "nothing was ever recorded", 2),
        ("history web --since 5x", "no length of time", 2),
        ("explain web --at noon", "no time", 2),
        ("explain web --at 2020-01-01", "no decision is known at", 3),
        ("explain web --at 14:32 --qmp x", "only a daemon remembers", 3),
    ],
)
def test_what_is_not_known_is_told_why(barostat: Shell, words: str, said: str, code: int) -> None:
    assert_refused(barostat(*words.split()), said, code=code)


def test_without_a_daemon_nothing_is_remembered(barostat: Shell) -> None:
    assert_refused(barostat("history", "web"), "no daemon runs at", code=3)
    assert_refused(barostat("explain", "web", "--at", "0:00"), "no daemon runs at", code=3)


@pytest.mark.usefixtures("daemon")
def test_a_time_without_samples_is_said(barostat: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("barostat.cli.history.time.time", lambda: 1e9)

    run = barostat("history", "web")

    assert (run.code, run.out) == (0, "")
    assert "nothing was recorded of web in that time" in run.err


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("1h", 3600), ("30d", 2_592_000)]
)
def test_lengths_of_time_are_read(text: str, seconds: float) -> None:
    assert DURATION.convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "5", "h", "-1h", "1.5h", "1 h", "0s", "9999999d", "\u0661h"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="as"):
        DURATION.convert(text, None, None)


def test_a_time_of_day_is_the_last_one_there_was() -> None:
    now = datetime.now().astimezone()

    for minutes in (-1, 1):
        asked = now + timedelta(minutes=minutes)
        found = MOMENT.convert(f"{asked:%H:%M:%S}", None, None)
        assert found <= now + timedelta(seconds=2)
        assert now - found < timedelta(days=1, minutes=2)
    assert MOMENT.convert("2026-11-23 14:32", None, None).strftime("%d %H:%M") == "23 14:32"


@pytest.mark.parametrize("text", ["", "25:00", "14", "yesterday", "2026-13-01", "99999-01-01"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        MOMENT.convert(text, None, None)
