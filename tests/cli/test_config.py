"""`barostat config`: what would be in force, from where, and all that is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Shell, assert_refused


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "barostat.toml"
    path.write_text('[host]\nreserve = "4GiB"\n')
    return path


def test_a_good_configuration_is_said_to_be_good(barostat: Shell, file: Path) -> None:
    run = barostat("config", "check", "--config", file)

    assert (run.code, run.err) == (0, "")
    assert run.out == f"the configuration is good ({file})\n"


def test_every_fault_stands_on_a_line_of_its_own(barostat: Shell, file: Path) -> None:
    file.write_text('[host]\nresreve = "4GiB"\nlow_ratio = 2\n')

    run = barostat("config", "check", "--config", file)

    assert_refused(
        run, f'  - {file}:2: host.resreve: there is no such key; did you mean "reserve"?'
    )
    assert_refused(run, f"  - {file}:3: host.low_ratio: 2 is out of range: it must be 0 to 0.5")


def test_what_is_shown_can_be_read_again(barostat: Shell, file: Path, tmp_path: Path) -> None:
    shown = barostat("config", "show", "--config", file).out
    again = tmp_path / "again.toml"
    again.write_text(shown)

    assert 'reserve = "4GiB"' in shown
    assert barostat("config", "show", "--config", again).out == shown


def test_the_origin_of_every_value_is_named(
    barostat: Shell, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BAROSTAT_POLICY__TICK_S", "2")

    lines = barostat("config", "show", "--origin", "--config", file).out.splitlines()

    assert f'reserve = "4GiB"  # {file}:2' in lines
    assert "tick_s = 2  # BAROSTAT_POLICY__TICK_S" in lines
    assert "stale_s = 5  # built in" in lines
    assert "# group is not set  # built in" in lines


def test_programs_get_numbers(barostat: Shell, file: Path) -> None:
    plain = barostat("config", "show", "--output", "json", "--config", file).document
    origins = barostat("config", "show", "--origin", "--output", "json", "--config", file).document

    assert plain["host"]["reserve"] == 4 * 2**30
    assert plain["host"]["capacity"] is None
    assert origins["host"]["reserve"] == {"value": 4 * 2**30, "origin": f"{file}:2"}
    assert origins["log"]["level"] == {"value": "info", "origin": "built in"}


def test_the_example_is_a_good_configuration(barostat: Shell, file: Path) -> None:
    file.write_text(barostat("config", "example").out)

    assert barostat("config", "check", "--config", file).code == 0
