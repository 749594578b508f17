"""What an operator does from the screen: asked first, done by the desk, told or refused.

Each is a coroutine of one worker; whatever is refused changes nothing.
"""

from __future__ import annotations

from rich.text import Text
from textual.app import App

from barostat.config.settings_file import SettingsPatch
from barostat.errors import BarostatError
from barostat.service.desk import Desk
from barostat.service.documents import Guest, Host
from barostat.tui.dialogs import Page, Question, refusal
from barostat.tui.settings_form import SettingsForm, differences
from barostat.units import format_size

__all__ = ["edit_settings", "toggle_enabled", "toggle_host_pause", "toggle_pause"]


async def toggle_pause(app: App[None], desk: Desk, guest: Guest) -> None:
    """Hold a VM at its size, or let it be balanced again."""
    if guest.settings is not None and guest.settings.paused:
        question = Question(f"Resume {guest.name}?", "It is balanced again from the next tick on.")
        await _change(app, desk, guest.name, SettingsPatch(paused=False), question)
        return
    keeps = f"It keeps {format_size(guest.assigned_bytes)} until it is resumed."
    question = Question(f"Pause {guest.name}?", keeps)
    await _change(app, desk, guest.name, SettingsPatch(paused=True), question)


async def toggle_enabled(app: App[None], desk: Desk, guest: Guest) -> None:
    """Turn Dynamic Memory on or off for a VM."""
    if guest.settings is not None and guest.settings.enabled:
        keeps = f"It keeps {format_size(guest.assigned_bytes)}; its settings stay."
        question = Question(f"Turn Dynamic Memory off for {guest.name}?", keeps)
        await _change(app, desk, guest.name, SettingsPatch(enabled=False), question)
        return
    gets = "It gets its settings back." if guest.settings else "It gets the default settings."
    question = Question(f"Turn Dynamic Memory on for {guest.name}?", gets)
    await _change(app, desk, guest.name, SettingsPatch(enabled=True), question)


async def _change(
    app: App[None], desk: Desk, vm: str, patch: SettingsPatch, question: Question
) -> None:
    if not await app.push_screen_wait(question):
        return
    try:
        change = await desk.change(vm, patch)
    except BarostatError as error:
        await _refused(app, error)
        return
    same = change.before.written == change.after.written
    app.notify(f"{vm}: {'it was so already' if same else 'done'}", markup=False)


async def toggle_host_pause(app: App[None], desk: Desk, host: Host) -> None:
    """Hold every VM of the host at its size, or let them be balanced again."""
    if host.paused:
        stays = "VMs that were paused by their names stay so."
        question = Question("Resume the host?", stays)
    else:
        keeps = "Every VM keeps the size it has until the host is resumed."
        question = Question("Pause the host?", keeps)
    if not await app.push_screen_wait(question):
        return
    try:
        pause = await desk.pause_host(paused=not host.paused)
    except BarostatError as error:
        await _refused(app, error)
        return
    app.notify("the host is paused" if pause.after else "the host is balanced again", markup=False)


async def edit_settings(app: App[None], desk: Desk, vm: str) -> None:
    """Show a VM's settings in a form, and change what is edited there."""
    try:
        details = await desk.details(vm)
    except BarostatError as error:
        await _refused(app, error)
        return
    change = await app.push_screen_wait(SettingsForm(desk, details.settings))
    if change is not None:
        app.notify(f"{vm}: {differences(change)}", markup=False)


async def _refused(app: App[None], error: BarostatError) -> None:
    title = Text("Nothing was changed", style="bold")
    await app.push_screen_wait(Page(title.plain, refusal(error)))
