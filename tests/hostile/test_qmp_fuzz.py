"""Whatever a QEMU says, in whatever shape: a clear error, and its neighbour is seen in time."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import random
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from tests.hostile.bounds import Note, bounded, cases, nothing_left
from tests.hostile.mutations import garbled, mutated
from tests.hostile.played_qmp import Message, PlayedQmp, Spoil, as_it_is

from barostat.core.observation import GuestObservation, RunState
from barostat.errors import HypervisorError, UnknownGuestError
from barostat.hypervisors import qmp_guest, qmp_link, qmp_socket
from barostat.hypervisors.base import BalloonWish, PlugWish
from barostat.hypervisors.qmp import QmpHypervisor
from barostat.units import MIB

DEADLINE_S = 0.4
LOOK_S = 4.0
"""A look at all: its deadline, a first attempt's, and a machine that does other things as well."""

LARGEST_BYTES = 2**60


@pytest.fixture(autouse=True)
def short_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (qmp_link, qmp_guest):
        monkeypatch.setattr(module, "COMMAND_DEADLINE_S", DEADLINE_S)
    monkeypatch.setattr(qmp_link, "CONNECT_DEADLINE_S", 0.8)
    monkeypatch.setattr(qmp_socket, "FIRST_ATTEMPT_S", 1.0)
    monkeypatch.setattr(qmp_socket, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(qmp_socket, "LONGEST_PAUSE_S", 0.001)


@pytest.fixture(autouse=True)
def nothing_complained_of(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    gc.collect()
    assert [r.message for r in caplog.records if r.name == "asyncio"] == []


def spoiling(chance: random.Random) -> Spoil:
    """Answer some commands wrong, in one of many ways."""
    way, rate = chance.randrange(8), chance.choice((0.05, 0.3, 1.0))

    def spoil(command: Message, answer: Message) -> bytes:
        right = as_it_is(command, answer)
        spoiled = "id" in command and chance.random() < rate
        return wrong(way, answer, right, chance) if spoiled else right

    return spoil


def wrong(way: int, answer: Message, right: bytes, chance: random.Random) -> bytes:
    """Make a wrong answer of a right one."""
    match way:
        case 0 | 1 | 2:
            made = {**answer, "return": mutated(answer["return"], chance, times=2)}
            return json.dumps(made).encode() + b"\n"
        case 3:
            return garbled(right, chance)
        case 4:
            return json.dumps(mutated(answer, chance)).encode() + b"\n"
        case 5:
            return json.dumps({**answer, "id": "somebody else's"}).encode() + b"\n" + right
        case 6:
            event: Message = {
                "event": chance.choice(("RESET", "STOP", "MIGRATION", "X")),
                "data": {},
            }
            flood = json.dumps({**event, "timestamp": {"seconds": 1, "microseconds": 2}})
            return flood.encode() * 500 + right
        case _:
            return right[: chance.randrange(len(right))]


def assert_possible(guest: GuestObservation) -> None:
    devices = guest.devices
    assert 0 < devices.boot_bytes <= 256 * LARGEST_BYTES
    assert 0 <= devices.balloon_actual_bytes <= devices.boot_bytes
    for plug in devices.plugs:
        assert plug.block_bytes > 0
        assert min(plug.size_bytes, plug.requested_bytes, plug.maximum_bytes) >= 0


async def ask_all(hypervisor: QmpHypervisor) -> None:
    """Ask the hostile one everything that can be asked of it."""
    questions: tuple[Callable[[], Awaitable[object]], ...] = (
        lambda: hypervisor.devices("hostile"),
        lambda: hypervisor.look("hostile", now_s=0.0),
        lambda: hypervisor.request("hostile", BalloonWish(target_bytes=512 * MIB)),
        lambda: hypervisor.request("hostile", PlugWish(device="vmem0", requested_bytes=64 * MIB)),
        lambda: hypervisor.changed("hostile", timeout_s=0.001),
    )
    for ask in questions:
        with contextlib.suppress(HypervisorError, UnknownGuestError):
            await ask()


async def one_case(folder: Path, hostile: PlayedQmp, chance: random.Random) -> None:
    """A hostile QEMU beside an honest one, looked at a few times and asked everything."""
    loop = asyncio.get_running_loop()
    hostile.spoil = spoiling(chance) if chance.random() < 0.8 else as_it_is
    hypervisor = QmpHypervisor(directory=folder)
    try:
        for _ in range(3):
            began_s = loop.time()
            seen = {guest.name: guest for guest in await hypervisor.observe(now_s=0.0)}
            assert loop.time() - began_s < LOOK_S
            assert "honest" in seen
            if "hostile" in seen:
                assert_possible(seen["hostile"])
            hostile.spoil = spoiling(chance)
        await ask_all(hypervisor)
    finally:
        await hypervisor.close()


@pytest.mark.trust("input", "a QEMU says anything at all at its socket")
@pytest.mark.trust("neighbours", "a QEMU says anything at all at its socket")
async def test_whatever_a_qemu_says_its_neighbour_is_seen_and_nothing_is_kept(
    tmp_path: Path, record_property: Note
) -> None:
    honest, hostile = PlayedQmp(), PlayedQmp()
    async with honest.at(tmp_path / "honest.qmp"), hostile.at(tmp_path / "hostile.qmp"):
        await one_case(tmp_path, hostile, random.Random(0))
        async with nothing_left():
            with bounded(within_s=10_000, peak_bytes=32 * MIB, kept_bytes=4 * MIB):
                for chance in cases(record_property, least=8, seconds=10):
                    await one_case(tmp_path, hostile, chance)


@pytest.mark.trust("input", "a QEMU says sizes that cannot be")
@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("query-memory-size-summary", {"base-memory": -5}),
        ("query-memory-size-summary", {"base-memory": 0}),
        ("query-memory-size-summary", {"base-memory": 2**63 - 1}),
        ("query-memory-devices", [{"type": "dimm", "data": {"size": -(2**40)}}]),
        ("query-memory-devices", [{"type": "virtio-mem", "data": {"block-size": 0}}]),
        ("query-memory-devices", [{"type": "virtio-mem", "data": {"id": "v"}}] * 257),
        ("qom-get", {"stats": {"stat-total-memory": 1}, "last-update": 10**400}),
    ],
)
async def test_a_qemu_whose_sizes_cannot_be_is_no_guest(
    tmp_path: Path, command: str, said: object
) -> None:
    """A negative size would be memory to hand out that nobody has."""
    qemu = PlayedQmp()
    is_property = command == "qom-get"
    qemu.spoil = lambda asked, answer: as_it_is(
        asked,
        answer | {"return": said}
        if asked["execute"] == command
        and (not is_property or asked["arguments"]["property"] == "guest-stats")
        else answer,
    )
    hypervisor = QmpHypervisor(directory=tmp_path)
    async with qemu.at(tmp_path / "web.qmp"):
        seen = await hypervisor.observe(now_s=0.0)
        fault = hypervisor.faults["web"]
        await hypervisor.close()

    assert [guest.run_state for guest in seen if guest.run_state is not RunState.UNREACHABLE] == []
    assert "as no QEMU does" in fault.message
