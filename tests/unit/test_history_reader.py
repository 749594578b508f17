"""What is read out: the right samples, the right decision, and an error that helps for the rest."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.builders import guest
from tests.unit.history_world import NOON_S, Watched, has, looked, recorded

from barostat import __version__
from barostat.core.decide import decide
from barostat.errors import HistoryError, InputError, UnknownGuestError
from barostat.history import reader as reader_module
from barostat.history import replaying
from barostat.history.periods import period_of
from barostat.history.reader import DamagedError, Reader
from barostat.history.schema import open_reader
from barostat.history.store import Store
from barostat.units import MIB

HOUR_S, DAY_S = 3600, 24 * 3600


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.sqlite3"


@pytest.mark.parametrize(
    ("ago_s", "points", "step_s", "width_s"),
    [
        (600, 600, 1, 1),
        (3600, 300, 10, 20),
        (3000, 300, 10, 10),
        (3000, 299, 10, 20),
        (2999, 300, 1, 10),
        (2 * HOUR_S, 2000, 10, 10),
        (DAY_S, 200, 300, 600),
        (DAY_S, 300, 10, 290),
        (DAY_S + 1, 2000, 300, 300),
        (30 * DAY_S, 100, 300, 26100),
        (900 * DAY_S, 2000, 300, 39000),
    ],
)
def test_samples_are_as_fine_as_asked_for_and_as_still_kept(
    ago_s: int, points: int, step_s: int, width_s: int
) -> None:
    period = period_of(NOON_S - ago_s, NOON_S, points, NOON_S)

    assert (period["step"], period["width"]) == (step_s, width_s)
    assert period["first"] % width_s == 0
    assert period["first"] <= NOON_S - ago_s < period["first"] + width_s


@pytest.mark.parametrize("points", [0, -1, 2001])
def test_too_many_points_or_none_are_refused(points: int) -> None:
    with pytest.raises(InputError, match="between 1 and 2000"):
        period_of(NOON_S - 60, NOON_S, points, NOON_S)


def test_a_time_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(InputError, match="ends before it begins"):
        period_of(NOON_S, NOON_S - 1, 100, NOON_S)


def test_points_stand_for_more_seconds_where_fewer_are_asked_for(path: Path) -> None:
    host = Watched()
    reader = recorded(path, [host.look(has(512 + second)) for second in range(12)])

    found = reader.samples("web", since_s=NOON_S, until_s=NOON_S + 12, points=3, now_s=NOON_S + 12)

    assert found.guest == "web"
    assert found.step_s == 4
    assert [sample.at_s - NOON_S for sample in found.samples] == [0, 4, 8]
    assert [sample.assigned_bytes / MIB for sample in found.samples] == [513.5, 517.5, 521.5]
    assert found.samples[0].assigned_max_bytes == 515 * MIB


def test_a_time_without_looks_has_no_samples(path: Path) -> None:
    host = Watched()
    with closing(Store(path)) as store:
        for second in (0, 1, 7, 8):
            store.write([looked(host.look(guest()), at_s=NOON_S + second)])

    found = Reader(path).samples(
        "web", since_s=NOON_S, until_s=NOON_S + 12, points=12, now_s=NOON_S + 12
    )

    assert [sample.at_s - NOON_S for sample in found.samples] == [0, 1, 7, 8]


def test_the_samples_of_a_guest_are_its_own(path: Path) -> None:
    host = Watched()
    ticks = [host.look(replace(has(600), name="db"), guest("web", used=500)) for _ in range(4)]

    found = recorded(path, ticks).samples(
        "db", since_s=NOON_S, until_s=NOON_S + 4, points=4, now_s=NOON_S + 4
    )

    assert [sample.assigned_bytes for sample in found.samples] == [600 * MIB] * 4


def test_the_host_has_samples_of_its_own(path: Path) -> None:
    host = Watched(capacity=4096)
    ticks = [host.look(has(512 + second % 2)) for second in range(12)]

    found = recorded(path, ticks).host(
        since_s=NOON_S, until_s=NOON_S + 12, points=2, now_s=NOON_S + 12
    )

    sample, _ = found.samples
    decided = ticks[0].decision
    assert sample.looks == 6
    assert sample.tier is decided.tier
    assert sample.capacity_bytes == 4096 * MIB
    assert sample.in_hand_min_bytes < sample.in_hand_bytes
    assert sample.pool_bytes == pytest.approx(decided.pool_bytes, abs=MIB)


def test_metering_gives_mean_least_and_most_of_every_guest(path: Path) -> None:
    host = Watched()
    ticks = [host.look(replace(has(400), name="db"), has(512)) for _ in range(10)]
    ticks += [host.look(has(1024)) for _ in range(10)]

    db, web = recorded(path, ticks).metering(since_s=NOON_S, until_s=NOON_S + 20, now_s=NOON_S + 20)

    assert (db.guest, db.seconds, db.assigned_bytes) == ("db", 10, 400 * MIB)
    assert (web.guest, web.seconds, web.assigned_bytes) == ("web", 20, 768 * MIB)
    assert web.assigned_min_bytes == 512 * MIB
    assert web.assigned_max_bytes == 1024 * MIB


def test_decisions_are_of_the_guest_and_the_time_and_no_more_than_asked_for(path: Path) -> None:
    host = Watched()
    ticks = [host.look(guest("db"), guest("web", used=400)) for _ in range(2)]
    ticks += [host.look(guest("db"), guest("web", used=990)) for _ in range(2)]
    reader = recorded(path, ticks)

    everybody = reader.decisions(None, since_s=NOON_S, until_s=NOON_S + 9, limit=9)
    newest = reader.decisions(None, since_s=NOON_S, until_s=NOON_S + 9, limit=1)
    web = reader.decisions("web", since_s=NOON_S + 1, until_s=NOON_S + 9, limit=9)

    assert {item.guest for item in everybody} == {"db", "web"}
    assert [item.at_s for item in everybody] == sorted(item.at_s for item in everybody)
    assert newest == everybody[-1:]
    assert web
    assert all(item.guest == "web" and item.at_s > NOON_S for item in web)
    with pytest.raises(InputError, match="between 1 and 10000"):
        reader.decisions(None, since_s=0, until_s=NOON_S, limit=0)


@pytest.mark.parametrize("seconds", [0, 1, 59, 60, 61, 64])
def test_a_past_decision_is_made_again_exactly(path: Path, seconds: int) -> None:
    ticks = list(Watched().look_often(65, names=["db", "web"], used=900))

    replay = recorded(path, ticks).decision_at("web", NOON_S + seconds)

    then = ticks[seconds]
    assert replay.at_s == NOON_S + seconds
    assert replay.version == __version__
    assert replay.snapshot == then.snapshot
    assert replay.state == then.state
    assert replay.decision == then.decision
    assert decide(replay.snapshot, replay.state, replay.policy) == then.decision


def test_between_two_looks_the_earlier_one_is_in_force(path: Path) -> None:
    ticks = list(Watched().look_often(4))

    replay = recorded(path, ticks).decision_at(None, NOON_S + 2.9)

    assert replay.decision == ticks[2].decision


@pytest.mark.parametrize("when", [-1, 15, HOUR_S])
def test_where_nothing_was_recorded_it_is_said_what_is_kept(path: Path, when: float) -> None:
    reader = recorded(path, list(Watched().look_often(4)))

    with pytest.raises(HistoryError, match="no decision is known at 2027-01") as caught:
        reader.decision_at("web", NOON_S + when)

    assert "decisions can be made again from 2027-01-15" in caught.value.hint


def test_a_history_without_film_says_so(path: Path) -> None:
    Store(path).close()

    with pytest.raises(HistoryError, match="no decision is known") as caught:
        Reader(path).decision_at(None, NOON_S)

    assert "no decision is kept" in caught.value.hint


def test_a_guest_that_was_not_there_is_told_with_those_that_were(path: Path) -> None:
    reader = recorded(path, [Watched().look(guest("db"), guest("web"))])

    with pytest.raises(UnknownGuestError) as caught:
        reader.decision_at("mail", NOON_S)

    assert caught.value.hint == "there were: db, web"


def test_a_guest_of_which_nothing_was_recorded_is_unknown(path: Path) -> None:
    reader = recorded(path, [Watched().look(guest("web"))])

    with pytest.raises(UnknownGuestError, match='"mail"'):
        reader.samples("mail", since_s=0, until_s=NOON_S, points=9, now_s=NOON_S)
    with pytest.raises(UnknownGuestError, match='"mail"'):
        reader.decisions("mail", since_s=0, until_s=NOON_S, limit=9)


def test_without_a_history_it_is_said_who_begins_it(path: Path) -> None:
    with pytest.raises(HistoryError, match="no history at") as caught:
        Reader(path).guests()

    assert "daemon" in caught.value.hint
    assert not path.exists()


def test_a_read_that_takes_too_long_is_given_up(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = recorded(path, list(Watched().look_often(60)))
    monkeypatch.setattr(reader_module, "DEADLINE_S", -1.0)
    monkeypatch.setattr(reader_module, "LOOK_EVERY", 1)

    with pytest.raises(HistoryError, match="gave no answer within"):
        reader.metering(since_s=NOON_S, until_s=NOON_S + 60, now_s=NOON_S + 60)


def test_a_replay_that_takes_too_long_is_given_up(path: Path) -> None:
    recorded(path, list(Watched().look_often(60)))

    with (
        closing(sqlite3.connect(path)) as database,
        pytest.raises(HistoryError, match="could not be made again in time"),
    ):
        replaying.replay_at(database, "web", NOON_S + 59, deadline_s=-1.0)


def test_a_damaged_file_is_an_error_with_advice(path: Path) -> None:
    path.write_bytes(b"no database at all, by far" * 100)

    with pytest.raises(DamagedError, match="cannot be read") as caught:
        Reader(path).guests()

    assert "moved aside" in caught.value.hint


def test_a_reader_cannot_write(path: Path) -> None:
    recorded(path, [Watched().look(guest())])

    with (
        open_reader(path) as database,
        pytest.raises(sqlite3.OperationalError, match="readonly"),
    ):
        database.execute("DELETE FROM sample")
