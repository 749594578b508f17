"""The page in a real browser, before a real daemon's API over simulated VMs that move."""

from __future__ import annotations

import asyncio
import re

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from barostat.core.observation import Depth
from barostat.guest.base import Card

from .conftest import PHONE, Visitor, visiting
from .stage import Stage

pytestmark = pytest.mark.lab


def row(page: Page, name: str) -> Locator:
    return page.locator("tbody tr").filter(has=page.get_by_role("rowheader", name=name))


async def test_a_host_is_seen_at_a_look_and_its_numbers_move(visitor: Visitor) -> None:
    page = await visitor.visit()
    demand = row(page, "build-7").locator(".col-demand")
    before = await demand.inner_text()

    await expect(demand).not_to_have_text(before)
    await expect(page.locator("tbody tr")).to_have_count(10)
    await expect(row(page, "small").locator(".col-status")).to_have_text(re.compile("Warning"))
    await expect(page.get_by_role("img", name=re.compile("^VMs have .* kept"))).to_be_visible()
    await expect(page.locator(".feed li").first).to_contain_text(re.compile("from .* to .*: it"))
    await expect(page.locator(".legend")).to_contain_text("the host's own")
    await visitor.picture("host-light")


async def test_vms_are_sorted_and_filtered(visitor: Visitor) -> None:
    page = await visitor.visit()
    names = page.locator("tbody th a")

    await page.get_by_role("button", name="VM", exact=True).click()
    assert (await names.all_inner_texts())[:2] == ["build-7", "cache"]
    await page.get_by_role("button", name="VM", exact=True).click()
    assert (await names.all_inner_texts())[:2] == ["web-2", "web-1"]
    await expect(page.get_by_role("columnheader", name="VM", exact=True)).to_have_attribute(
        "aria-sort", "descending"
    )
    await page.get_by_role("searchbox").fill("WEB")
    await expect(names).to_have_count(2)
    await expect(page.locator(".filters")).to_contain_text("2 of 10 VMs")
    await page.get_by_role("searchbox").fill("nobody")
    await expect(page.locator(".guests")).to_contain_text("No VM fits.")


async def test_a_vms_page_says_how_it_stands_over_time_and_why(visitor: Visitor) -> None:
    page = await visitor.visit()
    await row(page, "db").get_by_role("link").focus()
    await page.keyboard.press("Enter")

    await expect(page.get_by_role("heading", level=1)).to_have_text("db")
    await expect(page).to_have_title("db · Barostat")
    await expect(page.locator(".sentences li").first).to_contain_text("db has")
    await expect(page.locator(".chart canvas")).to_be_visible()
    await expect(page.locator(".u-legend")).to_contain_text(re.compile(r"Assigned.*\d+ MiB"))
    await expect(page.locator(".facts")).to_contain_text("its balloon driver's statistics")
    await visitor.picture("guest-light", whole=True)


async def test_who_speaks_for_a_vm_is_shown_with_what_it_says(
    browser: Browser, stage: Stage
) -> None:
    card = Card(depth=Depth.AGENT, version="0.1.0", onlining="online_movable", fault="it is silent")
    stage.control.cards = {"db": card}.get
    async with visiting(browser, stage) as visitor:
        page = await visitor.visit("guests/db")

        facts = page.locator(".facts")
        await expect(facts).to_contain_text("It is silent")
        await expect(facts).to_contain_text("online_movable")
        await page.goto(f"{stage.address}#/")
        await expect(page.locator("td.col-depth").first).to_have_text("balloon")


async def test_older_times_come_from_the_history(visitor: Visitor) -> None:
    page = await visitor.visit("guests/db")
    await expect(page.locator(".move")).not_to_have_count(0)
    an_hour = page.get_by_role("button", name="1 h")
    for _ in range(20):  # an hour is shown in steps of some seconds, and the first must end
        await an_hour.click()
        if await an_hour.get_attribute("aria-pressed") == "true":
            break
        await asyncio.sleep(1)
    await expect(an_hour).to_have_attribute("aria-pressed", "true")

    await expect(page.locator(".u-legend")).to_contain_text(re.compile(r"Assigned.*\d+ MiB"))
    await visitor.picture("guest-past")
    await page.get_by_role("button", name="Live", exact=True).click()
    await expect(an_hour).to_have_attribute("aria-pressed", "false")


async def test_an_edit_takes_effect_and_says_what_it_did(visitor: Visitor) -> None:
    page = await visitor.visit("guests/web-1")
    await page.get_by_label("Weight").fill("7000")
    await page.get_by_label("Minimum").fill("128 MiB")
    await page.get_by_role("button", name="Save").click()

    await expect(page.locator(".done")).to_contain_text("minimum 256 MiB → 128 MiB")
    await expect(page.locator(".done")).to_contain_text("weight 5000 → 7000")
    await expect(page.locator(".sentences")).to_contain_text("20 % buffer and weight 7000")
    written = (visitor.stage.folder / "web-1.toml").read_text()
    assert "weight = 7000" in written
    await visitor.picture("edit-done")


async def test_a_refused_edit_says_every_reason_and_changes_nothing(
    browser: Browser, stage: Stage
) -> None:
    async with visiting(browser, stage) as visitor:
        page = await visitor.visit("guests/web-1")
        await page.get_by_label("Minimum").fill("512 MiB")
        await page.get_by_label("Maximum").fill("64 GiB")
        await page.get_by_role("button", name="Save").click()

        refused = page.locator(".settings + .refused")
        await expect(refused).to_contain_text("nothing was changed")
        await expect(refused).to_contain_text("Minimum can only be lowered while the VM runs")
        await expect(refused).to_contain_text("this VM's devices allow at most 4096 MiB")
        await expect(page.get_by_label("Minimum")).to_have_attribute("aria-invalid", "true")
        await expect(page.get_by_label("Weight")).to_have_attribute("aria-invalid", "false")
        assert (stage.folder / "web-1.toml").read_text() == 'minimum = "256MiB"\n'
        assert await visitor.axe() == []
        await visitor.picture("edit-refused")
        assert len(visitor.complaints) == 1  # the browser's own words for the daemon's no
        assert "status of 422" in visitor.complaints[0]


async def test_what_is_no_size_is_refused_before_it_is_sent(visitor: Visitor) -> None:
    page = await visitor.visit("guests/web-1")
    await page.get_by_label("Minimum").fill("512 MB")
    await page.get_by_label("Buffer").fill("a lot")
    await page.get_by_role("button", name="Save").click()

    refused = page.locator(".settings + .refused")
    await expect(refused).to_contain_text('write "512 MiB" if you mean that')
    await expect(refused).to_contain_text("is not a whole number")
    await page.get_by_role("button", name="Discard").click()
    await expect(page.get_by_label("Minimum")).to_have_value("256 MiB")
    await expect(refused).to_have_count(0)


async def test_a_vm_is_paused_only_after_a_question(visitor: Visitor) -> None:
    page = await visitor.visit("guests/web-1")
    pause = page.get_by_role("button", name="Pause", exact=True)

    await pause.click()
    assert await visitor.axe() == []
    await visitor.picture("question")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    assert "paused" not in (visitor.stage.folder / "web-1.toml").read_text()
    await pause.click()
    await page.get_by_role("dialog").get_by_role("button", name="Pause").click()

    await expect(page.locator(".lead")).to_contain_text("its operator has paused it")
    await page.get_by_role("button", name="Resume", exact=True).click()
    await page.get_by_role("dialog").get_by_role("button", name="Resume").click()
    await expect(page.locator(".lead")).not_to_contain_text("its operator has paused it")


async def test_dynamic_memory_is_switched_on_and_off(visitor: Visitor) -> None:
    page = await visitor.visit("guests/legacy")
    for verb in ("Switch on", "Switch off"):
        await page.locator(".actions").get_by_role("button", name=verb).click()
        await page.get_by_role("dialog").get_by_role("button", name=verb).click()
        await expect(page.locator(".actions").get_by_role("button", name=verb)).to_have_count(0)

    await expect(page.locator(".lead")).to_contain_text("Dynamic Memory is off for it")


async def test_the_host_is_paused_and_that_is_said_on_every_page(visitor: Visitor) -> None:
    page = await visitor.visit()
    await page.get_by_role("button", name="Pause host").click()
    await page.get_by_role("dialog").get_by_role("button", name="Pause host").click()

    await expect(page.locator(".notice")).to_contain_text("every VM keeps its size")
    await expect(page.get_by_role("button", name="Resume host")).to_be_visible()
    assert visitor.stage.control.paused


async def test_dark_follows_the_system_until_somebody_chooses(
    browser: Browser, stage: Stage
) -> None:
    async with visiting(browser, stage, theme="dark") as visitor:
        page = await visitor.visit()
        ground = "getComputedStyle(document.body).backgroundColor"
        dark = await page.evaluate(ground)
        await expect(page.locator(".feed li").first).to_be_visible()
        await visitor.picture("host-dark")
        await page.get_by_role("button", name=re.compile("^Colours")).click()
        light = await page.evaluate(ground)
        await page.reload()

        assert dark == "rgb(14, 17, 22)"
        assert light == "rgb(243, 245, 248)"
        assert await page.evaluate(ground) == light


async def test_a_phone_shows_it_without_scrolling_sideways(browser: Browser, stage: Stage) -> None:
    async with visiting(browser, stage, size=PHONE, theme="dark") as visitor:
        for name, place in (("host", ""), ("guest", "guests/db"), ("doctor", "doctor")):
            page = await visitor.visit(place)
            await page.locator("h1").wait_for(state="attached")
            assert await page.evaluate("document.documentElement.scrollWidth") <= 360
            await visitor.picture(f"{name}-phone", whole=True)
        page = await visitor.visit()
        table = page.locator(".guests .scroll")
        assert await table.evaluate("(table) => table.scrollWidth - table.clientWidth") <= 0


async def test_doctors_findings_say_what_to_do(visitor: Visitor) -> None:
    page = await visitor.visit("doctor")

    finding = page.locator(".finding", has_text="silent").first
    await expect(finding).to_contain_text("What to do")
    swapless = page.locator(".finding", has_text="It never swapped")
    await expect(swapless).to_have_count(1)
    await expect(page.locator("summary")).to_contain_text("as they should be")
    await visitor.picture("doctor")


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_axe_finds_nothing(browser: Browser, stage: Stage, theme: str) -> None:
    async with visiting(browser, stage, theme="dark" if theme == "dark" else "light") as visitor:
        for place in ("", "guests/small", "guests/nobody", "doctor"):
            page = await visitor.visit(place)
            await page.locator("h1").wait_for(state="attached")
            assert await visitor.axe() == [], place


async def test_the_api_is_tried_without_anything_from_elsewhere(visitor: Visitor) -> None:
    page = await visitor.visit("api")
    explanation = page.locator(".route").filter(has_text="/v1/guests/{name}/explanation")
    await explanation.locator("summary").click()
    await explanation.get_by_role("textbox", name="name").fill("db")
    await explanation.get_by_role("button", name=re.compile("^Ask")).click()

    await expect(explanation.locator("pre")).to_contain_text('"sentences"')
    await visitor.picture("api")
    settings = page.locator(".route").filter(has_text=re.compile("PATCH"))
    await settings.locator("summary").click()
    await settings.get_by_role("textbox", name="name").fill("db")
    await settings.get_by_role("textbox", name="body").fill("{ no JSON")
    await settings.get_by_role("button", name=re.compile("^Ask")).click()
    await expect(settings.get_by_role("alert")).to_contain_text("is not JSON")
    assert await visitor.axe() == []
