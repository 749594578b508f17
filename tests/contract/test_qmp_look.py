"""One look at one guest behind QMP, between two looks at all: what it asks, keeps and raises."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from tests.contract.test_qemu_answers import playing

from barostat.core.observation import RunState
from barostat.errors import DeadlineError, GuestGoneError, UnknownGuestError, UnreachableError
from barostat.units import MIB


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "web.sock"


async def test_a_look_at_one_guest_is_fresh_and_costs_five_questions(path: Path) -> None:
    async with playing(path) as stage:
        tick = await stage.look()
        stage.qemu.asked.clear()
        now_s = time.monotonic()
        stage.qemu.words["stat-available-memory"] = 100 * MIB
        seen = await stage.hypervisor.look("web", now_s=now_s)
        asked = [
            f"{command} {arguments.get('value', '')}".strip()
            for command, arguments in stage.qemu.asked
        ]

    assert seen.statistics is not None
    assert seen.statistics.available_bytes == 100 * MIB
    assert seen.statistics_at_s > now_s > tick.statistics_at_s
    assert seen.seen_at_s >= seen.statistics_at_s
    assert seen.run_state is RunState.RUNNING
    assert asked == ["qom-set 0", "qom-set 2", "qom-get", "query-balloon", "query-memory-devices"]


async def test_a_look_at_one_guest_and_a_look_at_all_take_turns(path: Path) -> None:
    async with playing(path) as stage:
        await stage.look()
        stage.qemu.asked.clear()
        seen, tick = await asyncio.gather(
            stage.hypervisor.look("web", now_s=time.monotonic()), stage.look()
        )
        asked = [arguments["value"] for _, arguments in stage.qemu.asked if "value" in arguments]

    assert asked == [0, 2, 0, 2]
    assert seen.statistics is not None
    assert tick.statistics is not None
    assert seen.statistics_at_s != tick.statistics_at_s


async def test_what_a_look_at_one_guest_saw_is_what_it_is_last_seen_with(path: Path) -> None:
    async with playing(path) as stage:
        await stage.look()
        stage.qemu.actual = 300 * MIB
        seen = await stage.hypervisor.look("web", now_s=time.monotonic())
        stage.qemu.ignores = {"qom-set", "query-balloon"}
        silent = await stage.look()

    assert silent.run_state is RunState.UNREACHABLE
    assert silent.devices == seen.devices
    assert silent.devices.balloon_actual_bytes == 300 * MIB


async def test_a_look_at_one_guest_that_does_not_answer_ends_in_time(path: Path) -> None:
    async with playing(path) as stage:
        await stage.look()
        stage.qemu.ignores = {"query-balloon"}
        began_s = time.monotonic()
        with pytest.raises(DeadlineError):
            await stage.hypervisor.look("web", now_s=began_s)
        with pytest.raises(UnreachableError):
            await stage.hypervisor.look("web", now_s=began_s)
        took_s = time.monotonic() - began_s

    assert took_s < 1.5


async def test_a_look_at_one_guest_that_is_paused_asks_it_nothing(path: Path) -> None:
    async with playing(path) as stage:
        before = await stage.look()
        stage.qemu.status = "paused"
        stage.qemu.event("STOP")
        await stage.heard(lambda seen: seen.run_state is RunState.PAUSED)
        stage.qemu.asked.clear()
        paused = await stage.hypervisor.look("web", now_s=time.monotonic())
        asked = {command for command, _ in stage.qemu.asked}

    assert paused.run_state is RunState.PAUSED
    assert paused.statistics == before.statistics
    assert "qom-set" not in asked


async def test_nobody_is_looked_at_who_is_not_known_or_has_ended(path: Path) -> None:
    async with playing(path) as stage:
        with pytest.raises(UnknownGuestError):
            await stage.hypervisor.look("web", now_s=time.monotonic())
        await stage.look()
        assert stage.qemu.writer is not None
        stage.qemu.writer.close()
        with pytest.raises(GuestGoneError):
            await stage.hypervisor.look("web", now_s=time.monotonic())
