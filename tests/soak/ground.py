"""What a soak plays on: real guests, a real daemon, and what must be known to judge both."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import click
from tests.soak.books import Books, Sizes
from tests.soak.process import DaemonProcess

from barostat.config.settings_file import write_settings
from barostat.core.settings import MemorySettings
from barostat.errors import LabError
from barostat.lab.fleet import Kit, Lab
from barostat.lab.guests import GuestSpec
from barostat.lab.machine import LabGuest
from barostat.service.documents import Overview
from barostat.units import MIB

__all__ = ["BOOT_BYTES", "MINIMUM_BYTES", "Ground", "Inmate", "Record", "open_ground"]

BOOT_BYTES, MINIMUM_BYTES, MAXIMUM_BYTES = 256 * MIB, 128 * MIB, 512 * MIB
SWAP_BYTES = 512 * MIB
SHARE_BYTES = 288 * MIB
"""Of the host, for each guest: less than half of what all may ask for together."""

BOOT_EXCUSE_S = 90.0
"""A guest that starts unasked takes memory that others may have; they give it back by then."""

PLUG = "/machine/peripheral/vmem0"


@dataclass(slots=True, kw_only=True)
class Inmate:
    """A guest of the soak.

    Attributes:
        guest: itself.
        sizes: as they were seen last.
        busy: a fault is at work on it.
        deaf: its QEMU or its programs cannot answer now, by our doing.
        killed: we ended it.
        resets: how often we have reset it and it was not seen to boot since.
        bombed_until_s: until then its kernel may kill: it was told to hold more than there can be.
        uptime_us, oom_kills: what it said last.
    """

    guest: LabGuest
    sizes: Sizes = field(
        default_factory=lambda: Sizes(base_bytes=BOOT_BYTES, plugged_bytes=0, requested_bytes=0)
    )
    busy: bool = False
    deaf: bool = False
    killed: bool = False
    resets: int = 0
    bombed_until_s: float = 0.0
    uptime_us: int = 0
    oom_kills: int = 0
    line: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def name(self) -> str:
        """What it is called."""
        return self.guest.spec.name

    async def measure(self) -> Sizes:
        """Ask its QEMU how large it is.

        Raises:
            LabError: QEMU does not answer.
        """
        async with self.line:  # the lab's monitor has one caller at a time
            base = (await self.guest.qmp("query-balloon"))["actual"]
            plugged = await self.guest.qmp("qom-get", path=PLUG, property="size")
            requested = await self.guest.qmp("qom-get", path=PLUG, property="requested-size")
        return Sizes(base_bytes=base, plugged_bytes=plugged, requested_bytes=requested)


@dataclass(slots=True)
class Record:
    """What has happened. Everything in `breaches`, `lost`, `below` and `ends` is a failure."""

    passes: int = 0
    moves: int = 0
    moved_bytes: int = 0
    looks: int = 0
    longest_pass_s: float = 0.0
    fullest_ratio: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    undone: Counter[str] = field(default_factory=Counter)
    breaches: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    below: list[str] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
    footprints: list[tuple[float, int, float, float]] = field(default_factory=list)
    """When, in which of its lives, resident bytes and file handles of the daemon."""


class Ground:
    """Guests, daemon, books.

    Attributes:
        inmates: the guests, by name.
        overview: what the daemon said last; None while it does not speak.
        record: what has happened.
    """

    def __init__(self, lab: Lab, daemon: DaemonProcess, *, seed: int) -> None:
        self.lab, self.daemon, self.seed = lab, daemon, seed
        self.books, self.record = Books(), Record()
        self.inmates: dict[str, Inmate] = {}
        self.overview: Overview | None = None
        self.daemon_killed = False
        self._born = 0
        self._began_s = time.monotonic()

    @property
    def passed_s(self) -> float:
        """Since the soak began."""
        return time.monotonic() - self._began_s

    def begin(self) -> None:
        """Set the soak's clock to zero."""
        self._began_s = time.monotonic()

    def chance(self, who: str) -> random.Random:
        """Give somebody dice of their own, the same for the same seed."""
        return random.Random(f"{self.seed}/{who}")

    def say(self, text: str) -> None:
        """Tell what happens, and when."""
        click.echo(f"{self.passed_s:7.1f} s  {text}")

    def fail(self, kind: list[str], text: str) -> None:
        """Note a failure, and tell of it."""
        kind.append(f"{self.passed_s:.1f} s: {text}")
        self.say(f"FAILED: {text}")

    async def add(self) -> Inmate:
        """Boot one more guest, with settings; its memory counts from the start.

        Raises:
            LabError: it could not be booted.
        """
        self._born += 1
        spec = GuestSpec(
            name=f"vm{self._born}",
            boot_bytes=BOOT_BYTES,
            maximum_bytes=MAXIMUM_BYTES,
            swap_bytes=SWAP_BYTES,
        )
        settings = MemorySettings(
            startup_bytes=BOOT_BYTES, minimum_bytes=MINIMUM_BYTES, maximum_bytes=MAXIMUM_BYTES
        )
        write_settings(self.lab.folder / f"{spec.name}.toml", settings)
        guest = await self.lab.boot(spec)
        self.inmates[spec.name] = inmate = Inmate(guest=guest)
        return inmate

    async def bury(self, inmate: Inmate) -> None:
        """Remove a guest that has ended, or end it."""
        self.inmates.pop(inmate.name, None)
        async with inmate.line:
            if self.lab.guests.pop(inmate.name, None) is not None:
                await inmate.guest.stop()
        (self.lab.folder / f"{inmate.name}.toml").unlink(missing_ok=True)

    async def replace(self, inmate: Inmate) -> None:
        """Start another in the place of a guest that has ended; nobody asks whether it fits.

        Raises:
            LabError: it could not be booted.
        """
        await self.bury(inmate)
        excuse = self.books.excuse("another guest starts", BOOT_BYTES)
        try:
            await self.add()
        finally:
            excuse.until_s = self.passed_s + BOOT_EXCUSE_S

    @contextmanager
    def picked(self, chance: random.Random) -> Iterator[Inmate]:
        """Pick a guest for a fault; nothing else befalls it meanwhile.

        Raises:
            LabError: something is at work on every guest.
        """
        free = [inmate for _, inmate in sorted(self.inmates.items()) if not inmate.busy]
        if not free:
            raise LabError("every guest is busy with another fault")
        inmate = chance.choice(free)
        inmate.busy = True
        try:
            yield inmate
        finally:
            inmate.busy = inmate.deaf = False


@asynccontextmanager
async def open_ground(kit: Kit, *, guests: int, seed: int) -> AsyncIterator[Ground]:
    """Boot guests, start a daemon, and leave neither behind."""
    async with Lab((), kit=kit) as lab:
        daemon = DaemonProcess(lab.folder, capacity_bytes=guests * SHARE_BYTES)
        ground = Ground(lab, daemon, seed=seed)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(guests):
                tasks.create_task(ground.add())
        await daemon.start()
        try:
            yield ground
        finally:
            await daemon.kill()
