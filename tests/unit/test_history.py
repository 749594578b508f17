"""The history as the daemon has it: fed by a balancer, read while it is written."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from tests.unit.history_world import NOON_S

from barostat.core.moves import MoveKind
from barostat.core.settings import MemorySettings
from barostat.engine.loop import Balancer, Tick
from barostat.engine.observe import FixedCapacity, FixedSettings
from barostat.errors import HistoryError
from barostat.history.history import History
from barostat.history.values import AuditEntry, FaultKind
from barostat.hypervisors.simulated import SimulatedHypervisor, SimulatedSpec
from barostat.units import GIB, MIB

BOOT_BYTES = 512 * MIB
PATIENCE_S = 20.0


class Night:
    """Simulated guests that are balanced through time that passes at once."""

    def __init__(self, path: Path, names: tuple[str, ...] = ("db", "web")) -> None:
        self.now_s = 100.0
        self.ticks: list[Tick] = []
        self.hypervisor = SimulatedHypervisor(lambda: self.now_s)
        for name in names:
            self.hypervisor.add(
                SimulatedSpec(name=name, boot_bytes=BOOT_BYTES, maximum_bytes=2 * GIB)
            )
        self.chance = random.Random(1)
        wish = MemorySettings(
            startup_bytes=BOOT_BYTES, minimum_bytes=256 * MIB, maximum_bytes=2 * GIB
        )
        self.history = History(path, clock=lambda: self.now_s, wall=self.wall)
        self.balancer = Balancer(
            self.hypervisor,
            FixedSettings(dict.fromkeys(names, wish)),
            FixedCapacity(2 * GIB),
            on_tick=self.on_tick,
            on_outcome=self.history.outcome,
            clock=lambda: self.now_s,
        )

    def wall(self) -> float:
        return NOON_S - 100.0 + self.now_s

    def on_tick(self, tick: Tick) -> None:
        self.ticks.append(tick)
        self.history.record(tick)

    async def pass_by(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now_s += 1
            for guest in self.hypervisor.guests.values():
                guest.use(self.chance.randint(100, 900) * MIB)
            await self.balancer.look()
            assert await self.history.settled(timeout_s=PATIENCE_S)


@asynccontextmanager
async def running(history: History) -> AsyncIterator[None]:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(history.run(stop))
        try:
            yield
        finally:
            stop.set()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.sqlite3"


async def test_a_balancer_leaves_samples_moves_and_decisions_that_can_be_made_again(
    path: Path,
) -> None:
    night = Night(path)
    history = night.history

    async with running(history):
        await night.pass_by(75)
        series = await history.samples("web", since_s=NOON_S, until_s=NOON_S + 76, points=80)
        host = await history.host(since_s=NOON_S, until_s=NOON_S + 76, points=80)
        moves = await history.decisions(None, since_s=NOON_S, until_s=NOON_S + 76)
        known = await history.guests()
        metered = await history.metering(since_s=NOON_S, until_s=NOON_S + 76)
        replays = [
            await history.decision_at("web", NOON_S + second) for second in (1, 30, 60, 61, 75)
        ]

    assert [sample.at_s for sample in series.samples] == [
        NOON_S + second for second in range(1, 76)
    ]
    assert len(host.samples) == 75
    assert any(move.kind is MoveKind.GROW for move in moves)
    assert [guest.name for guest in known] == ["db", "web"]
    assert [guest.seconds for guest in metered] == [75, 75]
    assert [replay.decision for replay in replays] == [
        night.ticks[second - 1].decision for second in (1, 30, 60, 61, 75)
    ]
    assert history.fault is None
    assert history.dropped == 0


async def test_a_change_that_somebody_made_can_be_read_after_a_restart(path: Path) -> None:
    entry = AuditEntry(at_s=NOON_S, who="ann", origin="unix socket", what="pause")
    first = History(path)
    async with running(first):
        first.audit(entry)

    second = History(path)
    async with running(second):
        found = await second.audits(since_s=0, until_s=NOON_S + 1)

    assert found == (entry,)


async def test_a_fault_is_shown_while_balancing_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite3"
    path.mkdir()
    night = Night(path)
    history = night.history

    async with running(history):
        for _ in range(5):
            night.now_s += 1
            await night.balancer.look()
        shown = await asyncio.to_thread(
            history._writer.wait_until, lambda: history.fault is not None, timeout_s=PATIENCE_S
        )

    assert shown
    assert history.fault is not None
    assert history.fault.kind is FaultKind.UNUSABLE
    assert history.failures == {FaultKind.UNUSABLE: 1}
    assert len(night.ticks) == 5


async def test_damage_that_a_reader_finds_is_mended_by_the_writer(path: Path) -> None:
    night = Night(path)
    history = night.history
    async with running(history):
        await night.pass_by(30)
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)
    night.history = again = History(path, clock=lambda: night.now_s, wall=night.wall)

    async with running(again):
        with pytest.raises(HistoryError, match="cannot be read"):
            await again.guests()
        night.now_s += 1
        await night.balancer.look()
        assert await asyncio.to_thread(
            again._writer.wait_until,
            lambda: bool(again.failures) and again.fault is None,
            timeout_s=PATIENCE_S,
        )

    assert again.failures == {FaultKind.DAMAGED: 1}
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA quick_check").fetchone() == ("ok",)


async def test_too_many_questions_at_once_are_given_up(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("barostat.history.history.WAIT_S", 0.0)
    history = History(path)

    async with running(history):
        with pytest.raises(HistoryError, match="no answer within"):
            await history.guests()
