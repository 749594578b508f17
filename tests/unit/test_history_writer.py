"""The writer's thread: nothing that happens to the disk holds anybody up, and all of it is told."""

from __future__ import annotations

import itertools
import logging
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.unit.builders import guest
from tests.unit.history_world import NOON_S, Watched, looked, recorded

from barostat.history import writer as writer_module
from barostat.history.reader import Reader
from barostat.history.store import Looked
from barostat.history.values import AuditEntry, FaultKind
from barostat.history.writer import WAITING_MOST, WAITING_PASSES, Writer

PATIENCE_S = 20.0
"""Far more than anything here takes, even on a machine that is busy with something else."""

as_root = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("mount") is None, reason="mounts a disk of its own"
)


class Recorder:
    """A writer with passes to write, one a second."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.host = Watched()
        self.second = 0
        self.writer = Writer(path, wall=lambda: NOON_S + self.second, first_pause_s=0.01)

    def look(self, count: int = 1) -> None:
        for _ in range(count):
            self.writer.hand(self.make())

    def make(self) -> Looked:
        self.second += 1
        return looked(self.host.look(guest(used=780)), at_s=NOON_S + self.second)

    def fails(self, kind: FaultKind) -> bool:
        return self.writer.wait_until(
            lambda: self.writer.fault is not None and self.writer.fault.kind is kind,
            timeout_s=PATIENCE_S,
        )

    def recovers(self) -> bool:
        return self.writer.wait_until(
            lambda: self.writer.fault is None, timeout_s=PATIENCE_S
        ) and self.writer.settled(timeout_s=PATIENCE_S)

    def seconds(self) -> list[int]:
        with closing(sqlite3.connect(self.path)) as database:
            rows = database.execute("SELECT at - ? FROM sample WHERE step = 1", (NOON_S,))
            return [at for (at,) in rows]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.sqlite3"


@pytest.fixture
def recorder(path: Path) -> Iterator[Recorder]:
    made = Recorder(path)
    yield made
    assert made.writer.close(timeout_s=PATIENCE_S)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 512 KiB."""
    where = tmp_path / "disk"
    where.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "barostat-test", where], check=True)
    yield where
    subprocess.run(["umount", "--lazy", where], check=True)


def free_bytes(disk: Path) -> int:
    found = os.statvfs(disk)
    return found.f_bavail * found.f_bsize


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno == logging.ERROR]


def test_what_is_handed_over_is_written_in_its_order(recorder: Recorder) -> None:
    recorder.writer.start()

    recorder.look(12)

    assert recorder.writer.settled(timeout_s=PATIENCE_S)
    assert recorder.seconds() == list(range(1, 13))
    assert recorder.writer.fault is None
    assert recorder.writer.dropped == 0


def test_what_waits_is_written_before_the_end(recorder: Recorder) -> None:
    recorder.look(5)
    recorder.writer.start()

    assert recorder.writer.close(timeout_s=PATIENCE_S)

    assert recorder.seconds() == [1, 2, 3, 4, 5]


def test_nothing_is_taken_in_after_the_end(recorder: Recorder) -> None:
    recorder.writer.start()
    recorder.writer.close(timeout_s=PATIENCE_S)

    recorder.look()

    assert recorder.writer.dropped == 1


def test_a_writer_that_was_never_started_ends_too(recorder: Recorder) -> None:
    recorder.look()

    assert recorder.writer.close(timeout_s=PATIENCE_S)


def test_passes_beyond_a_minute_are_dropped_and_counted_but_no_change_that_somebody_made(
    recorder: Recorder,
) -> None:
    recorder.look(WAITING_PASSES + 3)
    change = AuditEntry(at_s=NOON_S, who="ann", origin="here", what="pause")
    recorder.writer.hand(change)
    assert recorder.writer.dropped == 3

    recorder.writer.start()

    assert recorder.writer.settled(timeout_s=PATIENCE_S)
    assert recorder.seconds() == list(range(1, WAITING_PASSES + 1))
    assert Reader(recorder.path).audits(since_s=0, until_s=NOON_S + 1, limit=9) == (change,)


def test_changes_that_somebody_made_have_an_end_too(recorder: Recorder) -> None:
    change = AuditEntry(at_s=NOON_S, who="ann", origin="here", what="pause")

    for _ in range(WAITING_MOST + 2):
        recorder.writer.hand(change)

    assert recorder.writer.dropped == 2


def test_a_database_that_somebody_else_holds_delays_nobody_and_is_written_later(
    recorder: Recorder,
    path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("barostat.history.schema.BUSY_S", 0.02)
    recorder.writer.start()
    recorder.look()
    assert recorder.writer.settled(timeout_s=PATIENCE_S)

    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        began_s = time.perf_counter()
        recorder.look(30)
        handed_s = time.perf_counter() - began_s
        assert recorder.fails(FaultKind.LOCKED)
        other.execute("ROLLBACK")

    assert recorder.recovers()
    assert handed_s < 1.0  # 30 decisions and no wait
    assert recorder.seconds() == list(range(1, 32))
    assert recorder.writer.failures == {FaultKind.LOCKED: 1}
    (said,) = errors(caplog)
    assert "locked" in said
    assert "fuser" in said


@pytest.mark.trust("input", "the disk with the history is full")
@as_root
def test_a_full_disk_is_told_once_and_written_again_when_there_is_room(
    disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(disk / "history.sqlite3")
    recorder.writer.start()
    recorder.look(10)
    assert recorder.writer.settled(timeout_s=PATIENCE_S)
    filler = disk / "filler"
    filler.write_bytes(b"x" * free_bytes(disk))

    recorder.look(5)
    assert recorder.fails(FaultKind.FULL)
    recorder.look(WAITING_PASSES)
    filler.unlink()

    assert recorder.recovers()
    recorder.look()
    assert recorder.writer.close(timeout_s=PATIENCE_S)
    kept = recorder.seconds()
    assert kept == [*range(1, 16), *kept[15:]]
    assert recorder.second in kept
    assert len(kept) + recorder.writer.dropped == recorder.second
    (said,) = errors(caplog)
    assert "make room on the disk" in said
    assert "is written again" in caplog.text


@pytest.mark.trust("input", "the disk turns read-only")
@as_root
def test_a_disk_that_turns_read_only_stops_nothing(
    disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(disk / "history.sqlite3")
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    recorder.writer.start()

    recorder.look(3)

    assert recorder.fails(FaultKind.UNUSABLE) or recorder.fails(FaultKind.READ_ONLY)
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    assert recorder.recovers()
    assert recorder.writer.close(timeout_s=PATIENCE_S)
    assert recorder.seconds() == [1, 2, 3]
    (said,) = errors(caplog)
    assert "may be written" in said


def test_a_folder_that_cannot_be_made_is_told_and_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    in_the_way = tmp_path / "state"
    in_the_way.write_text("no folder")
    recorder = Recorder(in_the_way / "history.sqlite3")
    recorder.writer.start()

    recorder.look(2)

    assert recorder.fails(FaultKind.UNUSABLE)
    in_the_way.unlink()
    assert recorder.recovers()
    assert recorder.writer.close(timeout_s=PATIENCE_S)
    assert recorder.seconds() == [1, 2]
    assert len(errors(caplog)) == 1


@pytest.mark.trust("input", "the history file is damaged")
def test_a_damaged_database_is_moved_aside_and_a_new_one_begun(
    recorder: Recorder, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_bytes(b"once a database, perhaps; " * 500)
    recorder.look(3)

    recorder.writer.start()

    assert recorder.recovers()
    aside = path.with_name("history.sqlite3.corrupt-2027-01-15T080003Z")
    assert aside.read_bytes().startswith(b"once a database")
    assert recorder.seconds() == [1, 2, 3]
    assert recorder.writer.failures == {FaultKind.DAMAGED: 1}
    (begun,) = Reader(path).audits(since_s=0, until_s=NOON_S + 9, limit=9)
    assert begun.what == "begun anew"
    assert begun.before == {"moved_aside": str(aside)}
    (said,) = errors(caplog)
    assert "is damaged" in said


def test_a_database_that_is_damaged_in_the_middle_is_found_when_a_reader_finds_it(
    recorder: Recorder, path: Path
) -> None:
    recorded(path, list(Watched().look_often(40)))
    content = bytearray(path.read_bytes())
    content[8192:] = b"\xa5" * (len(content) - 8192)
    path.write_bytes(content)

    recorder.writer.suspect()
    recorder.look(3)
    recorder.writer.start()

    assert recorder.recovers()
    assert recorder.writer.failures == {FaultKind.DAMAGED: 1}
    assert recorder.seconds() == [1, 2, 3]


def test_a_database_that_is_whole_is_not_moved_aside_on_suspicion(
    recorder: Recorder, path: Path
) -> None:
    recorded(path, list(Watched().look_often(3)))

    recorder.writer.suspect()
    recorder.look(3)
    recorder.writer.start()

    assert recorder.writer.settled(timeout_s=PATIENCE_S)
    assert not recorder.writer.failures
    assert [file.name for file in path.parent.glob("*corrupt*")] == []


def test_a_database_whose_rows_break_its_own_rules_is_damaged(
    recorder: Recorder, path: Path
) -> None:
    recorded(path, list(Watched().look_often(3)))
    loosen = "UPDATE sqlite_schema SET sql = replace(sql, 'who TEXT NOT NULL', 'who TEXT')"
    tighten = "UPDATE sqlite_schema SET sql = replace(sql, 'who TEXT', 'who TEXT NOT NULL')"
    insert = "INSERT INTO audit (at_ms, origin, what) VALUES (0, '', '')"
    for change in (loosen, insert, tighten):
        with closing(sqlite3.connect(path)) as database:
            database.execute("PRAGMA writable_schema = ON")
            database.execute(change)
            database.commit()

    recorder.writer.suspect()
    recorder.look(3)
    recorder.writer.start()

    assert recorder.recovers()
    assert recorder.writer.failures == {FaultKind.DAMAGED: 1}


def test_a_damaged_database_that_cannot_be_moved_is_told_and_tried_again(
    recorder: Recorder, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_bytes(b"no database " * 100)
    path.with_name(f"{path.name}.corrupt-2027-01-15T080001Z").mkdir()
    recorder.look()

    recorder.writer.start()

    assert recorder.fails(FaultKind.DAMAGED)
    assert "cannot be moved aside" in caplog.text
    path.unlink()
    assert recorder.recovers()
    assert recorder.seconds() == [1]


def test_no_more_than_three_damaged_databases_are_kept(recorder: Recorder, path: Path) -> None:
    for day in range(1, 6):
        path.with_name(f"{path.name}.corrupt-2026-01-0{day}T000000Z").touch()
    path.write_bytes(b"no database " * 100)
    recorder.look()

    recorder.writer.start()

    assert recorder.recovers()
    kept = sorted(file.name for file in path.parent.glob("*corrupt*"))
    assert [name.rpartition("-")[2] for name in kept] == [
        "04T000000Z",
        "05T000000Z",
        "15T080001Z",
    ]


def test_a_database_of_a_newer_version_is_left_alone_until_it_is_gone(
    recorder: Recorder, path: Path
) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    recorder.look()

    recorder.writer.start()

    assert recorder.fails(FaultKind.NEWER)
    assert recorder.writer.fault is not None
    assert "a newer Barostat wrote it" in recorder.writer.fault.message
    assert path.read_bytes() == before
    path.unlink()
    assert recorder.recovers()
    assert recorder.seconds() == [1]


def test_a_database_that_is_taken_away_is_begun_anew(recorder: Recorder, path: Path) -> None:
    recorder.writer.start()
    recorder.look(2)
    assert recorder.writer.settled(timeout_s=PATIENCE_S)
    path.unlink()

    recorder.look(2)

    assert recorder.writer.settled(timeout_s=PATIENCE_S)
    assert recorder.seconds() == [3, 4]


def test_what_can_never_be_written_does_not_come_again(
    recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    recorder.writer.hand(AuditEntry(at_s=NOON_S, who="\udcff", origin="", what=""))
    recorder.writer.start()
    assert recorder.fails(FaultKind.UNUSABLE)

    recorder.look(2)

    assert recorder.recovers()
    assert recorder.seconds() == [1, 2]
    assert recorder.writer.dropped == 1
    assert "cannot be written" in errors(caplog)[0]


def test_pauses_grow_and_have_an_end(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(writer_module, "LONGEST_PAUSE_S", 0.005)
    path.mkdir()
    recorder = Recorder(path)
    recorder.look()
    attempts = itertools.count()
    recorder.writer.start()

    tried_often = recorder.writer.wait_until(lambda: next(attempts) > 6, timeout_s=PATIENCE_S)

    assert tried_often
    assert len(errors(caplog)) == 1
    assert recorder.writer.close(timeout_s=PATIENCE_S)
