"""Time and disk that recording takes for n guests, beside SQLite inserting the same rows bare.

The guests are simulated and decided on once a second. What a pass costs is the processor time of
the thread that writes it, commit included. What it leaves on the disk is counted page by page, and
told for a day of a guest; how much of that is still kept after a month follows from how long each
kind is kept.
"""

from __future__ import annotations

import asyncio
import math
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path

from barostat.core.decide import decide
from barostat.core.observation import Snapshot
from barostat.engine.loop import Tick
from barostat.engine.observe import to_the_millisecond
from barostat.history import shelf, store
from barostat.history.film import Camera
from barostat.history.rollup import STEPS
from barostat.history.rows import Cell as Column
from barostat.history.rows import DecisionLog, host_row, sample_row
from barostat.history.schema import open_writer, transaction
from barostat.history.store import DECISION, HOST_SAMPLE, SAMPLE, Looked, Store
from barostat.units import MIB
from benchmarks.decide import POLICY, Host, Situation
from benchmarks.harness import Cell, Result, percentile

SECONDS = {30: 660, 100: 660, 1_000: 130}
"""By the number of guests. Half a day would say no more: every period of samples is in it."""

SETTLING = 60
"""Passes before the first that counts: guests boot and find their sizes."""

ENOUGH_ROWS = 20_000
DAY_S = 24 * 3600
MONTH_DAYS = 30
NOON_S = 1_800_000_000.0


class Liveliness(Enum):
    """How far what a guest uses swings from second to second."""

    ORDINARY = 0.005
    BUSY = 0.1


@dataclass(slots=True)
class Written:
    """What was measured on one host: seconds of processor time a pass, and bytes by table."""

    ours_s: list[float] = field(default_factory=list)
    limit_s: list[float] = field(default_factory=list)
    sample_bytes: dict[int, float] = field(default_factory=dict)  # of one row, by its step
    film_bytes: float = 0.0  # of one guest and second
    decision_bytes: float = 0.0  # of one row
    decisions: float = 0.0  # of one guest and second


class Village(Host):
    """Guests that are looked at as real ones are: each answers when it can."""

    def __init__(self, count: int, liveliness: Liveliness) -> None:
        super().__init__(count, Situation.BUSY)
        self._chance = random.Random(count)
        self._swing = liveliness.value
        self._used = {
            guest: self._chance.randint(100, 1200) * MIB
            for guest in self.hypervisor.guests.values()
        }

    def pass_a_second(self) -> None:
        """Let the workloads work for a second."""
        self.now_s += POLICY.tick_s
        for guest, used_bytes in self._used.items():
            guest.use(int(used_bytes * self._chance.uniform(1 - self._swing, 1 + self._swing)))

    async def look(self) -> Snapshot:
        """See all guests, with times as real ones have them."""
        seen = await super().look()
        guests = []
        for guest in seen.guests:
            at_s = self.now_s + self._chance.uniform(0, 0.05)
            spoke_s = at_s - self._chance.uniform(0, 0.01)
            seen_guest = replace(guest, seen_at_s=at_s, statistics_at_s=spoke_s)
            guests.append(to_the_millisecond(seen_guest))
        return replace(seen, now_s=self.now_s + 0.06, guests=tuple(guests))

    def tick(self) -> Tick:
        """Look, decide and carry it out."""
        self.pass_a_second()
        snapshot, state = asyncio.run(self.look()), self.state
        decision = decide(snapshot, state, POLICY)
        self.carry_out(decision)
        return Tick(
            snapshot=snapshot,
            state=state,
            policy=POLICY,
            decision=decision,
            observe_s=0.0,
            decide_s=0.0,
        )


class Bare:
    """SQLite with the rows that we write, made before the clock starts, and nothing else."""

    def __init__(self, path: Path) -> None:
        self.database = open_writer(path)
        self._camera, self._log = Camera(), DecisionLog()

    def job(self, at_s: float, tick: Tick) -> Callable[[], None]:
        """Make the rows of a pass; what is returned writes them."""
        at_ms, decision = int(at_s * 1000), tick.decision
        samples = [sample_row(int(at_s), place, it) for place, it in enumerate(decision.guests)]
        host = host_row(int(at_s), decision)
        places = {it.guest: place for place, it in enumerate(decision.guests)}
        news: list[tuple[Column, ...]] = [
            (at_ms, places[guest], *row) for guest, row in self._log.news(decision)
        ]
        film = self._camera.take(tick).data

        def write() -> None:
            with transaction(self.database):
                self.database.executemany(SAMPLE, samples)
                self.database.execute(HOST_SAMPLE, host)
                self.database.executemany(DECISION, news)
                self.database.execute(
                    "INSERT INTO film (reel, at_ms, data) VALUES (0, ?, ?)", (at_ms, film)
                )

        return write


def run() -> Result:
    rows: list[tuple[Cell, ...]] = []
    samples: dict[str, Sequence[float]] = {}
    for liveliness in Liveliness:
        for count in SECONDS:
            with tempfile.TemporaryDirectory() as folder:
                written = measure(Path(folder), count, liveliness)
            rows.append(row(count, liveliness, written))
            samples[f"{liveliness.name.lower()} {count}"] = written.ours_s
    kept = ", ".join(f"{step.step_s} s for {step.kept_s / 3600:g} h" for step in STEPS)
    return Result(
        title="Recording",
        columns=(
            "guests",
            "they are",
            "a pass, ms",
            "p95",
            "worst",
            "core, %",
            "limit: bare, ms",
            *(f"{step.step_s} s" for step in STEPS),
            "film",
            "decisions",
            "month, MB",
        ),
        rows=tuple(rows),
        note="a pass: processor time, the median; the share of a core is of the mean. The limit is "
        "to insert the same rows, made before. Samples of so many seconds, film and decisions: kB "
        "that a guest writes a day. Month: what is kept at its end of 100 guests, with samples "
        f"of {kept}, film and decisions as far as there is room for them",
        samples=samples,
    )


def row(count: int, liveliness: Liveliness, written: Written) -> tuple[Cell, ...]:
    daily = {step: size * DAY_S / step for step, size in written.sample_bytes.items()}
    film = written.film_bytes * DAY_S
    decisions = written.decisions * written.decision_bytes * DAY_S
    return (
        count,
        liveliness.name.lower(),
        statistics.median(written.ours_s) * 1e3,
        percentile(written.ours_s, 95) * 1e3,
        max(written.ours_s) * 1e3,
        statistics.mean(written.ours_s) / POLICY.tick_s * 100,
        statistics.median(written.limit_s) * 1e3,
        *(round(daily[step.step_s] / 1e3) for step in STEPS),
        round(film / 1e3),
        round(decisions / 1e3),
        round(100 * kept_bytes(daily, film, decisions, written.decision_bytes) / 1e6),
    )


def kept_bytes(
    daily: dict[int, float], film: float, decisions: float, decision_bytes: float
) -> float:
    """Say how much of a guest is still there after a month."""
    samples = sum(daily[step.step_s] * min(step.kept_s / DAY_S, MONTH_DAYS) for step in STEPS)
    room_bytes = store.DECISIONS_A_GUEST * decision_bytes
    of_film = min(film * shelf.KEPT_S / DAY_S, shelf.GUEST_BYTES)
    return samples + of_film + min(decisions * MONTH_DAYS, room_bytes)


def measure(folder: Path, count: int, liveliness: Liveliness) -> Written:
    """Record second after second, ours and bare in turn, then weigh what is there."""
    village, written = Village(count, liveliness), Written()
    for _ in range(SETTLING):
        village.tick()
    path = folder / "history.sqlite3"
    bare = Bare(folder / "bare.sqlite3")
    with closing(Store(path)) as ours, closing(bare.database):
        for second in range(SECONDS[count]):
            tick, at_s = village.tick(), NOON_S + second
            limit = bare.job(at_s, tick)
            written.ours_s.append(processor_s(lambda: ours.write([Looked(at_s=at_s, tick=tick)])))  # noqa: B023 - called at once
            written.limit_s.append(processor_s(limit))
    weigh(path, count, written)
    return written


def processor_s(job: Callable[[], object]) -> float:
    began_s = time.thread_time()
    job()
    return time.thread_time() - began_s


def weigh(path: Path, count: int, written: Written) -> None:
    """Count the pages of each kind of row; those of samples in copies, one for each step."""
    seconds = SECONDS[count]
    with closing(sqlite3.connect(path)) as database:
        film, decisions = pages(database, "film%"), pages(database, "decision%")
        news = database.execute("SELECT count(*) FROM decision").fetchone()[0]
        for step in STEPS:
            written.sample_bytes[step.step_s] = weigh_samples(database, step.step_s)
    written.film_bytes = film / seconds / count
    written.decision_bytes = decisions / news
    written.decisions = max(0, news - count) / seconds / count  # without the first of each


def weigh_samples(database: sqlite3.Connection, step_s: int) -> float:
    """Fill a table of its own with a step's samples, with so many that half-full pages are few."""
    table = database.execute("SELECT sql FROM sqlite_schema WHERE name = 'sample'").fetchone()[0]
    with closing(sqlite3.connect(":memory:")) as copy:
        copy.execute(table)
        found = database.execute("SELECT * FROM sample WHERE step = ?", (step_s,)).fetchall()
        insert = f"INSERT INTO sample VALUES ({', '.join('?' * len(found[0]))})"
        fillings = math.ceil(ENOUGH_ROWS / len(found))
        for filling in reversed(range(fillings)):
            ago_s = filling * DAY_S
            copy.executemany(insert, [(step, at - ago_s, *rest) for step, at, *rest in found])
        copy.commit()
        return pages(copy, "sample") / len(found) / fillings


def pages(database: sqlite3.Connection, names: str) -> int:
    size: int = database.execute(
        "SELECT sum(pgsize) FROM dbstat WHERE name LIKE ?", (names,)
    ).fetchone()[0]
    return size
