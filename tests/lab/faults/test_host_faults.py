"""What may happen to the box and to its files: it loses memory, something else takes it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.lab.faults.ground import Capacity, alarms, codes, decided, ground, spec
from tests.unit.host_folder import HostFolder

from barostat.core.moves import MoveKind
from barostat.core.observation import GuestObservation, HostObservation
from barostat.core.reasons import ReasonCode
from barostat.host.host import Host
from barostat.host.policy import HostPolicy
from barostat.lab.fleet import Kit
from barostat.units import KIB, MIB

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]

CAPACITY_MIB = 960
BOX_MIB = 1536
OWN_MIB = 100
"""What the box itself takes."""
HOG_MIB = 800
HOG = f"""
import time
kept = bytearray({HOG_MIB} << 20)
kept[::4096] = bytes(len(kept) // 4096)
print('full', flush=True)
time.sleep(100)
"""


@pytest.mark.trust("capacity", "the host loses memory")
async def test_what_the_host_lost_is_taken_back_from_the_guests_and_nobody_grows_meanwhile(
    kit: Kit,
) -> None:
    host = Capacity(CAPACITY_MIB * MIB)
    async with ground(kit, spec("web"), spec("db"), host=host) as place:
        await place.serves("web")
        await place.hold("web", 60)
        place.books.excused = "the host lost memory"
        host.capacity_bytes = 400 * MIB
        lost = await place.until(alarms, "the alarm")
        fits = await place.until(
            lambda tick: tick.decision.promised_bytes <= 400 * MIB, "they gave it"
        )
        place.books.excused = ""
        host.capacity_bytes = CAPACITY_MIB * MIB
        await place.serves("web")

    assert alarms(lost) == {ReasonCode.CAPACITY_LOST}
    assert ReasonCode.CAPACITY_LOST not in alarms(fits)


class SmallBox:
    """A box of a fixed size in which nothing lives but the guests and a hog, as they really are."""

    def __init__(self, root: Path) -> None:
        self._folder = HostFolder(root, total=BOX_MIB)
        policy = HostPolicy(
            capacity_bytes=CAPACITY_MIB * MIB, low_ratio=0.15, critical_ratio=0.05, calm_s=2.0
        )
        self._host = Host(policy, root=root)
        self.hog: int | None = None

    async def observe(self, guests: Sequence[GuestObservation]) -> HostObservation:
        """Have Barostat look at a /proc that says what is left."""
        held = sum(guest.devices.assigned_bytes for guest in guests) // MIB
        self._folder.available = max(0, BOX_MIB - OWN_MIB - held - self._hog_mib())
        self._folder.write()
        return await self._host.observe(guests)

    def _hog_mib(self) -> int:
        if self.hog is None:
            return 0
        lines = Path(f"/proc/{self.hog}/status").read_text().splitlines()
        [resident] = [line.split()[1] for line in lines if line.startswith("VmRSS:")]
        return int(resident) * KIB // MIB


@asynccontextmanager
async def hog(box: SmallBox) -> AsyncIterator[None]:
    """Have a process touch much of the box's memory."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOG, stdout=asyncio.subprocess.PIPE
    )
    box.hog = process.pid
    try:
        assert process.stdout is not None
        await process.stdout.readline()
        yield
    finally:
        box.hog = None
        process.kill()
        await process.communicate()


@pytest.mark.trust("capacity", "something else on the host takes its memory")
async def test_while_a_hog_has_the_hosts_memory_nobody_grows_and_guests_give_it_back(
    kit: Kit, tmp_path: Path
) -> None:
    box = SmallBox(tmp_path)
    async with ground(kit, spec("web", swap_mib=512), spec("db"), host=box) as place:
        await place.serves("web")
        async with hog(box):
            low = await place.until(lambda tick: ReasonCode.HOST_LOW in alarms(tick), "host low")
            await place.until(
                lambda tick: any(move.kind is MoveKind.SHRINK for move in tick.decision.moves),
                "guests asked to give",
            )
            await place.hold("web", 500)
            for _ in range(4):
                tick = await place.passes(1)
                assert MoveKind.GROW not in {move.kind for move in tick.decision.moves}
                assert decided(tick, "web").assigned_bytes <= decided(low, "web").promised_bytes
        await place.until(
            lambda tick: decided(tick, "web").assigned_bytes > 500 * MIB, "web served again"
        )


@pytest.mark.trust("doubt", "a VM's settings are broken while it runs")
async def test_a_guest_whose_settings_are_broken_keeps_its_size_until_they_are_mended(
    kit: Kit,
) -> None:
    async with ground(kit, spec("web"), spec("db")) as place:
        file = place.lab.folder / "db.toml"
        good = file.read_text()
        file.write_text('minimum = "a lot"\nmaximum = [1]\nweight = -5')
        broken = await place.held("db", ReasonCode.BAD_SETTINGS)
        await place.hold("db", 150)
        await place.serves("web")
        later = await place.passes(2)
        file.write_text(good)
        await place.until(lambda tick: ReasonCode.BAD_SETTINGS not in codes(tick, "db"), "mended")
        await place.serves("db")

    assert decided(later, "db").assigned_bytes == decided(broken, "db").assigned_bytes
    said = later.snapshot.settings_faults["db"]
    assert "minimum" in said
    assert "maximum" in said
