"""A soak of a minute; and what watches it sees a daemon that gives more than there is."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.soak.ground import open_ground
from tests.soak.looks import follow, watch

from barostat.lab.fleet import ensure_kit
from barostat.units import MIB

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

ROOT = Path(__file__).parent.parent.parent
SEEN_S = 60.0
WHATEVER = "work and faults at random, several at a time"


@pytest.mark.trust("capacity", WHATEVER)
@pytest.mark.trust("minimum", WHATEVER)
@pytest.mark.trust("unharmed", WHATEVER)
@pytest.mark.trust("restart", WHATEVER)
def test_a_soak_of_a_minute_finds_nothing(tmp_path: Path) -> None:
    results = tmp_path / "soak.json"

    done = subprocess.run(
        [sys.executable, "-m", "tests.soak", "--for", "60s", "--seed", "7", "--json", results],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(results.read_text())
    assert found["passes"] > 30
    assert found["moves"] > 0
    assert found["faults"]
    assert found["failures"] == []


async def test_a_daemon_that_gives_more_than_there_is_is_seen() -> None:
    kit = await asyncio.to_thread(ensure_kit, progress=print)
    async with open_ground(kit, guests=3, seed=0) as ground:
        ground.daemon.capacity_bytes -= 60 * MIB  # so much less than it was told
        ground.begin()
        async with asyncio.TaskGroup() as tasks:
            watchers = [tasks.create_task(work) for work in (follow(ground), watch(ground))]
            for inmate in ground.inmates.values():
                await inmate.guest.hold(300 * MIB)
            async with asyncio.timeout(SEEN_S):
                while not ground.record.breaches:  # noqa: ASYNC110 - QEMUs tell when asked
                    await asyncio.sleep(0.5)
            for watcher in watchers:
                watcher.cancel()

    assert "MiB unexcused" in ground.record.breaches[0]
    assert not ground.record.lost
