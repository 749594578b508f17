"""What is asked before anything is changed, and what is said when it is refused."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from barostat.errors import BarostatError, SettingsError
from barostat.service.printable import printable
from barostat.tui.cells import RED

__all__ = ["Page", "Question", "refusal"]


class Question(ModalScreen[bool]):
    """Asks whether to do something; anything but yes is no."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes"),
        Binding("n,escape,q", "answer(False)", "No"),
    ]

    def __init__(self, what: str, consequence: str) -> None:
        super().__init__()
        self._what = what
        self._consequence = consequence

    def compose(self) -> ComposeResult:
        """Lay out the question."""
        with Vertical(classes="dialog"):
            yield Static(Text(self._what, style="bold"), id="what")
            yield Static(Text(self._consequence), id="consequence")
            yield Static(Text.assemble(("y", "bold"), " yes    ", ("n", "bold"), " no"), id="keys")

    def action_answer(self, yes: bool) -> None:
        """Give the answer."""
        self.dismiss(yes)


class Page(ModalScreen[None]):
    """Shows a text until it is put away."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter,question_mark", "dismiss", "Close")
    ]

    def __init__(self, title: str, text: Text) -> None:
        super().__init__()
        self._title = title
        self._text = text

    def compose(self) -> ComposeResult:
        """Lay out the text."""
        with VerticalScroll(classes="dialog"):
            yield Static(Text(self._title, style="bold"), id="what")
            yield Static(self._text, id="text")
            yield Static(Text.assemble(("Esc", "bold"), " close"), id="keys")


def refusal(error: BarostatError) -> Text:
    """Say what was refused and why: every fault, and what to do."""
    faults = error.faults if isinstance(error, SettingsError) else ()
    drawn = Text(
        printable(
            error.message.removesuffix("; ".join(faults)).rstrip() if faults else error.message
        )
    )
    for fault in faults:
        drawn.append(f"\n  - {printable(fault)}", RED)
    if error.hint:
        drawn.append(f"\nhint: {printable(error.hint)}", "dim")
    return drawn
