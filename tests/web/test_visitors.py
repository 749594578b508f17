"""Who may see the page, what it says when the daemon is gone, and how it bears 300 VMs."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, CDPSession, expect

from barostat.core.observation import GuestObservation
from barostat.units import MIB

from .conftest import PICTURES, Visitor, playing, visiting
from .stage import Actor, Stage

pytestmark = pytest.mark.lab

WATCHED_S = 15
MOST_SCRIPTING_RATIO = 0.25
"""Of one of two slow cores that the guests and the daemon share; it is some 5 %."""


async def test_a_stranger_logs_in_with_a_token_and_out_again(
    browser: Browser, stage: Stage
) -> None:
    async with visiting(browser, stage, role=None) as visitor:
        page = visitor.page
        await page.goto(stage.address)
        await page.get_by_label("Token").fill("wrong")
        await page.get_by_role("button", name="Log in").click()
        await expect(page.get_by_role("alert")).to_contain_text("The token is not good")
        assert await visitor.axe() == []
        await visitor.picture("login")
        await page.get_by_label("Token").fill(stage.token("viewer"))
        await page.get_by_role("button", name="Log in").click()

        await expect(page.locator("tbody tr")).to_have_count(10)
        [cookie] = await page.context.cookies()
        assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (True, True, "Strict")
        assert await page.evaluate("document.cookie") == ""
        await page.get_by_role("button", name="Log out").click()
        await expect(page.get_by_role("heading", name="Log in")).to_be_visible()


async def test_who_may_only_look_is_offered_nothing_else(browser: Browser, stage: Stage) -> None:
    async with visiting(browser, stage, role="viewer") as visitor:
        page = await visitor.visit("guests/db")
        await expect(page.get_by_text("that takes the role operator")).to_be_visible()

        assert await page.get_by_role("button", name=re.compile("Save|Pause|Switch")).count() == 0
        await expect(page.get_by_label("Weight")).to_have_attribute("readonly", "true")
        assert visitor.complaints == []


async def test_a_lost_connection_is_said_and_found_again(browser: Browser, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    async with AsyncExitStack() as visit:
        async with playing(first) as stage:
            visitor = await visit.enter_async_context(visiting(browser, stage))
            page = await visitor.visit()

        await expect(page.get_by_role("alert")).to_contain_text("Not connected since")
        await expect(page.get_by_role("alert")).to_contain_text("VMs keep what they have")
        await expect(page.locator("tbody tr")).to_have_count(10)
        await visitor.picture("lost")

        async with playing(second, port=stage.port, doorkeeper=stage.doorkeeper):
            await expect(page.locator(".link-live")).to_be_visible()
            await expect(page.locator(".notice.bad")).to_have_count(0)


async def test_a_daemon_that_no_longer_looks_is_late(visitor: Visitor) -> None:
    page = await visitor.visit()
    hung = Hung()
    visitor.stage.balancer._hypervisor = hung  # type: ignore[assignment]

    await expect(page.get_by_role("alert")).to_contain_text("last looked at its VMs", timeout=9000)
    await expect(page.locator(".link-late")).to_be_visible()
    hung.released.set()


class Hung:
    """A hypervisor that does not answer until it is released."""

    def __init__(self) -> None:
        self.released = asyncio.Event()

    async def observe(self, *, now_s: float) -> Sequence[GuestObservation]:
        """Answer late."""
        await self.released.wait()
        return ()


async def seconds(client: CDPSession) -> Mapping[str, float]:
    """Say what the browser's page has spent its time on."""
    metrics: dict[str, Any] = await client.send("Performance.getMetrics")
    return {metric["name"]: metric["value"] for metric in metrics["metrics"]}


@pytest.mark.timeout(180)
async def test_300_vms_are_shown_without_lag(browser: Browser, tmp_path: Path) -> None:
    cast = [
        Actor(
            name=f"vm-{number:03}", least_mib=150 + number % 50, most_mib=400 + number % 70 * 9,
            period_s=40 + number % 30, boot_mib=512, maximum_mib=2048,
        )
        for number in range(300)
    ]  # fmt: skip
    # Nothing is moved: so many simulated moves at once would cost more than the browser.
    async with (
        playing(tmp_path, cast, capacity_bytes=300 * 500 * MIB, moving=False) as stage,
        visiting(browser, stage) as visitor,
    ):
        page = await visitor.visit()
        await expect(page.locator("tbody tr")).to_have_count(300)
        client = await page.context.new_cdp_session(page)
        await client.send("Performance.enable")
        before = await seconds(client)
        await asyncio.sleep(WATCHED_S)
        after = await seconds(client)
        await visitor.picture("300-vms")
        await page.get_by_role("searchbox").fill("vm-29")
        await expect(page.locator("tbody tr")).to_have_count(10)

        spent = {
            name: (after[name] - before[name]) / WATCHED_S
            for name in ("ScriptDuration", "LayoutDuration", "RecalcStyleDuration", "TaskDuration")
        }
        told = ", ".join(f"{name} {share * 1e3:.0f} ms/s" for name, share in spent.items())
        heap_mib = after["JSHeapUsedSize"] / MIB
        (PICTURES / "300-vms.txt").write_text(f"{told}, heap {heap_mib:.1f} MiB\n")
        assert spent["ScriptDuration"] < MOST_SCRIPTING_RATIO
        assert visitor.complaints == []


async def test_a_page_that_knows_it_all_has_one_stream(visitor: Visitor) -> None:
    page = await visitor.visit()
    for place in ("#/guests/db", "#/doctor", "#/", "#/guests/web-1"):
        await page.goto(f"{visitor.stage.address}{place}")

    assert visitor.stage.stream.listeners == 1
