"""`barostat demo` on real guests, and a stranger who opens the address that it says."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, expect

from .conftest import PICTURES, WIDE

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]

BAROSTAT = Path(sys.executable).parent / "barostat"
SAID = re.compile(r"Look at it: (https://\S+) with the token (\S+)")
SECONDS = "60"
BOOTED_MS = 60_000


@asynccontextmanager
async def demonstration() -> AsyncIterator[tuple[str, str]]:
    """Start the demo; give the address of its page and its token, once it says them."""
    process = await asyncio.create_subprocess_exec(
        *(str(BAROSTAT), "demo", "--seconds", SECONDS),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(120):
            yield await address(process)
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(30):
            await process.wait()


async def address(process: asyncio.subprocess.Process) -> tuple[str, str]:
    assert process.stderr is not None
    async for line in process.stderr:
        if found := SAID.match(line.decode()):
            return found[1], found[2]
    raise AssertionError("the demo ended without an address")


async def logged_in(browser: Browser, url: str, token: str) -> Page:
    page = await browser.new_page(ignore_https_errors=True, viewport=WIDE)
    page.set_default_timeout(BOOTED_MS)
    await page.goto(url)
    await page.get_by_label("Token").fill(token)
    await page.get_by_role("button", name="Log in").click()
    return page


async def test_a_demos_page_shows_real_guests_whose_numbers_move_and_takes_an_edit(
    browser: Browser,
) -> None:
    async with demonstration() as (url, token):
        page = await logged_in(browser, url, token)
        asked, complaints = watched(page)
        rows = page.locator("tbody tr")
        await expect(rows).to_have_count(3, timeout=BOOTED_MS)
        web = rows.filter(has=page.get_by_role("rowheader", name="web"))
        demand = web.locator(".col-demand")
        before = await demand.inner_text()

        await expect(demand).not_to_have_text(before, timeout=BOOTED_MS)
        await expect(page.locator(".feed li").first).to_be_visible(timeout=BOOTED_MS)
        await page.screenshot(path=PICTURES / "demo.png")
        await web.get_by_role("link").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("web")
        await page.get_by_label("Weight").fill("7000")
        await page.get_by_role("button", name="Save").click()
        await expect(page.locator(".done")).to_contain_text("→ 7000")
        await page.get_by_role("button", name=re.compile("^Colours")).click()
        await page.screenshot(path=PICTURES / "demo-guest.png", full_page=True)
        assert complaints == []
        await page.get_by_label("Maximum").fill("64 GiB")
        await page.get_by_role("button", name="Save").click()
        refused = page.locator(".settings + .refused")
        await expect(refused).to_contain_text("this VM's devices allow at most")
        assert asked == {urlsplit(url).netloc}


def watched(page: Page) -> tuple[set[str], list[str]]:
    """Note whom the page asks, and what its console complains of."""
    asked: set[str] = set()
    complaints: list[str] = []

    def hear(said: ConsoleMessage) -> None:
        if said.type in ("error", "warning"):
            complaints.append(said.text)

    page.on("request", lambda request: asked.add(urlsplit(request.url).netloc))
    page.on("console", hear)
    return asked, complaints
