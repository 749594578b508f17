"""Acting from the screen: a question first, done by the desk, and refused with every fault."""

from __future__ import annotations

from textual.pilot import Pilot

from barostat.core.observation import Depth
from barostat.guest.base import Card

from .conftest import World, seen, text


async def on(pilot: Pilot[None], vm: str) -> None:
    """Put the cursor on a VM."""
    await pilot.press("home", *["down"] * ["db", "old", "web"].index(vm))
    await seen(pilot, f"{vm}: ")


async def test_a_vm_is_paused_and_resumed_after_a_question(world: World) -> None:
    async with world.screen() as pilot:
        await on(pilot, "web")
        await pilot.press("p")
        await seen(pilot, "Pause web? It keeps 512 MiB until it is resumed.")
        await pilot.press("y")
        await seen(pilot, "web: done")
        assert "paused = true" in (world.folder / "web.toml").read_text()

        await world.look()
        await seen(pilot, "web: hold at 512 MiB: its operator has paused it")
        await pilot.press("p")
        await seen(pilot, "Resume web?")
        await pilot.press("y")
        await seen(pilot, "VM▲")
        assert "paused = false" in (world.folder / "web.toml").read_text()


async def test_no_answer_but_yes_changes_anything(world: World) -> None:
    before = (world.folder / "web.toml").read_text()
    async with world.screen() as pilot:
        await on(pilot, "web")
        for key in ("n", "escape", "q"):
            await pilot.press("p")
            await seen(pilot, "Pause web?")
            await pilot.press("enter", key)
            await seen(pilot, "VM▲")
    assert (world.folder / "web.toml").read_text() == before


async def test_dynamic_memory_is_turned_on_and_off(world: World) -> None:
    async with world.screen() as pilot:
        await on(pilot, "old")
        await pilot.press("e")
        await seen(pilot, "Turn Dynamic Memory on for old? It gets the default settings.")
        await pilot.press("y")
        await seen(pilot, "old: done")
        await world.look()
        await seen(pilot, "2 OK")
        await pilot.press("e")
        await seen(pilot, "Turn Dynamic Memory off for old? It keeps 512 MiB")
        await pilot.press("y")
        await seen(pilot, "VM▲")
    assert "enabled = false" in (world.folder / "old.toml").read_text()


async def test_what_cannot_be_done_is_refused_with_what_to_do(world: World) -> None:
    async with world.screen() as pilot:
        await on(pilot, "old")
        await pilot.press("p", "y")
        await seen(pilot, "Nothing was changed")
        await seen(pilot, "hint: ")
        await pilot.press("escape")
        await seen(pilot, "VM▲")


async def test_the_host_is_paused_and_resumed(world: World) -> None:
    async with world.screen() as pilot:
        await pilot.press("P")
        await seen(pilot, "Pause the host?")
        await pilot.press("y")
        await seen(pilot, "the host is paused")
        assert world.control.paused
        await world.look()
        await seen(pilot, "paused: every VM keeps its size")
        await pilot.press("P", "y")
        await seen(pilot, "the host is balanced again")
        assert not world.control.paused


async def test_a_direct_look_cannot_pause_the_host(world: World) -> None:
    async with world.screen(whole_host=False) as pilot:
        await pilot.press("P")
        assert not pilot.app.screen.is_modal
        assert "P Host" not in text(pilot)


async def write(pilot: Pilot[None], row: int, words: str) -> None:
    """Write into a field of the form."""
    await pilot.press(*["down"] * row, *words)  # what stands there is selected, and goes
    await pilot.press(*["up"] * row)


async def test_settings_are_edited_in_a_form(world: World) -> None:
    async with world.screen() as pilot:
        await on(pilot, "web")
        await pilot.press("s")
        await seen(pilot, "Settings of web")
        assert "minimum 256 MiB" in text(pilot)
        await write(pilot, 1, "128MiB")
        await write(pilot, 4, "9000")
        await pilot.press("enter")
        await seen(
            pilot, "Change the settings of web? minimum: 256 MiB → 128MiB weight: 7000 → 9000"
        )
        await pilot.press("y")
        await seen(pilot, "web: minimum 256 MiB → 128 MiB, weight 7000 → 9000")
    assert 'minimum = "128MiB"\nweight = 9000\n' in (world.folder / "web.toml").read_text()


async def test_a_refused_edit_shows_every_fault_and_keeps_the_form(world: World) -> None:
    before = (world.folder / "web.toml").read_text()
    async with world.screen(size=(100, 30)) as pilot:
        await on(pilot, "web")
        await pilot.press("s")
        await seen(pilot, "Settings of web")
        await write(pilot, 1, "400MiB")
        await write(pilot, 3, "4")
        await pilot.press("enter", "y")
        await seen(pilot, "buffer is 4 %: it must be between 5 % and 2000 %")
        assert "minimum can only be lowered while the VM runs" in text(pilot)
        assert "nothing was changed" in text(pilot)

        await write(pilot, 1, "5GB")
        await write(pilot, 4, "much")
        await pilot.press("enter")
        await seen(pilot, 'minimum: "5GB" has a decimal unit')
        assert '"much" is no whole number' in text(pilot)
        await pilot.press("escape")
        await seen(pilot, "VM▲")
    assert (world.folder / "web.toml").read_text() == before


async def test_a_form_in_which_nothing_was_edited_says_so(world: World) -> None:
    async with world.screen() as pilot:
        await pilot.press("s")
        await seen(pilot, "Settings of db")
        await pilot.press("enter")
        await seen(pilot, "nothing was edited")


async def test_a_form_of_settings_that_cannot_be_used_says_why(world: World) -> None:
    (world.folder / "web.toml").write_text("wieght = 1\n")
    async with world.screen() as pilot:
        await on(pilot, "web")
        await pilot.press("s")
        await seen(pilot, "what is written cannot be used: ")


async def test_a_form_without_a_daemon_is_refused(world: World) -> None:
    async with world.screen() as pilot:
        world.cut_off = True
        await pilot.press("s")
        await seen(pilot, "Nothing was changed no daemon runs at /run/test.sock")


async def test_details_tell_all_about_a_vm_and_follow_it(world: World) -> None:
    async with world.screen(size=(100, 45)) as pilot:
        await on(pilot, "web")
        await pilot.press("enter")
        await seen(pilot, "web has 512 MiB: 512 MiB of boot RAM")
        assert "virtio-mem 0 of 1536 MiB plugged" in text(pilot)
        assert "weight 7000" in text(pilot)

        world.hypervisor.guests["web"].use(300 * 2**20)
        await world.look()
        await seen(pilot, "web OK")
        await pilot.press("p")
        await seen(pilot, "Pause web?")
        await pilot.press("n")
        world.hypervisor.guests["web"].die()
        await world.look()
        await seen(pilot, "web is not seen now: it does not run.")
        await seen(pilot, "barostat top 2 VMs")
        world.cut()
        await seen(pilot, "no daemon runs at /run/test.sock: trying again")
        await pilot.press("q")
        await seen(pilot, "VM▲")


async def test_details_say_how_deep_a_vm_is_seen_into(world: World) -> None:
    agent = Card(depth=Depth.BALLOON, version="0.1.0", onlining="offline", fault="it is silent")
    world.control.cards = {"web": agent}.get
    async with world.screen(size=(110, 70)) as pilot:
        await seen(pilot, "Depth")
        await on(pilot, "web")
        await pilot.press("enter")
        await seen(pilot, "Seen into depth balloon not believed it is silent its version 0.1.0")
        assert "plugged is offline" in text(pilot)
        assert "deeper install qemu-guest-agent in it" in text(pilot)


async def test_details_of_a_vm_without_settings_say_how_it_gets_them(world: World) -> None:
    async with world.screen(size=(100, 45)) as pilot:
        await on(pilot, "old")
        await pilot.press("enter")
        await seen(pilot, "none it keeps its size; e gives it the defaults")
