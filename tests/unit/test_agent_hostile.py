"""Whatever hostile agents do, an honest one is heard without a gap, and the host hardly notices."""

from __future__ import annotations

import asyncio
import sys
import tracemalloc
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.unit.agent_attacks import ATTACKS
from tests.unit.agent_peer import Peer, honest
from tests.unit.builders import devices

from barostat.core.observation import Depth, GuestObservation, RunState
from barostat.guest import pauses
from barostat.guest.agents import Agents
from barostat.units import KIB

ROOT = Path(__file__).parent.parent.parent
IDLE_S = 1.5
ATTACKED_S = 5.0
REPORT_EVERY_S = 0.05
A_GUEST_BYTES = 64 * KIB
"""What one guest may cost: 40 KiB, and what Python keeps beside it while it is traced."""


def seen(name: str) -> GuestObservation:
    return GuestObservation(
        name=name,
        run_state=RunState.RUNNING,
        devices=devices(),
        statistics=None,
        seen_at_s=0.0,
        statistics_at_s=0.0,
        disturbed_at_s=0.0,
    )


@dataclass
class Watched:
    """An honest peer beside others, and how it went with it."""

    agents: Agents
    peer: Peer
    faults: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    deep: set[str] = field(default_factory=set)
    gaps: int = 0
    said: int = 1

    def look_at(self, names: list[str]) -> None:
        self.agents.follow([seen(name) for name in names])
        believed = {n for n in names if self.agents.deepen(seen(n)).heard_by is Depth.AGENT}
        self.gaps += "honest" not in believed
        self.deep |= believed
        for name in names:
            card = self.agents.card(name)
            self.faults[name].add("" if card is None else card.fault)

    async def watch(self, names: list[str], seconds: float) -> float:
        """Have the peer report, see that it is heard, and say the longest stall of the loop."""
        loop = asyncio.get_running_loop()
        end_s, due_s = loop.time() + seconds, loop.time()
        longest_s = 0.0
        while loop.time() < end_s:
            self.look_at(names)
            if loop.time() >= due_s:
                self.peer.report()
                self.said, due_s = self.said + 1, loop.time() + REPORT_EVERY_S
            before_s = loop.time()
            await asyncio.sleep(0.005)
            longest_s = max(longest_s, loop.time() - before_s - 0.005)
        return longest_s


@asynccontextmanager
async def attackers(folder: Path) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.unit.agent_attacks",
        str(folder),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        assert await asyncio.wait_for(process.stdout.readline(), 30) == b"ready\n"
        yield
    finally:
        process.kill()
        await process.wait()


@pytest.mark.trust("neighbours", "agents attack all at once")
@pytest.mark.trust("input", "an agent sends megabytes without a line end")
@pytest.mark.trust("input", "an agent nests JSON deeply, or writes numbers of thousands of digits")
@pytest.mark.trust("input", "an agent floods its port with lines")
@pytest.mark.trust("input", "an agent claims sizes that cannot be")
@pytest.mark.trust("input", "an agent says without end that its guest booted")
@pytest.mark.trust("input", "an agent replays the reports of another session")
@pytest.mark.trust("input", "an agent stops in the middle of a line")
@pytest.mark.trust("input", "an agent says nothing, or hangs up at once")
@pytest.mark.trust("input", "an agent sends a byte at a time")
async def test_hostile_agents_cost_an_honest_one_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each comes back at once, so that it attacks all the time and not twice a minute.
    monkeypatch.setattr(pauses, "FIRST_MISBEHAVED_S", 0.05)
    monkeypatch.setattr(pauses, "LONGEST_MISBEHAVED_S", 0.05)
    sockets = {name: tmp_path / f"{name}.agent" for name in ("honest", *ATTACKS)}
    heard: list[str] = []
    first = asyncio.Event()

    def hear(name: str) -> None:
        heard.append(name)
        first.set()

    agents = Agents(sockets=lambda: sockets, on_report=hear)
    stop = asyncio.Event()

    async with (
        attackers(tmp_path),
        honest(sockets["honest"]) as peer,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(agents.run(stop))
        watched = Watched(agents, peer)
        agents.follow([seen("honest")])
        await asyncio.wait_for(first.wait(), 5)
        tracemalloc.start()
        idle_s = await watched.watch(["honest"], IDLE_S)
        before_bytes = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        attacked_s = await watched.watch(list(sockets), ATTACKED_S)
        peak_bytes = tracemalloc.get_traced_memory()[1] - before_bytes
        tracemalloc.stop()
        await asyncio.sleep(0.1)
        stop.set()

    assert heard.count("honest") == watched.said
    assert watched.gaps == 0
    assert peer.connections == 1
    assert attacked_s < 10 * idle_s + 0.25
    assert peak_bytes < len(ATTACKS) * A_GUEST_BYTES
    assert watched.deep <= {"honest", "byte_by_byte"}  # that one says what is true
    faults = {name: " ".join(said) for name, said in watched.faults.items()}
    assert faults["honest"] == ""
    assert "contradict" in faults["absurd"]
    assert "more than 4096 bytes" in faults["ten_megabytes"]
    assert "3 bad lines" in faults["deep"]
    assert "3 bad lines" in faults["digits"]
    assert "25 lines a second" in faults["flood"]
    assert "booted twice" in faults["boots"]
    assert "has not reported" in faults["half"]
    assert (faults["silence"], faults["closing"], faults["replayed"]) == ("", "", "")
