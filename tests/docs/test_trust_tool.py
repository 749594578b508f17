"""`make trust` counts what a run showed, and says so plainly where it cannot."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from tests.docs.evidence import ROOT, rows
from tools.trust.page import GUARDS, page
from tools.trust.promises import PROMISES
from tools.trust.recorder import Mark, Outcome, read

TESTS = """
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

trust = pytest.mark.trust

@trust("minimum", "a guest is reset")
@trust("capacity")
@pytest.mark.parametrize("number", [1, 2])
def test_of_two(number): pass

@trust("input", "noise")
def test_that_counts(record_property): record_property("cases", 70)

@trust("rest")
@given(st.integers())
@settings(max_examples=30, database=None, deadline=None)
def test_of_examples(number): pass

class Machine(RuleBasedStateMachine):
    @rule()
    def go_on(self): pass

Machine.TestCase.settings = settings(
    max_examples=10, stateful_step_count=5, database=None, deadline=None
)
test_of_steps = trust("ends")(Machine.TestCase)

@trust("doubt")
@given(st.integers())
@settings(database=None, deadline=None)
def test_that_fails(number): assert number < 100

@pytest.fixture
def broken(): raise OSError

@trust("start")
def test_that_cannot_begin(broken): pass

@pytest.mark.lab
@trust("liars", "noise")
def test_that_is_skipped(): pytest.skip("no guests here")

def test_without_a_mark(): pass
"""


def ran(folder: Path, tests: str, *arguments: str) -> tuple[Path, str]:
    file, record = folder / "test_some.py", folder / "record.json"
    file.write_text(tests)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "tools.trust.recorder", str(file)),
            *(f"--trust-record={record}", "-p", "no:cacheprovider", *arguments),
        ],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=110,
    )
    return record, done.stdout + done.stderr


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_run_is_counted_with_one_worker_or_several(tmp_path: Path, workers: str) -> None:
    record, _ = ran(tmp_path, TESTS, "-n", workers)

    counted = {item.item.rpartition("py::")[2]: (item.cases, item.failed) for item in read(record)}
    assert counted == {
        "test_of_two[1]": (1, False),
        "test_of_two[2]": (1, False),
        "test_that_counts": (70, False),
        "test_of_examples": (30, False),
        "test_of_steps::runTest": (50, False),
        "test_that_fails": (0, True),
        "test_that_cannot_begin": (0, True),
        "test_that_is_skipped": (0, False),
    }
    [skipped] = [item for item in read(record) if item.skipped]
    assert "no guests here" in skipped.skipped
    assert skipped.real
    assert {item.test.rpartition("py::")[2] for item in read(record)} >= {"test_of_steps"}


def test_tests_beside_a_folder_with_a_conftest_of_its_own_are_counted(tmp_path: Path) -> None:
    """Where pytest leaves out the plugins of a neighbour, it looks the others up by hash."""
    apart = tmp_path / "apart"
    apart.mkdir()
    (apart / "conftest.py").touch()
    (apart / "test_other.py").write_text("def test_other(): pass")
    marked = 'import pytest\n@pytest.mark.trust("minimum")\ndef test_one(): pass\n'

    record, said = ran(tmp_path, marked, "-n", "0", str(apart))

    assert "2 passed" in said, said
    assert [item.cases for item in read(record)] == [1]


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        ('"kindness"', "test_one: 'kindness' is no promise; there are capacity, "),
        ('"minimum", ""', "test_one: trust takes a promise and, if there is one, a kind"),
    ],
)
def test_a_mark_that_says_nothing_known_is_an_error_that_names_the_test(
    tmp_path: Path, mark: str, said: str
) -> None:
    record, words = ran(
        tmp_path, f"import pytest\n@pytest.mark.trust({mark})\ndef test_one(): pass\n"
    )

    assert said in words
    assert "Traceback" not in words
    assert not record.exists() or read(record) == ()


def outcome(item: str, *marks: tuple[str, str | None], **other: object) -> Outcome:
    shown = tuple(Mark(promise=promise, fault=fault) for promise, fault in marks)
    return Outcome(item=item, marks=shown, **{"real": False, "cases": 1} | other)  # type: ignore[arg-type]


def test_a_page_says_all_that_ran_and_what_failed() -> None:
    reset, lab = "a guest is reset", "tests/lab/test_x.py::test_reset"
    text = page(
        [
            outcome("tests/unit/test_x.py::test_one[a]", ("minimum", reset), ("capacity", reset)),
            outcome("tests/unit/test_x.py::test_one[b]", ("minimum", reset), cases=1000),
            outcome(lab, ("minimum", reset), real=True, cases=0, failed=True),
            outcome("tests/hostile/test_y.py::test_noise", ("input", "a | b"), cases=5),
            outcome("tests/unit/test_x.py::test_two", ("rest", None)),
            outcome(f"{GUARDS}[a rule]", ("ends", None)),
            outcome("tests/lab/test_x.py::test_kvm", ("doubt", None), cases=0, skipped="no KVM"),
        ],
        date(2026, 11, 23),
    )

    shown = {row[0]: row[1:] for row in rows(text)}
    assert "on 2026-11-23" in text
    assert "7 tests (1 on real guests), 1,008 cases, 1 failed" in text
    assert shown[reset] == [
        "capacity, minimum",
        "yes",
        f"`{lab}`, `tests/unit/test_x.py::test_one`",
        "1,001",
        "1",
    ]
    assert shown[f"*minimum*: {PROMISES['minimum']}"] == [
        "on real guests: 1, scenarios: 1",
        *("1", "1,001", "1"),
    ]
    assert "**2 kinds, 1 of them on real guests.**" in text
    assert "**1 rules**" in text
    assert shown["rest"] == ["no", "`tests/unit/test_x.py::test_two`", "1", "0"]
    assert shown["`tests/lab/test_x.py::test_kvm`"] == ["no KVM"]
    assert "a \\| b" in text
