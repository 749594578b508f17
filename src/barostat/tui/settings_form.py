"""The form that changes a VM's settings: as they stand, edited, and refused with every fault."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Label, Static

from barostat.config.settings_words import read_settings_words
from barostat.errors import BarostatError
from barostat.service.desk import Desk
from barostat.service.documents import Change, SettingsView
from barostat.service.printable import printable
from barostat.tui.cells import RED
from barostat.tui.dialogs import Question, refusal
from barostat.units import format_size

__all__ = ["SettingsForm", "differences"]

_FIELDS: Final = {
    "startup_bytes": ("startup", "what it boots with; fixed while it runs"),
    "minimum_bytes": ("minimum", "always its own; while it runs only lower"),
    "maximum_bytes": ("maximum", "its largest size; while it runs only more"),
    "buffer_percent": ("buffer", "percent above its demand, 5 to 2000"),
    "weight": ("weight", "its rank when memory is short, 0 to 10000"),
}


def shown(settings: SettingsView) -> Mapping[str, str]:
    """Write settings as a person does: those in force, or those that would be."""
    found = settings.in_force or settings.written
    if found is None:
        return dict.fromkeys(_FIELDS, "")
    return {key: _word(key, getattr(found, key)) for key in _FIELDS}


def _word(key: str, value: int | None) -> str:
    if value is None:
        return ""
    return format_size(value) if key.endswith("_bytes") else str(value)


def differences(change: Change) -> str:
    """Say what a change did, setting by setting."""
    before, after = shown(change.before), shown(change.after)
    changed = [
        f"{name} {before[key] or 'default'} → {after[key] or 'default'}"
        for key, (name, _) in _FIELDS.items()
        if before[key] != after[key]
    ]
    return ", ".join(changed) or "nothing was different"


class SettingsForm(ModalScreen[Change]):
    """Shows a VM's settings, and changes those that were edited."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "Change", priority=True),
        Binding("escape", "dismiss", "Leave"),
        Binding("down", "app.focus_next", show=False),
        Binding("up", "app.focus_previous", show=False),
    ]

    def __init__(self, desk: Desk, settings: SettingsView) -> None:
        super().__init__()
        self._desk = desk
        self._vm = settings.guest
        self._before = shown(settings)
        self._faults = settings.faults

    def compose(self) -> ComposeResult:
        """Lay out a line for each setting."""
        with VerticalScroll(classes="dialog", can_focus=False):
            yield Static(Text(f"Settings of {self._vm}", style="bold"), id="what")
            for key, (name, about) in _FIELDS.items():
                with Horizontal(classes="field"):
                    yield Label(name)
                    yield Input(self._before[key], id=key, compact=True, select_on_focus=True)
                    yield Label(about, classes="about")
            yield Static(self._standing_faults(), id="refusal")
            keys = ("Enter", "bold"), " change    ", ("Tab ↑↓", "bold"), " next    "
            yield Static(Text.assemble(*keys, ("Esc", "bold"), " leave as it is"), id="keys")

    def _standing_faults(self) -> Text:
        lines = (f"what is written cannot be used: {printable(fault)}" for fault in self._faults)
        return Text("\n".join(lines), style=RED)

    def _words(self) -> dict[str, str]:
        """Give what was edited."""
        given = {field.id or "": field.value.strip() for field in self.query(Input)}
        return {key: word for key, word in given.items() if word != self._before[key]}

    def action_submit(self) -> None:
        """Ask whether to change what was edited, and change it."""
        self.run_worker(self._submit(), exclusive=True)

    async def _submit(self) -> None:
        words = self._words()
        if not words:
            self._refuse(Text("nothing was edited"))
            return
        try:
            patch = read_settings_words(
                self._vm, {key: word or None for key, word in words.items()}
            )
            if await self.app.push_screen_wait(self._question(words)):
                self.dismiss(await self._desk.change(self._vm, patch))
        except BarostatError as error:
            self._refuse(refusal(error))

    def _question(self, words: Mapping[str, str]) -> Question:
        edited = (
            f"{_FIELDS[key][0]}: {self._before[key] or 'default'} → {word or 'default'}"
            for key, word in words.items()
        )
        return Question(f"Change the settings of {self._vm}?", "\n".join(edited))

    def _refuse(self, why: Text) -> None:
        self.query_one("#refusal", Static).update(why)
