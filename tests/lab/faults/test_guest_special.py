"""Real guests whose memory the host cannot have back: held at their size, with the reason."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.lab.faults.ground import BOOT_BYTES, Ground, balanced, decided, settings, spec

from barostat.config.settings_file import write_settings
from barostat.core.observation import GuestObservation, HostObservation
from barostat.core.reasons import ReasonCode
from barostat.host.host import Host
from barostat.lab.command import qemu_command
from barostat.lab.fleet import Kit, Lab
from barostat.lab.guests import GuestFiles
from barostat.lab.machine import LabGuest
from barostat.lab.qemu import QemuProcess
from barostat.units import MIB

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

CAPACITY_BYTES = 512 * MIB
HUGE_PAGES = Path("/proc/sys/vm/nr_hugepages")
HUGE_PAGE_BYTES = 2 * MIB


class SmallBox:
    """The real host, but for how much of it may be handed out, and when."""

    def __init__(self) -> None:
        self._host = Host()

    async def observe(self, guests: Sequence[GuestObservation]) -> HostObservation:
        """Look at the box, and see less memory in it."""
        seen = await self._host.observe(guests)
        return replace(
            seen, capacity_bytes=CAPACITY_BYTES, granting=True, wanted_back_bytes=0, alarms=()
        )


@asynccontextmanager
async def beside(kit: Kit, name: str, *arguments: str) -> AsyncIterator[Ground]:
    """Balance a guest whose QEMU has these arguments too, and an ordinary one."""
    wanted = replace(spec(name), maximum_bytes=BOOT_BYTES)  # such guests cannot have a virtio-mem
    async with Lab([spec("web")], kit=kit) as lab:
        files = GuestFiles(folder=lab.folder, name=name)
        command = qemu_command(wanted, files, image=kit.image, accelerator=kit.accelerator)
        machine = QemuProcess([*command, *arguments], files=files)
        lab.guests[name] = LabGuest(wanted, files=files, machine=machine)
        await lab.guests[name].start()
        await lab.guests[name].wait_ready()
        write_settings(lab.folder / "web.toml", settings())
        write_settings(lab.folder / f"{name}.toml", replace(settings(), maximum_bytes=BOOT_BYTES))
        async with balanced(lab, "web", name, host=SmallBox()) as place:
            yield place


async def is_held(place: Ground, name: str, code: ReasonCode) -> None:
    """See that nothing is taken from a guest, however much its neighbour needs."""
    await place.held(name, code)
    await place.hold("web", 300)
    late = await place.passes(8)

    assert decided(late, name).assigned_bytes == BOOT_BYTES
    assert decided(late, "web").promised_bytes <= CAPACITY_BYTES - BOOT_BYTES


@pytest.mark.trust("capacity", "a guest's memory is locked on the host (mem-lock=on)")
async def test_a_guest_whose_memory_is_locked_is_held(kit: Kit) -> None:
    async with beside(kit, "locked", "-overcommit", "mem-lock=on") as place:
        await is_held(place, "locked", ReasonCode.LOCKED)


@pytest.fixture
def huge_pages() -> Iterator[None]:
    """Have the host set aside hugepages for one guest; where it cannot, there is nothing to see."""
    with pages_set_aside(BOOT_BYTES // HUGE_PAGE_BYTES) as found:
        if not found:
            pytest.skip("this machine sets no hugepages aside")
        yield


@contextmanager
def pages_set_aside(number: int) -> Iterator[bool]:
    before = HUGE_PAGES.read_text()
    try:
        HUGE_PAGES.write_text(str(int(before) + number))
        yield int(HUGE_PAGES.read_text()) >= int(before) + number
    except OSError:
        yield False
    finally:
        HUGE_PAGES.write_text(before)


@pytest.mark.usefixtures("huge_pages")
@pytest.mark.trust("capacity", "a guest's memory is made of hugepages")
async def test_a_guest_made_of_hugepages_is_held(kit: Kit) -> None:
    backend = f"memory-backend-memfd,id=ram,size={BOOT_BYTES},hugetlb=on,hugetlbsize=2M"
    async with beside(kit, "huge", "-object", backend, "-machine", "memory-backend=ram") as place:
        await is_held(place, "huge", ReasonCode.HUGEPAGES)
