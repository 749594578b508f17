"""Whoever wrote what into the history: reading is an error in words, and recording goes on."""

from __future__ import annotations

import contextlib
import copy
import random
import sqlite3
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.hostile.bounds import Note, bounded, cases
from tests.hostile.mutations import mutated
from tests.unit.builders import devices, guest
from tests.unit.history_world import NOON_S, Watched, looked, recorded

from barostat.errors import BarostatError, HistoryError
from barostat.history.faults import ForeignError, NewerError
from barostat.history.film import LENGTH_BYTES, RAW, Camera
from barostat.history.projector import MOST_BYTES, project
from barostat.history.reader import Reader
from barostat.history.store import Store
from barostat.units import MIB

CELLS = (0, -1, 99, 2**63 - 1, -(2**63), 1e308, float("inf"), "", "\x1b[2J", None, b"\xff" * 7)
SINCE = {"since_s": NOON_S - 10.0, "until_s": NOON_S + 100.0}
UNUSABLE = (sqlite3.Error, OSError, ForeignError, NewerError)


def reel() -> bytes:
    """A reel of some seconds."""
    host, camera = Watched(capacity=2500), Camera()
    looks = (
        host.look(
            guest("db", used=300 + 40 * second),
            guest("web", used=700, has=devices(plugged=2 * second, requested=40)),
        )
        for second in range(6)
    )
    return b"".join(camera.take(tick).data for tick in looks)


def pictures(packed: bytes) -> list[Any]:
    content = zlib.decompressobj(wbits=RAW).decompress(packed)
    found, begin = [], 0
    while begin < len(content):
        start = begin + LENGTH_BYTES
        begin = start + int.from_bytes(content[begin:start], "big")
        found.append(msgspec.msgpack.decode(content[start:begin]))
    return found


def packed(found: list[Any]) -> bytes:
    stream, data = zlib.compressobj(wbits=RAW), b""
    for picture in found:
        encoded = msgspec.msgpack.encode(picture)
        data += stream.compress(len(encoded).to_bytes(LENGTH_BYTES, "big") + encoded)
    return data + stream.flush(zlib.Z_SYNC_FLUSH)


def play(data: bytes) -> None:
    with contextlib.suppress(HistoryError):
        for _ in project(data):
            pass


@pytest.mark.trust("input", "a film of decisions is garbled")
def test_a_reel_that_says_anything_is_scenes_or_an_error_in_words(record_property: Note) -> None:
    right = reel()
    parts = pictures(right)

    def one(chance: random.Random) -> None:
        if chance.random() < 0.2:
            wrong = bytearray(right)
            wrong[chance.randrange(len(wrong))] = chance.randrange(256)
            play(bytes(wrong))
            return
        found = copy.deepcopy(parts)
        for _ in range(chance.randint(1, 3)):
            place = chance.choice((0, 0, chance.randrange(len(found))))
            found[place] = mutated(found[place], chance)
        with contextlib.suppress(UnicodeError, OverflowError):  # msgpack cannot say all of it
            play(packed(found))

    play(right)
    with bounded(within_s=10_000):
        for chance in cases(record_property, least=300):
            one(chance)


@pytest.mark.trust("input", "a small film unpacks to gigabytes")
def test_a_small_reel_that_unpacks_to_gigabytes_costs_one_picture_at_most() -> None:
    stream = zlib.compressobj(9, wbits=RAW)
    bomb = stream.compress((MOST_BYTES + 1).to_bytes(LENGTH_BYTES, "big"))
    for _ in range(16):
        bomb += stream.compress(bytes(16 * MIB))
    bomb += stream.flush(zlib.Z_SYNC_FLUSH)

    with bounded(within_s=5, peak_bytes=4 * MIB), pytest.raises(HistoryError):
        list(project(bomb))


def spoil(path: Path, right: bytes, chance: random.Random) -> None:
    """Write a history that is wrong: bytes of the file, or what stands in its columns."""
    for beside in ("-wal", "-shm"):
        path.with_name(path.name + beside).unlink(missing_ok=True)
    data = bytearray(right)
    if chance.random() < 0.4:
        for _ in range(chance.choice((1, 10, 300))):
            data[chance.randrange(len(data))] = chance.randrange(256)
        cut = chance.randrange(len(data)) if chance.random() < 0.2 else len(data)
        path.write_bytes(data[:cut])
        return
    path.write_bytes(data)
    with contextlib.closing(sqlite3.connect(path)) as database:
        for _ in range(3):
            table = chance.choice(("guest", "sample", "host_sample", "decision", "film", "audit"))
            columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
            change = f"UPDATE {table} SET {chance.choice(columns)} = ?"
            with contextlib.suppress(sqlite3.Error):
                database.execute(change, (chance.choice(CELLS),))
        database.commit()


def questions(reader: Reader) -> tuple[Callable[[], object], ...]:
    now_s = NOON_S + 100.0
    return (
        lambda: reader.samples("web", points=50, now_s=now_s, **SINCE),
        lambda: reader.host(points=50, now_s=now_s, **SINCE),
        lambda: reader.decisions(None, limit=100, **SINCE),
        lambda: reader.decision_at(None, NOON_S + 5.0),
        lambda: reader.audits(limit=10, **SINCE),
        lambda: reader.metering(now_s=now_s, **SINCE),
        reader.guests,
    )


@pytest.fixture
def right(tmp_path: Path) -> bytes:
    path = tmp_path / "right.db"
    recorded(path, list(Watched().look_often(20)))
    return path.read_bytes()


@pytest.mark.trust("input", "the history file is garbled, and read")
def test_a_history_that_holds_anything_is_read_or_an_error_in_words(
    tmp_path: Path, right: bytes, record_property: Note
) -> None:
    path = tmp_path / "history.db"

    def ask_all() -> None:
        for ask in questions(Reader(path)):
            with contextlib.suppress(BarostatError):
                ask()

    def one(chance: random.Random) -> None:
        spoil(path, right, chance)
        ask_all()

    path.write_bytes(right)
    ask_all()
    with bounded(within_s=10_000):
        for chance in cases(record_property, seconds=6):
            one(chance)


@pytest.mark.trust("input", "the history file is garbled, and written to")
def test_a_history_that_holds_anything_is_written_to_or_a_fault_that_the_writer_knows(
    tmp_path: Path, right: bytes, record_property: Note
) -> None:
    path = tmp_path / "history.db"
    ticks = list(Watched().look_often(3))

    def one(chance: random.Random) -> None:
        spoil(path, right, chance)
        with contextlib.suppress(*UNUSABLE):
            store = Store(path)
            try:
                for second, tick in enumerate(ticks):
                    store.write([looked(tick, at_s=NOON_S + 30 + 10 * second)])
            finally:
                store.close()

    one(random.Random(0))
    with bounded(within_s=10_000):
        for chance in cases(record_property, seconds=6):
            one(chance)
