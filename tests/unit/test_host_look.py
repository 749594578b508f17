"""The box, looked at: a folder of captured files is a host as good as any."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.host_folder import HostFolder, mib, seen

from barostat.core.reasons import ReasonCode
from barostat.errors import HostError
from barostat.host.brake import Stage
from barostat.host.host import Host, HostReport
from barostat.host.policy import HostPolicy
from barostat.units import GIB


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> HostFolder:
    found = HostFolder(tmp_path)
    found.write()
    return found


@pytest.fixture
def host(folder: HostFolder, clock: Clock) -> Host:
    return Host(root=folder.root, clock=clock)


def report(host: Host) -> HostReport:
    assert host.report is not None
    return host.report


async def test_what_is_left_of_the_host_may_be_handed_out(host: Host, folder: HostFolder) -> None:
    folder.qemu(1234, rss=900)
    folder.qemu(1300, "-name", "other", "-m", "2048", rss=500)

    found = await host.observe([seen("web")])

    outside = 16384 - 12000 - 900 - 500
    reserve = outside + 16384 * 0.04
    assert mib(report(host).outside_bytes) == outside
    assert mib(report(host).accounts.reserve_bytes) == int(reserve)
    assert mib(found.capacity_bytes) == pytest.approx(16384 - reserve - 72 - 2048, abs=1)
    assert report(host).foreign == ("other",)
    assert report(host).vms == 2
    assert found.granting
    assert found.alarms == ()


async def test_a_host_that_is_short_grants_nothing_and_then_wants_memory_back(
    host: Host, folder: HostFolder, clock: Clock
) -> None:
    folder.available = 300
    folder.write()

    first = await host.observe([])
    clock.now_s += 11
    second = await host.observe([])

    assert not first.granting
    assert [alarm.code for alarm in first.alarms] == [ReasonCode.HOST_LOW]
    assert mib(second.wanted_back_bytes) == 16384 * 3 // 100 - 300
    assert report(host).stage is Stage.TAKING


async def test_a_guest_that_the_host_has_nothing_back_from_is_named(
    host: Host, folder: HostFolder
) -> None:
    folder.qemu(1234, "-name", "web", "-device", "vfio-pci,host=0000:03:00.0")

    found = await host.observe([seen("web")])

    assert found.unfit["web"].code is ReasonCode.PASSTHROUGH


async def test_what_qemu_holds_beyond_its_guest_is_measured_and_forgotten_with_it(
    host: Host, folder: HostFolder, clock: Clock
) -> None:
    folder.qemu(1234, rss=1500)
    for _ in range(2):
        await host.observe([seen("web")])
        clock.now_s += 1
    measured = report(host).accounts.overhead_bytes

    await host.observe([])
    await host.observe([seen("web")])

    assert mib(measured) == 1500 - 1024
    assert mib(report(host).accounts.overhead_bytes) == 72


async def test_a_host_that_cannot_be_looked_at_any_more_is_as_it_was_and_grants_nothing(
    host: Host, folder: HostFolder, clock: Clock
) -> None:
    folder.qemu(1234, "-name", "web", "-overcommit", "mem-lock=on")
    before = await host.observe([seen("web")])
    (folder.root / "proc/meminfo").unlink()
    clock.now_s += 7

    blind = await host.observe([seen("web")])

    assert blind.capacity_bytes == before.capacity_bytes
    assert blind.unfit == before.unfit
    assert not blind.granting
    assert blind.wanted_back_bytes == 0
    [alarm] = blind.alarms
    assert alarm.code is ReasonCode.HOST_UNSEEN
    assert alarm.numbers["age_s"] == 7
    assert report(host).alarms == (alarm,)


async def test_a_host_that_can_be_looked_at_again_grants_again(
    host: Host, folder: HostFolder
) -> None:
    await host.observe([])
    (folder.root / "proc/meminfo").unlink()
    await host.observe([])
    folder.write()

    assert (await host.observe([])).granting


async def test_a_host_that_could_never_be_looked_at_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="/proc/meminfo"):
        await Host(root=tmp_path).observe([])


@pytest.fixture
def hanging_proc(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """The kernel does not answer until the event is set."""
    answers, read = threading.Event(), os.listdir

    def listdir(path: str) -> list[str]:
        answers.wait(timeout=10)
        return read(path)

    monkeypatch.setattr(os, "listdir", listdir)
    yield answers
    answers.set()


async def test_a_look_that_takes_too_long_is_given_up_and_its_result_used_later(
    host: Host, hanging_proc: threading.Event
) -> None:
    hanging_proc.set()
    await host.observe([])
    hanging_proc.clear()
    host.policy = HostPolicy(deadline_s=0.01)

    late = [await host.observe([]) for _ in range(2)]
    hanging_proc.set()
    host.policy = HostPolicy(deadline_s=10.0)
    in_time = await host.observe([])

    assert [alarm.code for seen in late for alarm in seen.alarms] == [ReasonCode.HOST_UNSEEN] * 2
    assert "longer than" in str(late[0].alarms[0].numbers["fault"])
    assert in_time.granting


async def test_a_host_that_never_answered_in_time_is_an_error(
    folder: HostFolder, hanging_proc: threading.Event
) -> None:
    host = Host(HostPolicy(deadline_s=0.01), root=folder.root)

    with pytest.raises(HostError, match="longer than"):
        await host.observe([])


async def test_a_look_that_is_broken_off_harms_nobody(host: Host) -> None:
    looking = asyncio.create_task(host.observe([]))
    await asyncio.sleep(0)
    looking.cancel()

    assert (await host.observe([])).granting


async def test_a_kernel_without_psi_is_told_of_once(
    folder: HostFolder, caplog: pytest.LogCaptureFixture
) -> None:
    (folder.root / "proc/pressure/memory").unlink()
    host = Host(root=folder.root)

    with caplog.at_level(logging.WARNING):
        await host.observe([])
        await host.observe([])

    assert [record.message.split(":")[0] for record in caplog.records] == [
        "this kernel does not say whether the host's processes wait for memory (PSI)"
    ]


async def test_a_capacity_that_was_given_is_braked_all_the_same(folder: HostFolder) -> None:
    folder.available = 100
    folder.write()
    host = Host(HostPolicy(capacity_bytes=8 * GIB), root=folder.root)

    found = await host.observe([])

    assert found.capacity_bytes == 8 * GIB
    assert not found.granting


async def test_of_a_capacity_that_was_given_a_vm_that_has_not_answered_yet_has_its_part(
    folder: HostFolder,
) -> None:
    folder.qemu(1234, rss=900)
    folder.qemu(1300, "-name", "hung", "-m", "2048", rss=500)
    folder.qemu(1400, "-name", "not-ours", "-m", "1024", rss=500)
    policy = HostPolicy(capacity_bytes=8 * GIB)
    host = Host(policy, root=folder.root, silent=lambda: ["hung", "web", "nobody"])

    while_silent = await host.observe([seen("web")])
    once_seen = await host.observe([seen("web"), seen("hung")])

    assert while_silent.capacity_bytes == 6 * GIB
    assert once_seen.capacity_bytes == 8 * GIB


async def test_this_machine_can_be_looked_at() -> None:
    host = Host()

    found = await host.observe([])

    assert 0 <= found.capacity_bytes < report(host).memory.total_bytes
