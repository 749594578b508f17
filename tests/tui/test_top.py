"""`barostat top` as a person sees it: what is shown, how it is sorted, what is lost and found."""

from __future__ import annotations

import pytest
from textual.pilot import Pilot

from barostat.tui import following
from barostat.tui.following import Box
from barostat.units import GIB

from .conftest import World, lines, seen, text


def vms(pilot: Pilot[None]) -> list[str]:
    """The VMs from top to bottom."""
    shown = lines(pilot)
    header = next(number for number, line in enumerate(shown) if line.strip().startswith("VM"))
    below = (line.split() for line in shown[header + 1 :])
    return [words[0] for words in below if len(words) > 4 and words[3] == "MiB"]


async def test_every_vm_has_a_line_with_its_status_in_words(world: World) -> None:
    async with world.screen() as pilot:
        assert vms(pilot) == ["db", "old", "web"]
        [line] = [line for line in lines(pilot) if line.strip().startswith("web ")]
        assert line.split()[1:6] == ["Low", "512", "MiB", "480", "MiB"]
        assert "1 Low, 1 OK, 1 not judged" in text(pilot)
        assert "8192 MiB: █ VMs" in text(pilot)
        assert "every VM has all that it wants" in text(pilot)


async def test_the_reason_of_the_vm_under_the_cursor_is_told(world: World) -> None:
    async with world.screen() as pilot:
        await pilot.press("down")
        await seen(pilot, "old: hold at 512 MiB: it has no Dynamic Memory settings")


async def test_a_column_further_is_sorted_by_and_turned_round(world: World) -> None:
    async with world.screen() as pilot:
        await pilot.press("greater_than_sign")
        assert vms(pilot)[0] == "web"  # the most urgent status
        await pilot.press("greater_than_sign")
        assert vms(pilot)[0] == "db"  # the most assigned
        await pilot.press("r")
        assert vms(pilot)[-1] == "db"
        await pilot.press("less_than_sign", "less_than_sign")
        assert vms(pilot) == ["db", "old", "web"]


async def test_a_click_on_a_title_sorts_and_a_second_one_turns_round(world: World) -> None:
    async with world.screen() as pilot:
        place = next(n for n, line in enumerate(lines(pilot)) if line.strip().startswith("VM"))
        where = (lines(pilot)[place].index("Assigned"), place)
        await pilot.click(offset=where)
        assert vms(pilot)[0] == "db"
        await pilot.click(offset=where)
        assert vms(pilot)[-1] == "db"


async def test_the_cursor_stays_on_its_vm_whatever_moves_around_it(world: World) -> None:
    async with world.screen() as pilot:
        await pilot.press("end")
        await seen(pilot, "web: ")
        world.add("aaa")
        await world.look()
        await seen(pilot, "4 VMs")
        await pilot.press("r")

        assert vms(pilot) == ["web", "old", "db", "aaa"]
        await seen(pilot, "web: grow from 512 MiB")


async def test_a_vm_that_is_gone_leaves_the_table(world: World) -> None:
    async with world.screen() as pilot:
        await pilot.press("end")
        world.hypervisor.guests["web"].die()
        await world.look()
        await seen(pilot, "2 VMs")
        assert vms(pilot) == ["db", "old"]


async def test_a_host_without_vms_is_shown_as_such(world: World) -> None:
    async with world.screen() as pilot:
        for guest in world.hypervisor.guests.values():
            guest.die()
        await world.look()
        await seen(pilot, "0 VMs")
        await seen(pilot, "no VM runs")
        await pilot.press("p", "enter")
        assert not pilot.app.screen.is_modal


async def test_the_whole_box_is_one_bar_where_the_stream_tells_it(world: World) -> None:
    world.box = Box(
        total_bytes=16 * GIB,
        reserve_bytes=2 * GIB,
        overhead_bytes=GIB,
        foreign_bytes=GIB,
        hugetlb_bytes=0,
    )
    async with world.screen(size=(120, 30)) as pilot:
        assert "16.0 GiB: █ VMs" in text(pilot)
        assert "▚ other 2048 MiB ▓ reserve 2048 MiB" in text(pilot)


async def test_alarms_are_told_and_all_of_them_on_a_key(world: World) -> None:
    world.capacity_bytes = GIB
    world.__post_init__()
    for name in ("web", "db", "old"):
        world.add(name, boot_mib=1024)
    async with world.screen() as pilot:
        assert "ALARM more is promised than the host has" in text(pilot)
        await pilot.press("a")
        await seen(pilot, "Alarms and faults")
        assert "ALARM more is promised" in text(pilot)
        await pilot.press("escape")
        assert not pilot.app.screen.is_modal


async def test_a_lost_connection_is_said_and_found_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "EVERY_S", 0)
    async with world.screen() as pilot:
        world.cut()
        await seen(pilot, "no daemon runs at /run/test.sock: trying again")
        assert vms(pilot) == ["db", "old", "web"]

        world.cut_off = False
        world.add("new")
        await world.look()
        await seen(pilot, "4 VMs")
        assert "trying again" not in text(pilot)


async def test_figures_that_are_old_are_said_to_be(world: World) -> None:
    async with world.screen() as pilot:
        world.clock.now_s += 30
        overview = await world.desk.overview()
        world.told.put_nowait(following.Seen(overview=overview).model_dump_json())
        await seen(pilot, "no look for 30 s: what is shown is old")


async def test_help_says_what_the_keys_do(world: World) -> None:
    async with world.screen() as pilot:
        await pilot.press("question_mark")
        await seen(pilot, "pause or resume it: a paused VM keeps its size")
        await pilot.press("question_mark")
        assert not pilot.app.screen.is_modal


async def test_q_ends_it(world: World) -> None:
    async with world.screen() as pilot:
        await pilot.press("q")
        await pilot.pause()
        assert pilot.app.return_code == 0


@pytest.mark.parametrize(
    ("width", "last"), [(60, "Pressure"), (70, "Target"), (80, "Trend"), (130, "Why")]
)
async def test_a_narrow_window_has_fewer_columns_and_none_that_is_cut(
    world: World, width: int, last: str
) -> None:
    async with world.screen(size=(width, 24)) as pilot:
        [titles] = [line for line in lines(pilot) if line.strip().startswith("VM")]
        assert titles.split()[-1] == last
        await pilot.resize_terminal(65, 24)
        await seen(pilot, "VM▲")


async def test_without_colours_nothing_is_coloured(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with world.screen() as pilot:
        strips = pilot.app.screen._compositor.render_strips()
        filtered = [
            segment
            for strip in strips
            for segment in strip.apply_filter(
                pilot.app._filters[-1], pilot.app.screen.background_colors[0]
            )
        ]
        coloured = [
            item for item in filtered if item.style and (item.style.color or item.style.bgcolor)
        ]
        assert {str(item.style.color) for item in coloured if item.style} <= {
            "None",
            "Color('default', ColorType.DEFAULT)",
        }
