"""What is in the database after what: samples, decisions, endings, and what is forgotten."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from tests.unit.builders import guest, settings
from tests.unit.history_world import NOON_S, Watched, has, looked, recorded

from barostat.core.moves import MoveKind
from barostat.core.pressure import Status
from barostat.core.reasons import ReasonCode
from barostat.engine.act import Outcome
from barostat.engine.loop import Tick
from barostat.errors import RefusedError
from barostat.history import rollup, shelf
from barostat.history import store as store_module
from barostat.history.faults import ForeignError, NewerError
from barostat.history.reader import Reader
from barostat.history.store import Ended, Store
from barostat.history.values import AuditEntry, RecordedDecision, Sample
from barostat.units import GIB, MIB

HOUR_S, DAY_S = 3600, 24 * 3600


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "history.sqlite3"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with closing(Store(path)) as opened:
        yield opened


def samples(reader: Reader, *, points: int, seconds: int = 600) -> tuple[Sample, ...]:
    found = reader.samples(
        "web", since_s=NOON_S, until_s=NOON_S + seconds, points=points, now_s=NOON_S + seconds
    )
    return found.samples


def count(path: Path, table: str) -> int:
    with closing(sqlite3.connect(path)) as database:
        number: int = database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        return number


def test_a_look_is_a_sample_with_all_that_was_decided_on(path: Path) -> None:
    tick = Watched().look(has(512))
    decided = tick.decision.guests[0]

    (found,) = samples(recorded(path, [tick]), points=2000)

    assert found.at_s == NOON_S
    assert found.looks == 1
    assert found.status is decided.status
    assert found.assigned_bytes == found.assigned_min_bytes == decided.assigned_bytes
    assert found.assigned_max_bytes == decided.assigned_bytes
    assert found.demand_bytes == decided.demand_bytes
    assert found.pressure == pytest.approx(decided.pressure)
    assert found.available_bytes == decided.available_bytes
    assert found.target_bytes == decided.target_bytes
    assert found.promised_bytes == decided.promised_bytes
    assert found.balloon_bytes == 512 * MIB
    assert found.plugged_bytes == 0


def test_a_guest_that_says_nothing_has_no_demand(path: Path) -> None:
    host = Watched()
    silent = guest()
    tick = host.look(
        type(silent)(
            name="web",
            run_state=silent.run_state,
            devices=silent.devices,
            statistics=None,
            seen_at_s=0.0,
            statistics_at_s=0.0,
            disturbed_at_s=0.0,
        )
    )

    (found,) = samples(recorded(path, [tick]), points=2000)

    assert found.status is Status.UNKNOWN
    assert found.demand_bytes is None
    assert found.demand_max_bytes is None
    assert found.available_bytes is None
    assert found.pressure is None
    assert found.pressure_max is None


def test_seconds_become_longer_samples_with_the_mean_least_most_and_worst(path: Path) -> None:
    host = Watched()
    host.settings["web"] = settings(enabled=True)
    sizes = [512] * 5 + [1024] * 5
    ticks = [host.look(has(mib)) for mib in sizes]
    ticks += [host.look(guest(used=1010))] * 10  # without its buffer, and in another period
    ticks += [host.look(has(512))]

    first, second = samples(recorded(path, ticks), points=60)

    assert (first.at_s, first.looks) == (NOON_S, 10)
    assert first.assigned_bytes == 768 * MIB
    assert first.assigned_min_bytes == 512 * MIB
    assert first.assigned_max_bytes == 1024 * MIB
    assert first.pressure_max is not None
    assert first.pressure is not None
    assert first.pressure_max > first.pressure
    assert (second.at_s, second.looks) == (NOON_S + 10, 10)
    assert second.status is Status.LOW


def test_samples_of_the_running_five_minutes_can_be_read(path: Path) -> None:
    reader = recorded(path, list(Watched().look_often(31)))

    (found,) = samples(reader, points=2)

    assert found.looks == 30  # the last full period of 10 s has ended with the 31st second


def test_a_restart_loses_no_second_of_a_sample(path: Path) -> None:
    host = Watched()
    recorded(path, list(host.look_often(14)))
    reader = recorded(path, list(host.look_often(17)), from_s=NOON_S + 14)

    found = samples(reader, points=60)

    assert [sample.looks for sample in found] == [10, 10, 10]


def test_a_crash_loses_nothing_that_was_written(path: Path, store: Store, tmp_path: Path) -> None:
    host = Watched()
    ticks = list(host.look_often(20))
    for second, tick in enumerate(ticks):
        store.write([looked(tick, at_s=NOON_S + second)])

    left = tmp_path / "left.sqlite3"  # as a process leaves it that is killed
    shutil.copy(path, left)
    shutil.copy(f"{path}-wal", f"{left}-wal")

    reader = recorded(left, list(host.look_often(11)), from_s=NOON_S + 20)
    assert [found.looks for found in samples(reader, points=60)] == [10, 10, 10]
    assert reader.decision_at("web", NOON_S + 19).decision == ticks[19].decision


def test_a_clock_that_is_set_back_writes_the_same_seconds_again(path: Path) -> None:
    host = Watched()
    with closing(Store(path)) as store:
        for at_s in [*range(25), *range(8, 31)]:
            store.write([looked(host.look(guest()), at_s=NOON_S + at_s)])

    assert [found.looks for found in samples(Reader(path), points=60)] == [10, 10, 10]


def test_what_is_too_old_is_forgotten_step_by_step(path: Path) -> None:
    host = Watched()
    with closing(Store(path)) as store:
        for at_s in [0, 10, HOUR_S + 20, DAY_S + 30, DAY_S + 40]:
            store.write([looked(host.look(guest()), at_s=NOON_S + at_s)])

    with closing(sqlite3.connect(path)) as database:
        left = database.execute(
            "SELECT step, at - ? FROM sample ORDER BY step, at", (NOON_S,)
        ).fetchall()
    assert [at for step, at in left if step == 1] == [DAY_S + 30, DAY_S + 40]
    assert [at for step, at in left if step == 10] == [HOUR_S + 20, DAY_S + 30]
    assert [at for step, at in left if step == 300] == [0, HOUR_S, DAY_S]


def test_a_move_and_a_changed_reason_are_recorded_and_what_stays_is_not(path: Path) -> None:
    host = Watched()
    ticks = [host.look(guest(used=780)) for _ in range(3)]  # nothing to do, three times
    ticks += [host.look(guest(used=990))]  # it needs more
    ticks += [host.look(guest(used=990)) for _ in range(2)]  # and is on its way

    found = recorded(path, ticks).decisions(None, since_s=0, until_s=NOON_S + 60, limit=10)

    assert [item.kind for item in found] == [None, MoveKind.GROW]
    hold, grow = found
    assert hold.from_bytes == hold.to_bytes == 1024 * MIB
    assert hold.reasons == ticks[0].decision.guests[0].reasons
    move = ticks[3].decision.moves[0]
    assert (grow.at_s, grow.guest) == (NOON_S + 3, "web")
    assert (grow.from_bytes, grow.to_bytes) == (move.from_bytes, move.to_bytes)
    assert grow.reasons == move.reasons
    assert ReasonCode.GROWTH in [reason.code for reason in grow.reasons]


def test_out_of_turn_only_those_are_news_that_could_not_wait(path: Path) -> None:
    host = Watched()
    ticks = [host.look(guest("db", used=780), guest("web", used=780))]
    ticks += [host.look(guest("db", used=990), guest("web", used=990), hurried=["web"])]

    reader = recorded(path, ticks)

    assert [item.kind for item in decisions_of(reader, "web")] == [None, MoveKind.GROW]
    assert [item.kind for item in decisions_of(reader, "db")] == [None]


def decisions_of(reader: Reader, name: str) -> Sequence[RecordedDecision]:
    return reader.decisions(name, since_s=0, until_s=NOON_S + 60, limit=10)


def test_a_guest_that_was_away_is_news_when_it_is_back(path: Path) -> None:
    host = Watched()
    ticks = [host.look(guest()), host.look(), host.look(guest())]

    found = recorded(path, ticks).decisions("web", since_s=0, until_s=NOON_S + 9, limit=10)

    assert [item.at_s for item in found] == [NOON_S, NOON_S + 2]


def growing() -> Tick:
    tick = Watched().look(guest(used=940))
    assert tick.decision.moves
    return tick


def test_how_a_move_ended_stands_beside_it(path: Path, store: Store) -> None:
    tick = growing()
    move = tick.decision.moves[0]
    error = RefusedError("it said no")

    store.write([looked(tick, at_s=NOON_S)])
    store.write(
        [
            Ended(
                ending=Outcome(
                    move=move, arrived=False, assigned_bytes=GIB, took_s=2.5, error=error
                )
            )
        ]
    )

    (found,) = Reader(path).decisions("web", since_s=0, until_s=NOON_S + 9, limit=10)
    assert found.arrived is False
    assert found.ended_bytes == GIB
    assert found.took_s == 2.5
    assert found.error == "it said no"


def test_the_ending_of_a_move_that_is_not_the_last_is_not_put_down_to_another(
    path: Path, store: Store
) -> None:
    tick = growing()
    other = Watched().look(guest(used=980)).decision.moves[0]

    store.write([looked(tick, at_s=NOON_S)])
    store.write([Ended(ending=Outcome(move=other, arrived=True, assigned_bytes=0, took_s=1.0))])

    (found,) = Reader(path).decisions("web", since_s=0, until_s=NOON_S + 9, limit=10)
    assert found.arrived is None


def test_a_change_that_somebody_made_is_kept_as_it_was_noted(path: Path, store: Store) -> None:
    entry = AuditEntry(
        at_s=NOON_S + 0.5,
        who="ann",
        origin="unix socket",
        what="settings",
        guest="web",
        before={"weight": 5000},
        after={"weight": 6000},
    )
    pause = AuditEntry(at_s=NOON_S + 1, who="uid 0", origin="10.0.0.1", what="pause")

    store.write([entry, pause])

    reader = Reader(path)
    assert reader.audits(since_s=0, until_s=NOON_S + 9, limit=10) == (entry, pause)
    assert reader.audits(since_s=0, until_s=NOON_S + 9, limit=1) == (pause,)
    assert reader.audits(since_s=0, until_s=NOON_S + 1, limit=9) == (entry,)


def test_a_batch_is_written_whole_or_not_at_all(path: Path, store: Store) -> None:
    bad = AuditEntry(at_s=NOON_S, who="ann\udcff", origin="", what="settings")

    with pytest.raises(UnicodeEncodeError):
        store.write([looked(growing(), at_s=NOON_S), bad])

    assert count(path, "sample") == count(path, "film") == count(path, "guest") == 0


def test_film_is_one_row_a_reel_when_the_reel_is_full_also_after_a_restart(path: Path) -> None:
    host = Watched()
    recorded(path, list(host.look_often(70)))
    assert count(path, "film") == 1 + 10

    recorded(path, list(host.look_often(1)), from_s=NOON_S + 70)

    assert count(path, "film") == 2 + 1


def test_film_is_forgotten_when_there_is_no_more_room(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf, "GUEST_BYTES", 300)
    monkeypatch.setattr(shelf, "LEAST_GUESTS", 1)
    ticks = list(Watched().look_often(200))

    reader = recorded(path, ticks)

    assert count(path, "film") == 20  # nothing but the reel that is being made
    assert reader.decision_at("web", NOON_S + 199).decision == ticks[199].decision


def test_film_is_forgotten_when_it_is_old(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "KEPT_S", 100)

    recorded(path, list(Watched().look_often(190)))

    assert count(path, "film") == 1 + 10  # the third minute in one row, and of the last its own


def test_decisions_are_forgotten_when_there_are_too_many(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "DECISIONS_A_GUEST", 2)
    monkeypatch.setattr(store_module, "LEAST_GUESTS", 1)
    host = Watched()
    ticks = [host.look(guest(), carried_out=False)]
    for second in range(1, 21):
        host.settings["web"] = settings(enabled=second % 2 == 0)
        ticks.append(host.look(guest()))

    found = recorded(path, ticks).decisions("web", since_s=0, until_s=NOON_S + 60, limit=99)

    assert [item.at_s for item in found] == [NOON_S + 18, NOON_S + 19, NOON_S + 20]


def test_a_guest_is_known_from_its_first_to_its_last_look(path: Path) -> None:
    host = Watched()
    ticks = [*host.look_often(30, names=["db", "web"]), *host.look_often(30, names=["web"])]

    known = {item.name: item for item in recorded(path, ticks).guests()}

    assert known["db"].first_at_s == known["web"].first_at_s == NOON_S
    assert known["db"].last_at_s == NOON_S + 20
    assert known["web"].last_at_s == NOON_S + 50


def test_a_guest_of_which_nothing_is_left_is_forgotten(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollup, "YEAR_AND_A_MONTH_S", 30)
    host = Watched()

    reader = recorded(
        path, [*host.look_often(5, names=["db"]), *host.look_often(60, names=["web"])]
    )

    assert [known.name for known in reader.guests()] == ["web"]


def test_a_database_of_a_newer_version_is_refused_and_left_alone(path: Path) -> None:
    recorded(path, [growing()])
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = path.read_bytes()

    with pytest.raises(NewerError, match="form 99"):
        Store(path)

    assert path.read_bytes() == before


def test_a_database_of_something_else_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE invoice (id INTEGER)")
    before = path.read_bytes()

    with pytest.raises(ForeignError, match="something else"):
        Store(path)

    assert path.read_bytes() == before


def test_a_database_of_a_form_that_never_was_is_refused_and_left_alone(path: Path) -> None:
    recorded(path, [growing()])
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = -3")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = path.read_bytes()

    with pytest.raises(ForeignError, match="something else"):
        Store(path)

    assert path.read_bytes() == before


def test_a_migration_that_fails_leaves_nothing_behind(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "barostat.history.schema._migrations",
        lambda: ["CREATE TABLE one (id);", "CREATE TABLE two (id);\nCREATE TABLE one (id);"],
    )

    with pytest.raises(sqlite3.OperationalError, match="already exists"):
        Store(path)

    with closing(sqlite3.connect(path)) as database:
        tables = database.execute("SELECT name FROM sqlite_schema").fetchall()
        assert tables == [("one",)]
        assert database.execute("PRAGMA user_version").fetchone() == (1,)


def test_only_its_owner_and_group_may_read_the_file(path: Path, store: Store) -> None:
    assert store.stands
    assert path.stat().st_mode & 0o007 == 0


def test_a_file_that_was_taken_away_or_replaced_does_not_stand(path: Path, store: Store) -> None:
    path.rename(path.with_suffix(".old"))
    assert not store.stands

    path.touch()

    assert not store.stands
