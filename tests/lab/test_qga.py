"""A real qemu-guest-agent in real guests, behind QEMU's own socket and behind libvirt."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from barostat.core.observation import Depth, GuestObservation, RunState
from barostat.errors import DeadlineError, HypervisorError, RefusedError
from barostat.guest.base import Card
from barostat.guest.qga import Qga
from barostat.hypervisors.base import Hypervisor
from barostat.hypervisors.libvirt import LibvirtHypervisor
from barostat.hypervisors.qmp import QmpHypervisor
from barostat.lab.fleet import Kit, Lab, ensure_kit
from barostat.lab.guests import GuestSpec
from barostat.lab.machine import LabGuest
from barostat.units import KIB, MIB

pytestmark = [pytest.mark.lab, pytest.mark.asyncio(loop_scope="module")]

DB = GuestSpec(
    name="db",
    boot_bytes=256 * MIB,
    maximum_bytes=512 * MIB,
    swap_bytes=128 * MIB,
    userland=True,
)
TINY = GuestSpec(name="tiny", boot_bytes=128 * MIB, maximum_bytes=256 * MIB)
PATIENCE_S = 30.0
ANSWER_S = 10.0
EVERY_S = 0.5
PROMISED = "import time; kept = bytearray(64 << 20); time.sleep(10)"
HANDLES = "ls /proc/$(pidof qemu-ga)/fd | wc -l"


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["qmp", "libvirt"])
async def lab(request: pytest.FixtureRequest) -> AsyncIterator[Lab]:
    libvirt = request.param == "libvirt"
    say = logging.getLogger("lab").info
    kit: Kit = await asyncio.to_thread(ensure_kit, progress=say, libvirt=libvirt, userland=True)
    async with Lab([DB, TINY], kit=kit, libvirt=libvirt) as lab:
        yield lab


@pytest_asyncio.fixture(loop_scope="module")
async def hypervisor(lab: Lab) -> AsyncIterator[Hypervisor]:
    here = lab.libvirtd is not None
    hypervisor: Hypervisor = (
        LibvirtHypervisor(lab.uri) if here else QmpHypervisor(directory=lab.folder)
    )
    give_up_s = time.monotonic() + PATIENCE_S
    while {guest.run_state for guest in await look(hypervisor)} != {RunState.RUNNING}:
        assert time.monotonic() < give_up_s
        await asyncio.sleep(0.2)
    yield hypervisor
    await hypervisor.close()


@pytest.fixture
def guest(lab: Lab) -> LabGuest:
    return lab.guests[DB.name]


async def look(hypervisor: Hypervisor) -> list[GuestObservation]:
    return list(await hypervisor.observe(now_s=time.monotonic()))


class Heard:
    """Guests as they are seen, deepened by what was read in them."""

    def __init__(self, hypervisor: Hypervisor) -> None:
        self.hypervisor = hypervisor
        self.qga = Qga(hypervisor.ask_guest_agent, clock=time.monotonic, every_s=EVERY_S)

    async def look(self) -> dict[str, GuestObservation]:
        seen = await look(self.hypervisor)
        self.qga.follow(seen)
        return {guest.name: self.qga.deepen(guest) for guest in seen}

    async def until(self, fits: Callable[[GuestObservation], bool]) -> GuestObservation:
        give_up_s = time.monotonic() + 2 * PATIENCE_S
        while not fits(db := (await self.look())[DB.name]):
            assert time.monotonic() < give_up_s, f"still: {db} {self.qga.card(DB.name)}"
            await asyncio.sleep(0.1)
        return db

    def card(self) -> Card:
        card = self.qga.card(DB.name)
        assert card is not None
        return card


@pytest_asyncio.fixture(loop_scope="module")
async def heard(hypervisor: Hypervisor) -> AsyncIterator[Heard]:
    heard, stop = Heard(hypervisor), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(heard.qga.run(stop))
        yield heard
        stop.set()


def by_qga(guest: GuestObservation) -> bool:
    return guest.heard_by is Depth.QGA


async def output(guest: LabGuest, script: str) -> str:
    ran = await guest.run(["sh", "-c", script], timeout_s=ANSWER_S)
    assert ran.code == 0, ran
    return ran.output


async def committed_bytes(guest: LabGuest) -> int:
    line = await output(guest, "grep Committed_AS /proc/meminfo")
    return int(line.split()[1]) * KIB


async def test_a_guest_is_read_and_says_what_its_proc_says(heard: Heard, guest: LabGuest) -> None:
    db = await heard.until(by_qga)
    card = heard.card()
    release = await output(guest, "uname -r")
    committed = await committed_bytes(guest)

    assert db.depth is Depth.QGA
    assert db.inside is not None
    assert db.inside.committed_bytes is not None
    assert abs(db.inside.committed_bytes - committed) < 32 * MIB
    assert db.inside.refaulted_bytes is not None
    assert db.inside.scanned_bytes is not None
    assert card.kernel == release.strip()
    assert card.onlining == "online_movable"
    assert card.block_bytes == 128 * MIB
    assert card.swap_bytes == DB.swap_bytes - 4 * KIB
    assert card.version
    assert card.version.startswith("7.")
    assert card.fault == ""


async def test_what_programs_are_promised_is_seen_to_rise(heard: Heard, guest: LabGuest) -> None:
    before = (await heard.until(by_qga)).inside
    assert before is not None
    assert before.committed_bytes is not None
    least = before.committed_bytes + 60 * MIB

    await output(guest, f"python3 -c '{PROMISED}' > /dev/null 2>&1 &")
    risen = await heard.until(
        lambda db: db.inside is not None and (db.inside.committed_bytes or 0) >= least
    )

    assert risen.inside is not None
    assert risen.inside.at_s > before.at_s


@pytest.mark.trust("unharmed")
async def test_readings_leave_no_file_open_in_the_guest(heard: Heard, guest: LabGuest) -> None:
    await heard.until(by_qga)
    before = int(await output(guest, HANDLES))
    began_s = time.monotonic()
    while time.monotonic() < began_s + 5:
        await heard.look()
        await asyncio.sleep(0.2)
    after = int(await output(guest, HANDLES))

    assert after <= before + 1  # one may be open at this moment


@pytest.mark.trust("neighbours", "qemu-guest-agent is stopped (SIGSTOP)")
async def test_an_agent_that_hangs_costs_its_guest_its_depth_and_nobody_else_anything(
    heard: Heard, hypervisor: Hypervisor, guest: LabGuest
) -> None:
    await heard.until(by_qga)

    try:
        await output(guest, "kill -STOP $(pidof qemu-ga)")
        began_s = time.monotonic()
        with pytest.raises(DeadlineError) as silent:
            await hypervisor.ask_guest_agent(DB.name, "guest-ping", {}, timeout_s=1)
        took_s = time.monotonic() - began_s
        lost = await heard.until(lambda db: not by_qga(db))
        began_s = time.monotonic()
        seen = await hypervisor.look(DB.name, now_s=began_s)
        looked_s = time.monotonic() - began_s
    finally:
        await output(guest, "kill -CONT $(pidof qemu-ga)")
    back = await heard.until(by_qga)

    assert took_s < 2
    assert "qemu-guest-agent" in silent.value.message
    assert lost.run_state is seen.run_state is back.run_state is RunState.RUNNING
    assert looked_s < 0.5


async def test_a_guest_without_an_agent_refuses_at_once(hypervisor: Hypervisor) -> None:
    began_s = time.monotonic()
    with pytest.raises(RefusedError) as refused:
        await hypervisor.ask_guest_agent(TINY.name, "guest-ping", {}, timeout_s=1)

    assert "install" in refused.value.hint
    assert time.monotonic() - began_s < 0.5


async def test_what_an_agent_refuses_is_said_as_its_own_words(
    heard: Heard, hypervisor: Hypervisor
) -> None:
    await heard.until(by_qga)
    with pytest.raises(RefusedError, match="/nowhere") as refused:
        await hypervisor.ask_guest_agent(
            DB.name, "guest-file-open", {"path": "/nowhere"}, timeout_s=2
        )
    with pytest.raises(RefusedError):
        await hypervisor.ask_guest_agent(DB.name, "guest-no-such", {}, timeout_s=2)

    assert refused.value.hint


async def test_what_a_reading_costs(heard: Heard, hypervisor: Hypervisor) -> None:
    await heard.until(by_qga)

    async def ask(command: str, **arguments: object) -> object:
        return await hypervisor.ask_guest_agent(DB.name, command, arguments, timeout_s=2)

    began_s, own_s = time.monotonic(), time.process_time()
    for _ in range(20):
        handle = await ask("guest-file-open", path="/proc/vmstat", mode="r")
        await ask("guest-file-read", handle=handle, count=32768)
        await ask("guest-file-close", handle=handle)
    took_ms = 1000 * (time.monotonic() - began_s) / 60
    own_ms = 1000 * (time.process_time() - own_s) / 60
    print(f"{took_ms:.2f} ms a question, {own_ms:.2f} ms of our processor")  # noqa: T201

    assert took_ms < 1000


@pytest.mark.trust("neighbours", "a guest is paused while its agent is asked")
async def test_a_paused_guest_is_not_waited_for_longer_than_it_is_told(
    heard: Heard, hypervisor: Hypervisor, guest: LabGuest
) -> None:
    await heard.until(by_qga)
    await guest.qmp("stop")
    try:
        await heard.look()
        began_s = time.monotonic()
        with pytest.raises(HypervisorError):
            await hypervisor.ask_guest_agent(DB.name, "guest-ping", {}, timeout_s=1)
        took_s = time.monotonic() - began_s
    finally:
        await guest.qmp("cont")

    assert took_s < 2
    await heard.until(by_qga)
