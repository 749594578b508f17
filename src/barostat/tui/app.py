"""The screen of `barostat top`: the host above, the VMs below, and the last reason of one of them.

It is drawn anew with every look, about once a second, and says how old what it shows is as soon as
that is older than it should be.
"""

from __future__ import annotations

import os
import time
from collections.abc import Coroutine
from contextlib import aclosing
from typing import Any, ClassVar, Final

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Footer, Static

from barostat.errors import BarostatError
from barostat.service.desk import Desk
from barostat.service.documents import Guest
from barostat.service.printable import printable
from barostat.tui import doing, host
from barostat.tui.cells import RED, YELLOW
from barostat.tui.details import Details
from barostat.tui.dialogs import Page
from barostat.tui.following import Seen, follow
from barostat.tui.help import help_text
from barostat.tui.table import GuestTable
from barostat.tui.trail import Trails

__all__ = ["TopApp"]

LATE_S: Final = 4.0
"""Looks come every second. What is older than this is said to be old."""

TROUBLES_SHOWN: Final = 3


class TopApp(App[None]):
    """Shows what a desk says, and asks it for what an operator wants.

    Args:
        desk: who is asked.
        where: who that is, for people.
        whole_host: whether the host as a whole can be paused there.
    """

    CSS_PATH = "top.tcss"
    TITLE = "barostat top"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "do('pause')", "Pause"),
        Binding("e", "do('enable')", "On/off"),
        Binding("s", "do('set')", "Set"),
        Binding("P", "do('host')", "Host"),
        Binding("a", "alarms", "Alarms", show=False),
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("q", "quit", "Quit"),
    ]

    def __init__(self, desk: Desk, *, where: str, whole_host: bool) -> None:
        if not os.environ.get("NO_COLOR"):
            os.environ.pop("NO_COLOR", None)  # empty means nothing; Textual takes it for a yes
        super().__init__(ansi_color="NO_COLOR" in os.environ)
        self._desk = desk
        self._where = where
        self._whole_host = whole_host
        self._trails = Trails()
        self._seen: Seen | None = None
        self._seen_at_s = time.monotonic()
        self._trouble: BarostatError | None = None

    def compose(self) -> ComposeResult:
        """Lay out the screen."""
        yield Static(id="title")
        yield Static(id="bar")
        yield Static(id="legend")
        yield Static(id="troubles")
        yield GuestTable(self._trails)
        yield Static(id="why")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Begin to look."""
        self.query_one(GuestTable).focus()
        self.run_worker(self._follow(), name="follow")
        self.set_interval(1.0, self._draw_title)

    async def _follow(self) -> None:
        async with aclosing(follow(self._desk)) as looks:
            async for found in looks:
                if isinstance(found, BarostatError):
                    self._trouble = found
                    self._draw_title()
                else:
                    self.show(found)

    def show(self, seen: Seen) -> None:
        """Show what was seen last."""
        self._seen, self._trouble = seen, None
        self._seen_at_s = time.monotonic() - seen.overview.host.age_s
        self._trails.note(seen.overview.guests, now_s=self._seen_at_s)
        main = self.screen_stack[0]
        with self.batch_update():
            main.query_one(GuestTable).show(seen.overview.guests)
            self._draw_title()
            self._draw_host()
            self._draw_why()
            for screen in self.screen_stack:
                if isinstance(screen, Details):
                    screen.show(seen)

    def _draw_title(self) -> None:
        """Say who is asked, and how old the figures are where that matters."""
        for screen in self.screen_stack:
            for title in screen.query("#title").results(Static):
                title.update(self._title())

    def _title(self) -> Text:
        age_s = time.monotonic() - self._seen_at_s
        if self._trouble is not None:
            why = printable(self._trouble.message)
            lost = f" {why}: trying again; what is shown is {age_s:.0f} s old "
            return Text(lost, style=f"bold reverse {RED}")
        if age_s > LATE_S:
            old = f" no look for {age_s:.0f} s: what is shown is old "
            return Text(old, style=f"bold reverse {YELLOW}")
        drawn = Text("barostat top", style="bold", no_wrap=True, overflow="ellipsis")
        if self._seen is not None:
            drawn.append("  ").append_text(host.count_line(self._seen.overview))
        return drawn.append("  ").append(self._where, "dim")

    def _draw_host(self) -> None:
        if self._seen is None:
            return
        main, overview = self.screen_stack[0], self._seen.overview
        bar = main.query_one("#bar", Static)
        bar.update(host.host_bar(self._seen, width=max(1, bar.size.width)))
        state = host.state_line(overview)
        main.query_one("#legend", Static).update(Text("\n").join([host.legend(self._seen), state]))
        found = host.troubles(overview)
        shown = list(found[:TROUBLES_SHOWN])
        if len(found) > TROUBLES_SHOWN:
            shown.append(Text(f"and {len(found) - TROUBLES_SHOWN} more: a shows all", "dim"))
        troubles = main.query_one("#troubles", Static)
        troubles.update(Text("\n").join(shown))
        troubles.display = bool(shown)

    def _draw_why(self) -> None:
        guest = self._chosen()
        what = Text("no VM runs", "dim")
        if guest is not None:
            what = Text.assemble((guest.name, "bold"), f": {guest.why}")
        self.screen_stack[0].query_one("#why", Static).update(what)

    def _chosen(self) -> Guest | None:
        """Say which VM is meant: the one whose details are shown, or the one under the cursor."""
        if isinstance(self.screen, Details) and self._seen is not None:
            name = self.screen.guest
            return next((item for item in self._seen.overview.guests if item.name == name), None)
        return self.screen_stack[0].query_one(GuestTable).chosen

    def on_data_table_row_highlighted(self) -> None:
        """Say the reason of the VM that the cursor went to."""
        self._draw_why()

    def on_data_table_row_selected(self) -> None:
        """Show all about a VM."""
        guest = self._chosen()
        if guest is not None and self._seen is not None:
            self.push_screen(Details(guest.name, self._trails, self._seen))
            self.call_after_refresh(self._draw_title)

    def action_help(self) -> None:
        """Say what the keys do."""
        self.push_screen(Page("Help", help_text()))

    def action_alarms(self) -> None:
        """Show every alarm and fault."""
        found = () if self._seen is None else host.troubles(self._seen.overview)
        text = Text("\n").join(found) if found else Text("there are none")
        self.push_screen(Page("Alarms and faults", text))

    def action_do(self, what: str) -> None:
        """Do something with the VM that is chosen, or with the host, after a question."""
        work = self._work(what)
        if work is not None:
            self.run_worker(work, group="doing", exclusive=True)

    def _work(self, what: str) -> Coroutine[Any, Any, None] | None:
        guest, seen, desk = self._chosen(), self._seen, self._desk
        if what == "host":
            if seen is None:
                return None
            return doing.toggle_host_pause(self, desk, seen.overview.host)
        if guest is None:
            return None
        match what:
            case "pause":
                return doing.toggle_pause(self, desk, guest)
            case "enable":
                return doing.toggle_enabled(self, desk, guest)
            case _:
                return doing.edit_settings(self, desk, guest.name)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer what can be done here: nothing below a question, the host where a daemon is."""
        if action == "do" and self.screen.is_modal:
            return False
        return not (action == "do" and parameters == ("host",) and not self._whole_host)
