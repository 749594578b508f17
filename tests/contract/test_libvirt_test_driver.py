"""Two hundred domains of libvirt's own test driver: what has no balloon, no events and no QEMU."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from barostat.config.settings_file import SettingsFile
from barostat.core.observation import RunState
from barostat.engine.loop import Balancer, Tick
from barostat.engine.observe import FixedCapacity
from barostat.errors import GuestGoneError, RefusedError, UnreachableError
from barostat.hypervisors.base import BalloonWish, PlugWish
from barostat.hypervisors.libvirt import LibvirtHypervisor
from barostat.hypervisors.libvirt_line import Line
from barostat.hypervisors.libvirt_orders import limit_memory
from barostat.units import GIB, KIB, MIB

pytest.importorskip("libvirt")

GUESTS = 200

DOMAIN = """
<domain type="test">
  <name>vm{number}</name>
  <memory unit="MiB">1024</memory>
  <currentMemory unit="MiB">{current}</currentMemory>
  <os><type>hvm</type></os>
  <devices><memballoon model="{balloon}"/></devices>
</domain>"""


@pytest.fixture
def uri(tmp_path: Path) -> str:
    domains = (
        DOMAIN.format(number=number, current=512 + number, balloon="virtio" if number else "none")
        for number in range(GUESTS)
    )
    node = tmp_path / "node.xml"
    node.write_text(f"<node>{''.join(domains)}</node>")
    return f"test://{node}"


@pytest_asyncio.fixture
async def hypervisor(uri: str) -> AsyncIterator[LibvirtHypervisor]:
    hypervisor = LibvirtHypervisor(uri)
    yield hypervisor
    await hypervisor.close()


async def test_they_are_listed_set_and_planned_without_an_error_and_a_tick_is_short(
    hypervisor: LibvirtHypervisor,
) -> None:
    ticks: list[Tick] = []
    balancer = Balancer(
        hypervisor,
        hypervisor,
        FixedCapacity(GUESTS * GIB),
        on_tick=ticks.append,
        moving=False,
    )
    settings = [
        SettingsFile.model_validate({"minimum": "256MiB", "weight": number})
        for number in range(GUESTS)
    ]

    await balancer.look()
    for number in range(GUESTS):
        await hypervisor.write(f"vm{number}", settings[number], before=None)
    began_s = time.perf_counter()
    await balancer.look()
    took_s = time.perf_counter() - began_s

    print(f"a tick over {GUESTS} domains, each asked by itself: {took_s * 1e3:.0f} ms")  # noqa: T201
    snapshot = ticks[-1].snapshot
    assert len(snapshot.guests) == GUESTS
    assert {guest.run_state for guest in snapshot.guests} == {RunState.RUNNING}
    assert {guest.statistics for guest in snapshot.guests} == {None}
    assert not hypervisor.faults
    assert not snapshot.settings_faults
    for number in range(GUESTS):
        assert snapshot.settings[f"vm{number}"].minimum_bytes == 256 * MIB
        assert snapshot.settings[f"vm{number}"].weight == number
        assert await hypervisor.read(f"vm{number}") == settings[number]


async def test_sizes_are_what_the_driver_says(hypervisor: LibvirtHypervisor) -> None:
    seen = {guest.name: guest for guest in await hypervisor.observe(now_s=0.0)}

    assert seen["vm3"].devices.assigned_bytes == 515 * MIB
    assert seen["vm3"].devices.ceiling_bytes == 1 * GIB
    assert not seen["vm0"].devices.has_balloon
    assert await hypervisor.devices("vm3") == seen["vm3"].devices


async def test_a_balloon_is_moved_and_what_cannot_be_is_refused(
    hypervisor: LibvirtHypervisor,
) -> None:
    await hypervisor.observe(now_s=0.0)

    await hypervisor.request("vm3", BalloonWish(target_bytes=600 * MIB))
    moved = await hypervisor.devices("vm3")
    for wish in (
        BalloonWish(target_bytes=2 * GIB),
        PlugWish(device="virtiomem0", requested_bytes=0),
    ):
        with pytest.raises(RefusedError):
            await hypervisor.request("vm3", wish)

    assert (moved.balloon_actual_bytes, moved.balloon_target_bytes) == (600 * MIB, 600 * MIB)
    assert await hypervisor.devices("vm3") == moved


async def test_a_uri_that_nobody_answers_shows_no_guest_and_one_fault() -> None:
    hypervisor = LibvirtHypervisor("qemu:///system?socket=/nonexistent/libvirt-sock")

    seen = await hypervisor.observe(now_s=0.0)
    with pytest.raises(UnreachableError):
        await hypervisor.versions()
    await hypervisor.close()

    assert seen == []
    assert [*hypervisor.faults] == [hypervisor.uri]
    assert hypervisor.faults[hypervisor.uri].hint


async def test_what_was_closed_is_opened_anew_with_the_same_guests(uri: str) -> None:
    for _ in range(3):
        hypervisor = LibvirtHypervisor(uri)
        assert len(await hypervisor.observe(now_s=0.0)) == GUESTS
        await hypervisor.close()


async def test_what_a_domain_may_hold_is_limited_through_libvirt_and_lifted_again(
    uri: str,
) -> None:
    line = Line.open(uri)

    def limits() -> dict[str, int]:
        found = line.domain("vm1").memoryParameters()
        return {key: found[key] for key in ("hard_limit", "soft_limit")}

    try:
        limit_memory(line, "vm1", 700 * MIB + 1, hard=False)
        limit_memory(line, "vm1", 800 * MIB, hard=True)
        standing = limits()
        limit_memory(line, "vm1", None, hard=False)
        lifted = limits()
        with pytest.raises(GuestGoneError):
            limit_memory(line, "nobody", None, hard=True)
    finally:
        line.close()

    assert standing == {"hard_limit": 800 * KIB, "soft_limit": 700 * KIB + 1}  # in KiB, rounded up
    assert lifted["hard_limit"] == 800 * KIB
    assert lifted["soft_limit"] > GIB


async def test_a_domain_is_limited_in_a_lane_of_its_own(hypervisor: LibvirtHypervisor) -> None:
    await hypervisor.observe(now_s=0.0)

    await hypervisor.limit("vm1", 700 * MIB, hard=False)

    assert (await hypervisor.observe(now_s=1.0))[1].run_state is RunState.RUNNING
