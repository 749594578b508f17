"""All about one VM, as it is now: why it has what it has, its settings, its devices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import Footer, Static

from barostat.doctor.depths import deeper
from barostat.service.documents import Guest, Host, Program
from barostat.service.explaining import explain
from barostat.tui import cells
from barostat.tui.following import Seen
from barostat.tui.trail import STEPS_KEPT, Trails
from barostat.units import format_size

__all__ = ["Details"]


class Details(Screen[None]):
    """Shows one VM, until it is put away. What may be done with it is the app's to do."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q", "dismiss", "Back", key_display="esc")
    ]

    def __init__(self, guest: str, trails: Trails, seen: Seen) -> None:
        super().__init__()
        self.guest = guest
        self._trails = trails
        self._seen = seen

    def compose(self) -> ComposeResult:
        """Lay out one long page below the title that all screens have."""
        yield Static(id="title")
        with VerticalScroll(id="page"):
            yield Static(self._page(), id="details")
        yield Footer(show_command_palette=False)

    def show(self, seen: Seen) -> None:
        """Show it as it is now."""
        self._seen = seen
        if self.is_mounted:
            self.query_one("#details", Static).update(self._page())

    def _page(self) -> RenderableType:
        overview = self._seen.overview
        guest = next((item for item in overview.guests if item.name == self.guest), None)
        if guest is None:
            fault = next((item for item in overview.faults if item.name == self.guest), None)
            why = "it does not run" if fault is None else f"{fault.message}; {fault.hint}"
            return Text.assemble((self.guest, "bold"), f" is not seen now: {why}.")
        return Group(*self._parts(guest, overview.host))

    def _parts(self, guest: Guest, host: Host) -> Iterator[RenderableType]:
        yield Text.assemble((guest.name, "bold"), "  ", cells.status(guest.status))
        yield ""
        yield from (Text(sentence) for sentence in explain(guest, host))
        yield ""
        yield _facts("Pressure", self._pressure(guest))
        yield _facts("Memory", _memory(guest))
        yield _facts("Settings", _settings(guest))
        yield _facts("Devices", _devices(guest))
        yield _facts("Seen into", _depth(guest))

    def _pressure(self, guest: Guest) -> Iterator[tuple[str, RenderableType]]:
        yield "now", cells.percent(guest.pressure)
        trail = self._trails.of(guest.name, STEPS_KEPT)
        yield "lately", cells.sparkline(trail, width=max(1, len(trail)))


def _facts(title: str, facts: Iterator[tuple[str, RenderableType]]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(width=10, style="bold")
    table.add_column(width=16, style="dim")
    table.add_column()
    for number, (what, value) in enumerate(facts):
        table.add_row("" if number else title, what, value)
    table.add_row("")
    return table


def _memory(guest: Guest) -> Iterator[tuple[str, RenderableType]]:
    yield "assigned", format_size(guest.assigned_bytes)
    yield "demand", cells.size(guest.demand_bytes)
    yield "available in it", cells.size(guest.available_bytes)
    yield "target", format_size(guest.target_bytes)
    yield "in plenty", format_size(guest.want_bytes)
    yield "promised", format_size(guest.promised_bytes)
    yield "swapped out", cells.size(guest.swapped_out_bytes)


def _settings(guest: Guest) -> Iterator[tuple[str, RenderableType]]:
    settings = guest.settings
    if settings is None:
        yield "none", "it keeps its size; e gives it the defaults"
        return
    yield "startup", format_size(settings.startup_bytes)
    yield "minimum", format_size(settings.minimum_bytes)
    yield "maximum", format_size(settings.maximum_bytes)
    yield "buffer", f"{settings.buffer_percent} %"
    yield "weight", str(settings.weight)
    yield "Dynamic Memory", "on" if settings.enabled else "off"
    yield "paused", "yes" if settings.paused else "no"


def _depth(guest: Guest) -> Iterator[tuple[str, RenderableType]]:
    yield "depth", guest.depth.value
    if guest.program is not None:
        yield from _program(guest.program)
    if next_depth := deeper(guest.depth, has_balloon=guest.has_balloon):
        yield "deeper", next_depth


def _program(program: Program) -> Iterator[tuple[str, RenderableType]]:
    if program.fault is not None:
        yield "not believed", Text(program.fault, style=f"bold {cells.YELLOW}")
    yield "its version", program.version or "-"
    yield "kernel", program.kernel or "-"
    yield "plugged is", program.onlining or "-"
    yield "memory blocks", cells.size(program.block_bytes)
    yield "committed", cells.size(program.committed_bytes)
    yield "swap", f"{cells.size(program.swap_bytes)}, {cells.size(program.swap_free_bytes)} free"
    yield "hook", "called before a shrink" if program.hook else "none"


def _devices(guest: Guest) -> Iterator[tuple[str, RenderableType]]:
    yield "boot RAM", format_size(guest.boot_bytes)
    if not guest.has_balloon:
        yield "balloon", "none: it is counted at its full size, and never moved"
    else:
        gives_way = "gives" if guest.deflate_on_oom else "does not give"
        size = format_size(guest.balloon_bytes)
        yield "balloon", f"{size}; {gives_way} way before its kernel kills"
    region_bytes = guest.ceiling_bytes - guest.boot_bytes
    plugged = f"{format_size(guest.plugged_bytes)} of {format_size(region_bytes)} plugged"
    yield "virtio-mem", plugged if region_bytes > 0 else "none: it cannot grow past its boot RAM"
    yield "runs", guest.run_state.value
    spoke = guest.statistics_age_s
    yield "it spoke", "not yet" if spoke is None else f"{spoke:.0f} s ago"
    yield "QEMU answered", f"{guest.seen_age_s:.0f} s ago"
    if guest.fault is not None:
        yield "fault", Text(guest.fault, style=f"bold {cells.YELLOW}")
