"""`barostat forecast` over a history that the real writer began: answers and mistakes."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.builders import settings

from barostat.history.store import Store
from barostat.simulator.forecast import reading
from barostat.simulator.forecast.reading import read_recorded
from barostat.units import GIB, MIB

from .conftest import Shell, assert_refused
from .recorded_days import DAY_ROWS, record_days

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "forecast.md"
DAYS = 8
DAY_S = 86_400.0


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """Eight days of two VMs: `web` needs 20 MiB more each day, `db` always the same."""
    path = tmp_path / "history.db"
    web = [300.0 + 20 * day for day in range(DAYS) for _ in range(DAY_ROWS)]
    limits = {"web": settings(64, 2048, startup=512), "db": settings(1024, 2048)}
    record_days(path, {"web": web, "db": [600.0] * len(web)}, settings=limits)
    return path


def test_every_answer_comes_with_its_evidence(barostat: Shell, history: Path) -> None:
    run = barostat("forecast", "--history", history)

    assert run.code == 0
    lines = dict(line.split(": ", 1) for line in run.out.splitlines())
    # 440 and, because of its minimum, 1024 MiB: a tenth more is 1610 MiB.
    assert "8.0 days, 2304 samples of 5 min" in lines["looked at"]
    assert "more VMs like the 2 that are here" in lines["fits"]
    assert "takes 1610 MiB of 8192 MiB" in lines["because"]
    assert "by playing the busiest day" in lines["checked"]
    assert lines["full"].startswith("in 336 days, between 336 days and 336 days")
    assert "the peaks of 8 days change by +20 MiB a day (+20 MiB to +20 MiB)" in lines["full"]
    assert "db: minimum 1024 MiB -> 704 MiB" in run.out
    assert "while it runs: barostat set db --minimum 704MiB" in run.out


def test_the_document_says_the_same(barostat: Shell, history: Path) -> None:
    document = barostat("forecast", "--history", history, "--output", "json").document

    (host,) = document["hosts"]
    assert host["what_if"] is None
    assert (host["vms"], host["capacity_bytes"]) == (2, 8 * GIB)
    assert host["fit"]["more_vms"] == host["fit"]["check"]["more"] == host["fit"]["by_rule"]
    assert host["fit"]["peak_bytes"] == 1464 * MIB
    assert host["growth"]["verdict"] == "growing"
    assert host["growth"]["per_day_bytes"] == 20 * MIB
    assert document["until_s"] - document["since_s"] == DAYS * DAY_S
    by_vm = {advice["vm"]: advice for advice in document["settings"]["advice"]}
    assert by_vm["db"]["while_running"] == ["barostat", "set", "db", "--minimum", "704MiB"]
    assert by_vm["db"]["while_off"][:3] == ["barostat", "set", "db"]


def test_every_key_of_the_document_is_explained(barostat: Shell, history: Path) -> None:
    explained = set(re.findall(r"`\.?(\w+)`", PAGE.read_text())) | {"hosts", "settings"}
    words = ("--what-if", "remove db", "--output", "json")

    document = barostat("forecast", "--history", history, *words).document

    assert keys_of(document) - explained <= {"fit", "growth", "check", "advice", "now", "better"}


def keys_of(value: Any) -> set[str]:
    """Name every key in a document."""
    if isinstance(value, list):
        return set().union(*map(keys_of, value))
    if isinstance(value, dict):
        return set(value).union(*map(keys_of, value.values()))
    return set()


def test_what_is_supposed_stands_beside_what_is(barostat: Shell, history: Path) -> None:
    what_ifs = ("--what-if", "add 5 like web", "--what-if", "remove db, capacity 4GiB")

    run = barostat("forecast", "--history", history, *what_ifs)

    title, *rows = run.out.split("\n\n")[0].splitlines()
    assert title.split()[:3] == ["Host", "VMs", "Capacity"]
    assert [re.split(r"\s{2,}", row.strip())[:3] for row in rows] == [
        ["as it is", "2", "8192 MiB"],
        ["add 5 like web", "7", "8192 MiB"],
        ["remove db, capacity 4GiB", "1", "4096 MiB"],
    ]
    assert run.out.count("what if: ") == 2
    assert run.out.count("fits: ") == 3


def test_more_like_a_vm_leave_room_for_fewer(barostat: Shell, history: Path) -> None:
    words = ("--what-if", "add 5 like db", "--what-if", "capacity 16GiB", "--output", "json")

    hosts = barostat("forecast", "--history", history, *words).document["hosts"]

    now, more, larger = (host["fit"]["more_vms"] for host in hosts)
    assert more < now < larger


def test_a_stricter_slo_never_lets_more_fit(barostat: Shell, history: Path) -> None:
    fits = [
        barostat("forecast", "--history", history, "--slo", slo, "--output", "json").document
        for slo in ("0.01%", "5 %")
    ]

    strict, loose = (document["hosts"][0]["fit"] for document in fits)
    assert (strict["slo_ratio"], loose["slo_ratio"]) == (0.0001, 0.05)
    assert strict["more_vms"] <= loose["more_vms"]


def test_two_days_are_no_trend(barostat: Shell, history: Path) -> None:
    run = barostat("forecast", "--history", history, "--since", "2d")

    assert "full: not known, too little history: 2 days, and it takes 3" in run.out


def test_less_than_a_day_is_not_tried_out(barostat: Shell, history: Path) -> None:
    run = barostat("forecast", "--history", history, "--since", "6h")

    assert "checked: no: no whole day was recorded" in run.out
    assert "too little history: 0 days" in run.out


def test_a_host_that_does_not_grow_is_told_so(barostat: Shell, history: Path) -> None:
    run = barostat("forecast", "--history", history, "--what-if", "remove web")

    assert "full: not growing: the peaks of 8 days change by 0 a day (0 to 0)" in run.out


def test_without_settings_it_is_said_what_is_not_known(barostat: Shell, history: Path) -> None:
    with closing(sqlite3.connect(history)) as database, database:
        database.execute("DELETE FROM film")

    run = barostat("forecast", "--history", history)

    assert run.code == 0
    assert "takes 1144 MiB of 8192 MiB" in run.out  # 440 and 600 MiB: no minimum is known
    assert "checked: no: the VMs' settings are not known: no decision is known" in run.out
    assert "settings: cannot be judged, they are not known" in run.out


def test_the_history_is_found_where_the_configuration_has_it(
    barostat: Shell, history: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BAROSTAT_HISTORY__PATH", str(history))
    assert barostat("forecast", "--since", "6h").code == 0

    monkeypatch.setenv("BAROSTAT_HISTORY__PATH", "")
    assert_refused(barostat("forecast"), "remember nothing")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--what-if", "remove wbe"), 'did you mean "web"?'),
        (("--what-if", "add 3 like nobody"), 'no VM "nobody"'),
        (("--what-if", "more memory"), '"add 5 like web", "remove db" or "capacity 192GiB"'),
        (("--what-if", "capacity 512MiB"), "less than the VMs that run need now, 1464 MiB"),
        (("--what-if", "remove web, remove db"), "no VM on the host"),
        (("--slo", "0.1"), "no share of minutes"),
        (("--slo", "0%"), "no share of minutes"),
        (("--slo", "100%"), "no share of minutes"),
        (("--since", "long"), "no length of time"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_what_can(
    barostat: Shell, history: Path, words: tuple[str, str], said: str
) -> None:
    assert_refused(barostat("forecast", "--history", history, *words), said)


def test_no_history_an_empty_one_and_something_else_are_told_apart(
    barostat: Shell, tmp_path: Path
) -> None:
    empty, text, other = tmp_path / "empty.db", tmp_path / "text.db", tmp_path / "other.db"
    Store(empty).close()
    text.write_text("no database at all, but long enough to be one by its size" * 20)
    with closing(sqlite3.connect(other)) as database, database:
        database.execute("CREATE TABLE something (else_ TEXT)")

    def run(path: Path) -> Any:
        return barostat("forecast", "--history", path)

    assert_refused(run(tmp_path / "none.db"), "there is no history at")
    assert_refused(run(empty), "is empty")
    assert_refused(run(text), "is not a history of Barostat")
    assert_refused(run(other), "is not a history of Barostat")
    assert_refused(run(tmp_path), "cannot be read", code=3)


def test_what_was_recorded_is_read_row_by_row_and_a_gap_stays_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "POINTS", 50)  # read in seven pieces
    path = tmp_path / "history.db"
    rows = np.arange(1.0, 1 + DAY_ROWS)
    record_days(path, {"web": rows.tolist(), "db": [9.0] * 100})
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE sample SET demand_kib = NULL WHERE demand_kib = 288 * 1024")
        oldest = database.execute("SELECT min(at) FROM host_sample").fetchone()[0]
        database.execute("DELETE FROM host_sample WHERE at = ? + 300", (oldest,))

    found = read_recorded(path, since_s=30 * DAY_S)

    web, db = found.vms.index("web"), found.vms.index("db")
    assert found.times_s[:2].tolist() == [oldest, oldest + 600]
    assert (found.demand_bytes[:3, web] / MIB).tolist() == [1, 3, 4]
    assert found.demand_bytes[-1, web] == found.assigned_bytes[-1, web] == 1024 * MIB
    assert not found.said[-1, web]
    assert np.isnan(found.demand_bytes[:-100, db]).all()
    assert (found.demand_bytes[-100:, db] == 9 * MIB).all()


def test_a_long_time_is_read_in_longer_rows_with_their_peaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MOST_ROWS", 100)
    path = tmp_path / "history.db"
    record_days(path, {"web": [100.0, 100.0, 700.0] * (DAY_ROWS // 3)})

    found = read_recorded(path, since_s=30 * DAY_S)

    assert found.step_s == 900
    assert len(found.times_s) == 96
    assert (found.demand_bytes == 700 * MIB).all()
