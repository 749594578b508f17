"""The whole of it under libvirt: what Barostat sees is what virsh says, and memory moves."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from barostat.config.settings_xml import NAMESPACE, parse_settings
from barostat.core.observation import GuestObservation
from barostat.core.settings import MemorySettings
from barostat.hypervisors.base import BalloonWish, PlugWish
from barostat.hypervisors.libvirt import LibvirtHypervisor
from barostat.lab.fleet import Lab
from barostat.lab.libvirtd import PrivateLibvirtd
from barostat.lab.run import play
from barostat.lab.scenario import Scenario, ScenarioGuest, Step
from barostat.lab.stages import RealStage, StageKind, open_stage
from barostat.service.documents import Details, Overview
from barostat.units import KIB, MIB

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

PATIENCE_S = 20.0
BAROSTAT = str(Path(sys.executable).parent / "barostat")


def guest(name: str, *, startup: int = 256, weight: int = 5000) -> ScenarioGuest:
    settings = MemorySettings(
        startup_bytes=startup * MIB,
        minimum_bytes=128 * MIB,
        maximum_bytes=640 * MIB,
        buffer_percent=15,
        weight=weight,
    )
    return ScenarioGuest(name=name, settings=settings, swap_bytes=256 * MIB, boot_at_s=0)


@asynccontextmanager
async def libvirt_stage() -> AsyncIterator[tuple[RealStage, LibvirtHypervisor, Lab]]:
    async with open_stage(StageKind.LIBVIRT, say=print) as stage:
        assert isinstance(stage, RealStage)
        assert isinstance(stage.hypervisor, LibvirtHypervisor)
        yield stage, stage.hypervisor, stage.lab


async def seen(
    hypervisor: LibvirtHypervisor, fits: Callable[[GuestObservation], bool]
) -> GuestObservation:
    """Look once a second until the one guest is seen as it should be."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found = await hypervisor.observe(now_s=time.monotonic())
            if found and fits(found[0]):
                return found[0]
            await asyncio.sleep(1)


@pytest.mark.trust("capacity")
async def test_memory_moves_between_domains_and_their_settings_come_from_their_metadata() -> None:
    steps = (
        Step(at_s=4, guest="web", use_bytes=360 * MIB, hot=1.0, cache_bytes=None),
        Step(at_s=18, guest="web", use_bytes=20 * MIB, hot=1.0, cache_bytes=None),
    )
    played = Scenario(
        name="test",
        capacity_bytes=560 * MIB,
        guests=(guest("web", weight=8000), guest("db")),
        steps=steps,
    )

    async with libvirt_stage() as (stage, _, lab):
        report = await play(stage, played, seconds=30)
        assert lab.libvirtd is not None
        written = {
            name: parse_settings(
                await lab.libvirtd.virsh("metadata", name, "--uri", NAMESPACE), guest=name
            )
            for name in lab.guests
        }

    assert report.breaches == []
    assert report.summary.oom_kills == 0
    assert report.stage.startswith("libvirt/")
    web, db = (report.summary.guests[name] for name in ("web", "db"))
    assert web.maximum_assigned_bytes > 380 * MIB
    assert web.peak_plugged_bytes > 100 * MIB
    assert db.ballooned_bytes > 60 * MIB
    assert web.unplugged_bytes > 0
    assert {name: settings.weight for name, settings in written.items()} == {
        "web": 8000,
        "db": 5000,
    }
    assert written["web"].minimum == 128 * MIB


async def test_virsh_and_barostat_say_the_same_of_a_domain() -> None:
    async with libvirt_stage() as (stage, hypervisor, lab):
        await stage.boot(guest("web"))
        libvirtd = lab.libvirtd
        assert libvirtd is not None
        await seen(hypervisor, lambda found: found.statistics is not None)
        await hypervisor.request("web", PlugWish(device="virtiomem0", requested_bytes=128 * MIB))
        await seen(hypervisor, lambda found: found.devices.plugged_bytes == 128 * MIB)
        await hypervisor.request("web", BalloonWish(target_bytes=224 * MIB))
        found = await seen(
            hypervisor, lambda found: found.devices.balloon_actual_bytes == 224 * MIB
        )
        pairs = (line.split() for line in (await libvirtd.virsh("dommemstat", "web")).splitlines())
        memory = {words[0]: int(words[1]) * KIB for words in pairs if words}
        domain = await told_of_the_balloon(libvirtd, found.devices.assigned_bytes)
        settings = await hypervisor.read("web")
        listed = Overview.model_validate_json(await barostat("list", lab.uri))
        shown = Details.model_validate_json(await barostat("show", lab.uri, "web"))
        element = await libvirtd.virsh("metadata", "web", "--uri", NAMESPACE)

    assert found.statistics is not None
    assert found.devices.balloon_actual_bytes == memory["actual"]
    assert found.statistics.total_bytes == pytest.approx(memory["available"], abs=MIB)
    assert found.statistics.available_bytes == pytest.approx(memory["usable"], abs=16 * MIB)
    assert found.devices.boot_bytes == kib(domain, "cpu/numa/cell", "memory")
    assert found.devices.plugged_bytes == kib(domain, "devices/memory/target/current")
    assert found.devices.requested_bytes == kib(domain, "devices/memory/target/requested")
    assert found.devices.ceiling_bytes == kib(domain, "memory")
    assert settings == parse_settings(element, guest="web")
    assert settings is not None
    assert settings.buffer == 15
    [web] = listed.guests
    assert shown.guest is not None
    for said in (web, shown.guest):
        assert said.assigned_bytes == found.devices.assigned_bytes
        assert said.balloon_bytes == found.devices.balloon_bytes
        assert said.plugged_bytes == found.devices.plugged_bytes
        assert said.total_bytes == pytest.approx(memory["available"], abs=MIB)
        assert said.ceiling_bytes == found.devices.ceiling_bytes
    assert shown.settings.written is not None
    assert shown.settings.written.model_dump() == {
        "startup_bytes": settings.startup,
        "minimum_bytes": settings.minimum,
        "maximum_bytes": settings.maximum,
        "buffer_percent": settings.buffer,
        "weight": settings.weight,
        "enabled": True,
        "paused": False,
    }


async def told_of_the_balloon(libvirtd: PrivateLibvirtd, assigned_bytes: int) -> ET.Element:
    """Say how virsh has the domain, once libvirt knows its size: QEMU tells it a second late."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            domain = ET.fromstring(await libvirtd.virsh("dumpxml", "web"))
            if kib(domain, "currentMemory") == assigned_bytes:
                return domain
            await asyncio.sleep(0.2)


async def barostat(command: str, uri: str, *words: str) -> str:
    """Run a command as a person would, without a daemon, and return what it printed."""
    run = await asyncio.create_subprocess_exec(
        *(BAROSTAT, command, *words, "--connect", uri, "--output", "json"),
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await run.communicate()
    assert run.returncode == 0
    return said.decode()


def kib(domain: ET.Element, path: str, attribute: str = "") -> int:
    """Read a size that virsh prints in KiB."""
    element = domain.find(path)
    assert element is not None
    assert element.get("unit") == "KiB"
    text = element.get(attribute) if attribute else element.text
    assert text is not None
    return int(text) * KIB


async def test_the_demo_through_libvirt_ends_well_and_leaves_nothing(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("t")  # short: sockets are below it
    words = ("demo", "--hypervisor", "libvirt", "--seconds", "20", "--output", "json")
    run = await asyncio.create_subprocess_exec(
        *(BAROSTAT, *words),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(folder)},
    )

    said, _ = await run.communicate()

    assert run.returncode == 0
    reports = json.loads(said)
    assert reports["barostat"]["stage"].startswith("libvirt/")
    assert reports["barostat"]["summary"]["bytes_moved"] > 100 * MIB
    assert reports["static"]["summary"]["bytes_moved"] == 0
    assert list(folder.iterdir()) == []
    assert str(folder) not in Path("/proc/mounts").read_text()
