"""A real browser before the real page. What it shows is kept as pictures in build/web."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, ViewportSize, async_playwright

from barostat.lab.packages import ensure_packages, find_command
from barostat.service.doorkeeper import Doorkeeper
from barostat.service.tokens import Granted
from barostat.units import GIB

from .stage import CAST, Actor, Stage

ROOT = Path(__file__).parent.parent.parent
PICTURES = ROOT / "build" / "web"
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
FETCHED = ROOT / "src" / "barostat" / "web" / "vendor" / "LICENSES.txt"
CHROMIUM = "/usr/bin/chromium"

WIDE = ViewportSize(width=1440, height=900)
PHONE = ViewportSize(width=360, height=780)


@pytest.fixture(scope="session", autouse=True)
def _tools() -> None:
    """Have what these tests need: Debian's browser, and what npm brings."""
    if find_command("chromium") is None:
        ensure_packages(progress=print, missing=["chromium"])
    if not (AXE.exists() and FETCHED.exists()):
        subprocess.run([sys.executable, ROOT / "tools" / "web.py"], check=True, timeout=600)
    PICTURES.mkdir(parents=True, exist_ok=True)


class Visitor:
    """Somebody who looks at a stage's page, and what their browser complained of."""

    def __init__(self, page: Page, stage: Stage) -> None:
        self.page = page
        self.stage = stage
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        page.on("console", lambda said: self._hear(said.type, said.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(f"{kind}: {text}")

    async def visit(self, place: str = "") -> Page:
        """Open a page, and wait until it is live."""
        await self.page.goto(f"{self.stage.address}#/{place}")
        await self.page.locator(".link-live").wait_for()
        return self.page

    async def picture(self, name: str, *, whole: bool = False) -> None:
        """Keep what is to be seen."""
        await self.page.screenshot(path=PICTURES / f"{name}.png", full_page=whole)

    async def axe(self) -> list[str]:
        """Say what keeps people from using the page who use it otherwise."""
        await self.page.evaluate(await asyncio.to_thread(AXE.read_text))
        found = await self.page.evaluate("axe.run({ resultTypes: ['violations'] })")
        return [
            f"{violation['id']}: {node['html'][:200]} {node['failureSummary']}"
            for violation in found["violations"]
            for node in violation["nodes"]
        ]


@pytest_asyncio.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """Ten VMs on a host that does not suffice for all at once."""
    async with playing(tmp_path) as made:
        yield made


@asynccontextmanager
async def playing(
    folder: Path,
    cast: Sequence[Actor] = CAST,
    *,
    capacity_bytes: int = 13 * GIB,
    port: int = 0,
    doorkeeper: Doorkeeper | None = None,
    moving: bool = True,
) -> AsyncIterator[Stage]:
    """Play VMs and serve their page; to those whom a doorkeeper knows already, if one is given."""
    folder.mkdir(exist_ok=True)
    made = Stage(folder, cast, capacity_bytes=capacity_bytes, doorkeeper=doorkeeper, moving=moving)
    async with made.serving(port=port) as stage:
        yield stage


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        await browser.close()


@asynccontextmanager
async def visiting(
    browser: Browser,
    stage: Stage,
    *,
    role: Granted | None = "operator",
    size: ViewportSize = WIDE,
    theme: Literal["dark", "light"] = "light",
) -> AsyncIterator[Visitor]:
    """Look at a stage's page, logged in with a role."""
    context = await browser.new_context(
        viewport=size, color_scheme=theme, ignore_https_errors=True, locale="en-GB"
    )
    context.set_default_timeout(15_000)
    if role is not None:
        answer = await context.request.post(
            f"{stage.address}v1/session", data={"token": stage.token(role)}
        )
        assert answer.ok
    yield Visitor(await context.new_page(), stage)
    await context.close()


@pytest_asyncio.fixture
async def visitor(browser: Browser, stage: Stage) -> AsyncIterator[Visitor]:
    """An operator at a wide screen. Nothing may come from elsewhere, nothing may go wrong."""
    async with visiting(browser, stage) as made:
        yield made
        assert made.complaints == []
        assert made.hosts == {urlsplit(stage.address).netloc}
