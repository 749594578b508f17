"""The page of the history says what is kept, by what numbers, and what may go wrong."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from barostat.history import periods, reader, rollup, shelf, store, writer
from barostat.history.rollup import DAY_S, STEPS
from barostat.history.schema import open_writer
from barostat.history.values import FaultKind

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "reference" / "history.md").read_text()


def first_column(heading: str) -> set[str]:
    part = PAGE.partition(f"## {heading}")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| `([\w-]+)` \|", part, re.MULTILINE))


def test_every_table_is_explained(tmp_path: Path) -> None:
    with closing(open_writer(tmp_path / "history.sqlite3")) as database:
        tables = database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()

    assert first_column("What is recorded") == {name for (name,) in tables}


def test_every_fault_is_explained() -> None:
    assert first_column("When the disk fails") == {kind.value for kind in FaultKind}


@pytest.mark.parametrize(
    "said",
    [
        "1 s for an hour, 10 s for a day, 5 min for 400 days",
        f"{rollup.DECISIONS_KEPT_S // DAY_S} days, and at most {store.DECISIONS_A_GUEST:,} for",
        f"{shelf.KEPT_S // DAY_S} days, and at most {shelf.GUEST_BYTES // 1024} KiB for",
        (
            f"after {writer.FIRST_PAUSE_S:g} s, then with\ngrowing pauses up to "
            f"{writer.LONGEST_PAUSE_S:g} s"
        ),
        f"given up after {reader.DEADLINE_S:g} s",
        f"{periods.MOST_POINTS:,} points or {reader.MOST_ROWS:,} rows",
    ],
)
def test_its_numbers_are_those_of_the_code(said: str) -> None:
    assert said in PAGE


def test_what_is_said_in_words_is_so() -> None:
    assert [(step.step_s, step.kept_s) for step in STEPS] == [
        (1, 3600),
        (10, DAY_S),
        (300, 400 * DAY_S),
    ]
    assert rollup.AUDIT_KEPT_S == rollup.YEAR_AND_A_MONTH_S == 400 * DAY_S
    assert shelf.LEAST_GUESTS == 10
    assert (writer.WAITING_PASSES, writer.WAITING_MOST) == (60, 1_000)
    assert writer.KEPT_ASIDE == 3


def test_its_example_is_a_question_that_the_database_answers(tmp_path: Path) -> None:
    found = re.search(r"history\.sqlite3 \"\n(.*?)\"\n", PAGE, re.DOTALL)
    assert found is not None
    with closing(open_writer(tmp_path / "history.sqlite3")) as database:
        assert database.execute(found[1]).fetchall() == []


def test_the_example_is_read_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite3"
    with closing(open_writer(path)) as database:
        database.execute("BEGIN IMMEDIATE")
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=0)) as other:
            assert other.execute("SELECT count(*) FROM sample").fetchone() == (0,)
