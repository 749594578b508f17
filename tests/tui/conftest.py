"""A host of simulated VMs behind a desk, looked at when a test says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import pytest
from textual.pilot import Pilot

from barostat.config.settings_file import SettingsFolder, SettingsPatch
from barostat.core.policy import Policy
from barostat.engine.control import Control
from barostat.engine.loop import Balancer
from barostat.engine.observe import FixedCapacity
from barostat.errors import ServiceError
from barostat.hypervisors.simulated import SimulatedHypervisor, SimulatedSpec
from barostat.service.desk import LocalDesk
from barostat.service.documents import Change, Details, Explanation, HostPause, Overview
from barostat.tui.app import TopApp
from barostat.tui.following import Box, Seen
from barostat.units import GIB, MIB

FRAMES: Final = dict.fromkeys(map(ord, "│─╭╮╰╯"), " ")

LOOKS: Final = 100
"""How often a screen is looked at before something is said not to be there."""


def lines(pilot: Pilot[None]) -> list[str]:
    """Give the screen as text."""
    return [strip.text.rstrip() for strip in pilot.app.screen._compositor.render_strips()]


def text(pilot: Pilot[None]) -> str:
    """Give the screen as one text, its line breaks and frames as blanks."""
    return " ".join(" ".join(lines(pilot)).translate(FRAMES).split())


async def seen(pilot: Pilot[None], words: str) -> None:
    """Wait until words are on the screen."""
    for _ in range(LOOKS):
        if words in text(pilot):
            return
        await pilot.pause()
    raise AssertionError(f"never seen: {words}\n" + "\n".join(lines(pilot)))


@dataclass
class Clock:
    """Time that passes when it is told to."""

    now_s: float = 100.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class World:
    """A desk that can be cut off, and what stands behind it."""

    folder: Path
    capacity_bytes: int = 8 * GIB
    clock: Clock = field(default_factory=Clock)
    cut_off: bool = False
    box: Box | None = None

    def __post_init__(self) -> None:
        self.hypervisor = SimulatedHypervisor(self.clock)
        self.settings = SettingsFolder(self.folder)
        host, policy = FixedCapacity(self.capacity_bytes), replace(Policy(), settle_s=0.0)
        self.balancer = Balancer(
            self.hypervisor, self.settings, host, policy=policy, clock=self.clock
        )
        self.control = Control(self.balancer, self.hypervisor, self.settings, clock=self.clock)
        self.desk = LocalDesk(self.control)
        self.told: asyncio.Queue[str | None] = asyncio.Queue()

    def add(
        self, name: str, *, boot_mib: int = 512, settings: str | None = "", use_mib: int = 200
    ) -> None:
        """Power a VM on; `settings` is its settings file, None for none."""
        spec = SimulatedSpec(
            name=name, boot_bytes=boot_mib * MIB, maximum_bytes=4 * boot_mib * MIB, boot_s=0
        )
        self.hypervisor.add(spec).use(use_mib * MIB)
        (self.folder / f"{name}.qmp").touch()
        if settings is not None:
            (self.folder / f"{name}.toml").write_text(settings)

    async def look(self) -> None:
        """Let a second pass, and look."""
        self.clock.now_s += 1
        self.control.on_tick(await self.balancer.look())
        overview = await self.desk.overview()
        self.told.put_nowait(Seen(overview=overview, box=self.box).model_dump_json())

    def cut(self) -> None:
        """Be gone."""
        self.cut_off = True
        self.told.put_nowait(None)

    # The desk that the screen asks.

    def _check(self) -> None:
        if self.cut_off:
            raise ServiceError("no daemon runs at /run/test.sock", hint="start it")

    async def passes(self) -> AsyncGenerator[str, None]:
        self._check()
        while (told := await self.told.get()) is not None:
            yield told

    async def overview(self, *, everyone: bool = False) -> Overview:
        self._check()
        return await self.desk.overview(everyone=everyone)

    async def details(self, guest: str) -> Details:
        self._check()
        return await self.desk.details(guest)

    async def explanation(self, guest: str) -> Explanation:
        self._check()
        return await self.desk.explanation(guest)

    async def change(self, guest: str, patch: SettingsPatch) -> Change:
        self._check()
        return await self.desk.change(guest, patch)

    async def pause_host(self, *, paused: bool) -> HostPause:
        self._check()
        return await self.desk.pause_host(paused=paused)

    @asynccontextmanager
    async def screen(
        self, *, size: tuple[int, int] = (80, 24), whole_host: bool = True
    ) -> AsyncIterator[Pilot[None]]:
        """Show it on a screen of that size."""
        await self.look()
        app = TopApp(self, where="/run/test.sock", whole_host=whole_host)
        async with app.run_test(size=size, notifications=True) as pilot:
            await seen(pilot, "barostat top 3 VMs")
            yield pilot


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Three VMs: `web` in need, `db` at ease, `old` without settings."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    made = World(tmp_path)
    made.add("web", settings='minimum = "256MiB"\nweight = 7000\n', use_mib=500)
    made.add("db", settings='minimum = "256MiB"\n', boot_mib=1024)
    made.add("old", settings=None)
    return made
