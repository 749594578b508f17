"""VMs that are about to start, asked for while the loop runs over simulated guests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from barostat.core.observation import GuestObservation, Reservation, RunState
from barostat.engine import starting
from barostat.engine.loop import Balancer
from barostat.engine.starting import Answer, Outcome
from barostat.errors import ConflictError, ServiceError
from barostat.hypervisors.simulated import SimulatedHypervisor
from barostat.units import MIB

from .conftest import BOOT_BYTES, Host

pytestmark = pytest.mark.looptime


@asynccontextmanager
async def balancing(balancer: Balancer, *, after_s: float = 11.0) -> AsyncIterator[None]:
    """Balance until the body ends, which begins when those that booted have settled."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(balancer.run(stop))
        await asyncio.sleep(after_s)
        yield
        stop.set()


async def ask(
    balancer: Balancer, mib: int, *, name: str = "new", weight: int = 5000, timeout_s: float = 30
) -> Answer:
    asked = Reservation(guest=name, size_bytes=mib * MIB, weight=weight)
    return await balancer.starting.admit(asked, timeout_s=timeout_s)


def set_aside(host: Host) -> dict[str, int]:
    held = host.ticks[-1].decision.state.set_aside_bytes
    return {name: size // MIB for name, size in held.items()}


@pytest.mark.trust("start")
async def test_a_vm_that_starts_waits_until_its_memory_is_set_aside(host: Host) -> None:
    host.add("old")
    balancer = host.balancer(BOOT_BYTES + 128 * MIB)
    async with balancing(balancer):
        answer = await ask(balancer, 400)
        held = host.ticks[-1].decision.promised_bytes
        host.add("new")
        await asyncio.sleep(3)

    assert answer == Answer(
        guest="new",
        size_bytes=400 * MIB,
        outcome=Outcome.ADMITTED,
        available_bytes=400 * MIB,
        kept_s=120,
    )
    assert host.size_of("old") + 400 * MIB <= BOOT_BYTES + 128 * MIB
    assert held >= host.size_of("old") + 400 * MIB
    assert set_aside(host) == {}, "it is there"


@pytest.mark.trust("start", "a VM starts for which there is no memory")
async def test_a_vm_for_which_there_is_no_memory_is_refused_and_nothing_stays_set_aside(
    host: Host,
) -> None:
    host.add("old").use(450 * MIB)
    balancer = host.balancer(BOOT_BYTES + 164 * MIB)
    loop = asyncio.get_running_loop()
    async with balancing(balancer):
        asked_s = loop.time()
        answer = await ask(balancer, 600)
        took_s = loop.time() - asked_s
        await asyncio.sleep(2)

    assert answer.outcome is Outcome.NO_ROOM
    assert 100 * MIB < answer.available_bytes < 300 * MIB
    assert starting.NO_ROOM_S <= took_s < starting.NO_ROOM_S + 2
    assert host.ticks[-1].snapshot.reservations == ()
    assert set_aside(host) == {}


async def test_a_vm_larger_than_the_host_is_refused_at_once(host: Host) -> None:
    host.add("old")
    balancer = host.balancer(BOOT_BYTES + 128 * MIB)
    async with balancing(balancer):
        answer = await asyncio.wait_for(ask(balancer, 9000), 2)

    assert answer.outcome is Outcome.NO_ROOM


async def test_what_does_not_come_in_time_is_told_with_what_there_is(host: Host) -> None:
    host.add("old")
    balancer = host.balancer(BOOT_BYTES + 128 * MIB)
    async with balancing(balancer):
        answer = await ask(balancer, 400, timeout_s=1.5)
        await asyncio.sleep(2)

    assert answer.outcome is Outcome.LATE
    assert 128 * MIB <= answer.available_bytes < 400 * MIB
    assert set_aside(host) == {}


@pytest.mark.trust("capacity", "a VM that is starting asks again, for more")
async def test_a_vm_that_is_refused_more_keeps_what_it_was_admitted_with(host: Host) -> None:
    host.add("old").use(300 * MIB)
    balancer = host.balancer(BOOT_BYTES + 128 * MIB)
    async with balancing(balancer):
        small = await ask(balancer, 64, timeout_s=5)
        large = await ask(balancer, 600, timeout_s=5)
        await asyncio.sleep(1.5)

    assert (small.outcome, large.outcome) == (Outcome.ADMITTED, Outcome.LATE)
    assert set_aside(host) == {"new": 64}


async def test_what_is_not_made_use_of_is_given_up_after_its_time(host: Host) -> None:
    host.add("old")
    balancer = host.balancer(BOOT_BYTES + 128 * MIB)
    balancer.starting.reserve_s = 20.0
    async with balancing(balancer):
        answer = await ask(balancer, 100)
        await asyncio.sleep(18)
        before = set_aside(host)
        await asyncio.sleep(4)

    assert answer.kept_s == 20
    assert (before, set_aside(host)) == ({"new": 100}, {})


async def test_what_is_released_is_given_up_at_once(host: Host) -> None:
    host.add("old")
    balancer = host.balancer(BOOT_BYTES + 128 * MIB)
    async with balancing(balancer):
        await ask(balancer, 100)
        released = balancer.starting.release("new"), balancer.starting.release("new")
        await asyncio.sleep(1.5)

    assert released == (100 * MIB, None)
    assert set_aside(host) == {}


async def test_who_asks_again_is_answered_and_who_asked_before_is_told_so(host: Host) -> None:
    host.add("old")
    balancer = host.balancer(BOOT_BYTES + 128 * MIB)
    async with balancing(balancer), asyncio.TaskGroup() as tasks:
        first = tasks.create_task(_refused(balancer))
        await asyncio.sleep(0.1)
        second = await ask(balancer, 100)

    assert second.outcome is Outcome.ADMITTED
    assert "asked again" in first.result()


async def _refused(balancer: Balancer) -> str:
    with pytest.raises(ConflictError) as caught:
        await ask(balancer, 400)
    return caught.value.message


async def test_a_wait_ends_when_the_vm_is_released(host: Host) -> None:
    host.add("old")
    balancer = host.balancer(BOOT_BYTES + 128 * MIB)
    async with balancing(balancer), asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(_refused(balancer))
        await asyncio.sleep(0.1)

        assert balancer.starting.release("new") == 0
        await asyncio.wait_for(waiting, 1)


async def test_a_vm_that_runs_needs_nothing(host: Host) -> None:
    host.add("old")
    balancer = host.balancer(BOOT_BYTES + 128 * MIB)
    async with balancing(balancer):
        answer = await ask(balancer, 100, name="old")

    assert answer.outcome is Outcome.RUNS
    assert set_aside(host) == {}


@pytest.mark.trust("doubt", "a VM is to start while the guests cannot be looked at")
async def test_while_nobody_can_look_nobody_is_answered(host: Host) -> None:
    balancer = host.balancer(1024 * MIB)

    with pytest.raises(ServiceError, match="could not be looked at"):
        await ask(balancer, 100, timeout_s=3)

    assert balancer.starting.reservations() == ()


@pytest.mark.trust("input", "more VMs are about to start than a host can have")
async def test_a_crowd_of_vms_is_refused(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "LARGEST_CROWD", 2)
    balancer = host.balancer(1024 * MIB)
    async with balancing(balancer, after_s=1):
        await ask(balancer, 10, name="a")
        await ask(balancer, 10, name="b")
        with pytest.raises(ServiceError, match="2 VMs are about to start"):
            await ask(balancer, 10, name="c")


class Blind(SimulatedHypervisor):
    """Does not hear of `gone` any more, as of a domain that libvirt holds."""

    gone = ""

    async def observe(self, *, now_s: float) -> Sequence[GuestObservation]:
        found = await super().observe(now_s=now_s)
        return [
            replace(guest, run_state=RunState.UNREACHABLE) if guest.name == self.gone else guest
            for guest in found
        ]


@pytest.mark.trust("start", "a VM is started anew before anybody saw it end")
async def test_a_vm_that_starts_anew_before_it_was_seen_to_end_may_start() -> None:
    hypervisor = Blind(asyncio.get_running_loop().time)
    host = Host(hypervisor)
    host.add("old")
    balancer = host.balancer(BOOT_BYTES + 128 * MIB)
    async with balancing(balancer):
        hypervisor.gone = "old"
        answer = await ask(balancer, 600, name="old")

    assert answer.outcome is Outcome.ADMITTED
    assert host.ticks[-1].decision.promised_bytes == 600 * MIB


class Slow(SimulatedHypervisor):
    """Takes half a second to look at all."""

    async def observe(self, *, now_s: float) -> Sequence[GuestObservation]:
        found = await super().observe(now_s=now_s)
        await asyncio.sleep(0.5)
        return found


@pytest.mark.trust("capacity", "a VM is admitted while all are being looked at")
async def test_who_asks_during_a_look_at_all_is_answered_by_it() -> None:
    host = Host(Slow(asyncio.get_running_loop().time))
    host.add("old")
    balancer = host.balancer(BOOT_BYTES + 128 * MIB)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(balancer.look())
        await asyncio.sleep(0.2)
        answer = await ask(balancer, 100, timeout_s=0.5)

    assert answer.outcome is Outcome.ADMITTED
    assert set_aside(host) == {"new": 100}
