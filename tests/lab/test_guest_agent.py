"""Barostat's agent in a real guest, at a real port of its kernel's: what no test folder has."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from barostat.core.pressure import Status
from barostat.guest import protocol
from barostat.guest.base import HostWord
from barostat.guest.protocol import Hello, Message, Report
from barostat.lab.fleet import Kit, Lab
from barostat.lab.guests import GuestSpec
from barostat.lab.machine import LabGuest
from barostat.units import MIB

pytestmark = [pytest.mark.lab, pytest.mark.asyncio(loop_scope="module")]

ANSWER_S = 30
SPEC = GuestSpec(
    name="web",
    boot_bytes=256 * MIB,
    maximum_bytes=512 * MIB,
    swap_bytes=256 * MIB,
    userland=True,
)
TAKE = "import sys, time; kept = b'x' * (int(sys.argv[1]) << 20); time.sleep(float(sys.argv[2]))"
FIND = """pid=$(sed 's/.*"pid": \\([0-9]*\\).*/\\1/' /run/barostat-agent/status.json); """


class Line:
    """The host's end of the port."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    def say(self, line: bytes) -> None:
        self._writer.write(line)

    async def until(self, fits: Callable[[Message], bool]) -> Message:
        async with asyncio.timeout(ANSWER_S):
            while True:
                message = protocol.parse((await self._reader.readline()).rstrip(b"\n"))
                if message is not None and fits(message):
                    return message


@asynccontextmanager
async def connected(guest: LabGuest, session: str) -> AsyncIterator[Line]:
    """Connect, and welcome the agent."""
    reader, writer = await asyncio.open_unix_connection(str(guest.files.agent))
    line = Line(reader, writer)
    line.say(protocol.welcome(session))
    await line.until(lambda said: isinstance(said, Hello) and said.session == session)
    try:
        yield line
    finally:
        writer.close()
        await writer.wait_closed()


def reported(why: str) -> Callable[[Message], bool]:
    return lambda said: isinstance(said, Report) and said.why == why


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guest(userland_kit: Kit) -> AsyncIterator[LabGuest]:
    async with Lab([SPEC], kit=userland_kit) as lab:
        yield lab.guests[SPEC.name]


async def test_a_real_guest_says_what_its_kernel_says(guest: LabGuest) -> None:
    async with connected(guest, "1" * 16) as line:
        report = await line.until(reported("calm"))

    assert isinstance(report, Report)
    seen = await guest.ping()
    assert report.total_bytes == seen.total_bytes
    assert abs(report.available_bytes - seen.available_bytes) < 16 * MIB
    assert report.swap_total_bytes == seen.swap_total_bytes
    assert report.stalled_us is not None
    assert report.oom_kills == 0


@pytest.mark.trust("unharmed", "the host leaves an agent's port and comes back")
async def test_a_host_that_comes_back_is_heard_again_and_meanwhile_nothing_spins(
    guest: LabGuest,
) -> None:
    ticks = FIND + "cut -d' ' -f14,15 /proc/$pid/stat"
    async with connected(guest, "1" * 16) as line:
        await line.until(reported("calm"))
    before = await guest.run(["sh", "-c", ticks], timeout_s=ANSWER_S)
    await asyncio.sleep(5)
    after = await guest.run(["sh", "-c", ticks], timeout_s=ANSWER_S)
    async with connected(guest, "2" * 16) as line:
        report = await line.until(reported("calm"))

    spent = sum(map(int, after.output.split())) - sum(map(int, before.output.split()))
    assert spent <= 25, "hundredths of a second, in 5 seconds"
    assert isinstance(report, Report)
    assert report.seq == 1


async def test_memory_that_falls_is_told_while_it_falls(guest: LabGuest) -> None:
    async with connected(guest, "3" * 16) as line:
        calm = await line.until(reported("calm"))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(guest.run(["python3", "-c", TAKE, "60", "2"], timeout_s=ANSWER_S))
            falling = [await line.until(reported("falling")) for _ in range(3)]

    assert isinstance(calm, Report)
    sizes = [said.available_bytes for said in falling if isinstance(said, Report)]
    assert calm.available_bytes > sizes[0] > sizes[1] > sizes[2]


async def test_programs_that_wait_for_memory_are_told_of_by_the_kernel_itself(
    guest: LabGuest,
) -> None:
    async with connected(guest, "4" * 16) as line:
        calm = await line.until(reported("calm"))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(guest.run(["python3", "-c", TAKE, "260", "1"], timeout_s=60))
            stalled = await line.until(reported("stalled"))

    assert isinstance(calm, Report)
    assert isinstance(stalled, Report)
    assert (stalled.stalled_us or 0) > (calm.stalled_us or 0)


async def test_it_is_small_locked_and_out_of_the_oom_killers_reach(guest: LabGuest) -> None:
    look = FIND + "cat /proc/$pid/oom_score_adj; grep ^Vm /proc/$pid/status"

    async with connected(guest, "6" * 16) as line:
        await line.until(reported("calm"))
        ran = await guest.run(["sh", "-c", look], timeout_s=ANSWER_S)

    score, *sizes = ran.output.splitlines()
    assert score == "-1000"
    kib = {name: int(size) for name, size in re.findall(r"(Vm\w+):\s+(\d+) kB", "\n".join(sizes))}
    assert kib["VmHWM"] < 16 * 1024
    assert kib["VmLck"] > 0
    assert kib["VmSwap"] == 0


async def test_programs_in_it_learn_what_they_may_have(guest: LabGuest) -> None:
    word = HostWord(
        startup_bytes=256 * MIB,
        minimum_bytes=128 * MIB,
        maximum_bytes=512 * MIB,
        assigned_bytes=256 * MIB,
        status=Status.OK,
    )
    command = ["python3", "-IS", "/usr/local/sbin/barostat-agent", "status"]
    async with connected(guest, "5" * 16) as line:
        line.say(protocol.word(word))
        line.say(protocol.ASK)
        await line.until(lambda said: isinstance(said, Report) and said.seq > 1)
        heard = await guest.run(command, timeout_s=ANSWER_S)
    wait = "until ! barostat-agent status > /run/said; do sleep 0.1; done; cat /run/said"
    alone = await guest.run(["sh", "-c", wait], timeout_s=ANSWER_S)

    assert heard.code == 0
    assert "maximum   512 MiB" in heard.output.splitlines()
    assert "heard     no" in alone.output.splitlines()
