"""`demo` and `lab run` on simulated guests: what is shown meanwhile, and what it comes to."""

from __future__ import annotations

from pathlib import Path

import pytest

from barostat.cli.results import highlights
from barostat.lab.report import Recorder
from barostat.lab.scenario import read_scenario
from barostat.lab.stages import SimulatedStage

from .conftest import Shell, assert_refused, without_codes

pytestmark = pytest.mark.usefixtures("fast_time")

ALONE = """
[host]
capacity = "320MiB"

[[guest]]
name = "web"
startup = "256MiB"
minimum = "128MiB"
swap = "0"

[[guest]]
name = "late"
startup = "128MiB"
boot_at = 3
"""


@pytest.fixture
def alone(tmp_path: Path) -> Path:
    path = tmp_path / "alone.toml"
    path.write_text(ALONE)
    return path


def test_the_demo_says_what_happens_and_compares(barostat: Shell) -> None:
    run = barostat("demo", "--simulated", "--seconds", "20")

    assert run.code == 0
    said = run.err.splitlines()
    assert (said[0], said[-1]) == ("booting web, db, batch (simulated)",) * 2
    assert "\x1b" not in run.out
    assert run.out.startswith("With Barostat:\n    0 s  batch: OK, assigned 320 MiB, demand ")
    assert "\n   12 s  web: grow from 304 MiB to " in run.out
    rows = [line.split() for line in run.out.splitlines()]
    assert ["barostat", "static"] in rows
    assert "- web grew past its boot size by hot-add, to " in run.out
    assert "RULE BROKEN" not in run.out


def test_only_the_run_with_barostat_moves_anything(barostat: Shell) -> None:
    out = barostat("demo", "--simulated", "--seconds", "20").out

    ours, _, static = out.partition("\nThe same again with static sizes:\n")
    assert ": shrink from " in ours
    assert ": shrink from " not in static
    assert ": grow from " not in static


def test_the_demo_as_json_is_two_reports_in_one_document(barostat: Shell) -> None:
    run = barostat("demo", "--simulated", "--seconds", "20", "--output", "json")

    assert run.code == 0
    assert run.err.splitlines()[0] == "With Barostat:"
    ours, static = run.document["barostat"], run.document["static"]
    assert (ours["policy"], static["policy"]) == ("barostat", "static")
    assert ours["moves"]
    assert static["moves"] == []
    assert ours["summary"]["stall_seconds"] < static["summary"]["stall_seconds"]
    assert ours["summary"]["guests"]["web"]["peak_plugged_bytes"] > 0


def test_the_whole_demo_breaks_no_rule_and_shows_every_mechanism(barostat: Shell) -> None:
    out = barostat("demo", "--simulated").out

    assert "web grew past its boot size by hot-add" in out
    assert "web gave" in out
    assert "by unplugging" in out
    assert "through its balloon" in out
    assert "batch's own kernel paged out" in out


def test_a_terminal_gets_a_live_table_that_fits(barostat: Shell) -> None:
    run = barostat.on_terminal("demo", "--simulated", "--seconds", "20", columns=80)

    assert run.code == 0
    assert run.out.count("\x1b[?25l") == run.out.count("\x1b[?25h") == 2  # the cursor is back
    lines = without_codes(run.out).splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 80
    assert not any("…" in line for line in lines)
    assert any(line.startswith("13 of 20 s: capacity 960 MiB") for line in lines)
    assert "13 of 20 s: nothing is moved" in lines
    header = next(line for line in lines if line.startswith("VM "))
    assert header.split()[-2:] == ["Holds", "Stalled"]


def test_columns_that_were_left_out_do_not_come_back(barostat: Shell) -> None:
    run = barostat.on_terminal("demo", "--simulated", "--seconds", "30", columns=72)

    counts = [
        len(line.split())
        for line in without_codes(run.out.partition("static sizes")[0]).splitlines()
        if line.startswith("VM ")
    ]
    assert counts == sorted(counts, reverse=True)


def test_a_terminal_that_cannot_move_its_cursor_gets_plain_lines(
    barostat: Shell, scenario: Path
) -> None:
    run = barostat.on_terminal("lab", "run", scenario, "--simulated", term="dumb")

    assert run.code == 0
    assert "\x1b" not in run.out
    assert "\n    5 s  web: " in run.out


def test_a_scenario_is_played_and_summed_up(barostat: Shell, scenario: Path) -> None:
    run = barostat("lab", "run", scenario, "--simulated", "--seconds", "20")

    assert run.code == 0
    assert run.err == "booting web, db (simulated)\n"
    assert "\nWhat it came to:\n" in run.out
    assert "web: assigned              256 MiB to 4" in run.out
    assert run.out.rstrip().splitlines()[-1].startswith("- ")


def test_a_run_in_which_nothing_happens_says_so(barostat: Shell, scenario: Path) -> None:
    run = barostat("lab", "run", scenario, "--simulated", "--seconds", "1")

    assert run.out.endswith("- nothing was moved\n")


def test_static_sizes_move_nothing(barostat: Shell, scenario: Path) -> None:
    words = ("lab", "run", scenario, "--simulated", "--seconds", "20")

    document = barostat(*words, "--policy", "static", "--output", "json").document

    assert document["policy"] == "static"
    assert document["moves"] == document["outcomes"] == []
    assert document["summary"]["bytes_moved"] == 0


def test_a_kill_by_a_guests_kernel_is_exit_code_1(
    barostat: Shell, tmp_path: Path, alone: Path
) -> None:
    path = tmp_path / "kill.toml"
    path.write_text(ALONE + '[[step]]\nat = 1\nguest = "web"\nuse = "900MiB"\n')

    run = barostat("lab", "run", path, "--simulated", "--seconds", "9", "--policy", "static")

    assert run.code == 1
    assert "kills by a guest's kernel         0" not in run.out


@pytest.mark.parametrize(("policy", "seconds"), [("static", "8"), ("barostat", "80")])
def test_a_guest_for_which_there_is_no_room_never_starts_and_is_told(
    barostat: Shell, alone: Path, policy: str, seconds: str
) -> None:
    alone.write_text(ALONE + '[[step]]\nat = 0\nguest = "web"\nuse = "150MiB"\n')
    words = ("lab", "run", alone, "--simulated", "--policy", policy, "--seconds", seconds)

    document = barostat(*words, "--output", "json").document

    assert document["summary"]["refused_guests"] == ["late"]
    assert document["guests"]["late"]["series"] == []
    assert "- late never started: its startup memory could not be had" in barostat(*words).out


def test_a_later_guest_starts_when_others_have_given(barostat: Shell, alone: Path) -> None:
    words = ("lab", "run", alone, "--simulated", "--seconds", "40", "--output", "json")

    document = barostat(*words).document

    assert document["summary"]["refused_guests"] == []
    assert document["guests"]["late"]["series"][0]["t"] > 3
    assert document["summary"]["invariant_breaches"] == 0


def test_steps_of_a_guest_that_comes_later_wait_for_it(barostat: Shell, tmp_path: Path) -> None:
    path = tmp_path / "steps.toml"
    path.write_text(
        ALONE + '[[step]]\nat = 0\nguest = "late"\nuse = "20MiB"\n'
        '[[step]]\nat = 2\nguest = "web"\ncache = "30MiB"\n'
    )
    words = ("lab", "run", path, "--simulated", "--seconds", "40", "--output", "json")

    document = barostat(*words).document

    late = document["guests"]["late"]["series"]
    assert late[-1]["witness"]["held_bytes"] == 20 * 2**20


async def test_broken_rules_are_said_but_not_a_hundred_times(
    scenario: Path, tmp_path: Path
) -> None:
    recorder = Recorder(read_scenario(scenario), SimulatedStage(tmp_path), moving=True)
    recorder._breaches += [f"{second} s: above the capacity" for second in range(100)]

    lines = highlights(recorder.report())

    assert lines[0] == "RULE BROKEN: 0 s: above the capacity"
    assert lines[-1] == "and 95 times more; --output json shows them all"
    assert len(lines) == 6


def test_the_lab_needs_no_machine_for_simulated_guests_but_says_what_real_ones_need(
    barostat: Shell, scenario: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")

    refused = barostat("lab", "run", scenario, "--seconds", "2")
    simulated = barostat("lab", "run", scenario, "--seconds", "2", "--simulated")

    assert_refused(refused, "this machine is aarch64", "--simulated", code=3)
    assert simulated.code == 0
