"""Guests and their settings as rows that a person reads, made of the documents that all ways give.

A row is never wrapped or cut: where the window is too narrow, the columns that matter least are
left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rich.table import Table
from rich.text import Text

from barostat.core.pressure import Status
from barostat.service.documents import Change, Guest, Overview, SettingsView, WrittenSettings
from barostat.service.printable import printable
from barostat.units import format_size

__all__ = [
    "GUEST_COLUMNS",
    "Column",
    "change_table",
    "fitting",
    "guest_table",
    "plain_table",
    "settings_table",
    "why",
]

GAP: Final = 2
"""Blanks between two columns of a table without lines."""

_STYLES: Final = {
    Status.OK: "green",
    Status.LOW: "yellow",
    Status.WARNING: "bold red",
    Status.PAGING: "bold magenta",
    Status.UNKNOWN: "dim",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table of guests.

    `spare` says how early it is left out of a narrow table: the highest first, 0 never.
    """

    title: str
    cell: Callable[[Guest], str]
    spare: int = 0
    numeric: bool = True

    def width(self, overview: Overview) -> int:
        """Say how wide it must be."""
        cells = (printable(self.cell(guest)) for guest in overview.guests)
        return max(len(self.title), *map(len, cells), 0)


def _demand(guest: Guest) -> str:
    return "-" if guest.demand_bytes is None else format_size(guest.demand_bytes)


def _pressure(guest: Guest) -> str:
    return "-" if guest.pressure is None else f"{guest.pressure * 100:.0f} %"


STATUS: Final = Column(title="Status", cell=lambda guest: guest.status.value, numeric=False)

GUEST_COLUMNS: Final = (
    Column(title="VM", cell=lambda guest: guest.name, numeric=False),
    STATUS,
    Column(title="Assigned", cell=lambda guest: format_size(guest.assigned_bytes)),
    Column(title="Demand", cell=_demand),
    Column(title="Pressure", cell=_pressure, spare=1),
    Column(title="Target", cell=lambda guest: format_size(guest.target_bytes), spare=6),
    Column(title="Balloon", cell=lambda guest: format_size(guest.balloon_bytes), spare=3),
    Column(title="Plugged", cell=lambda guest: format_size(guest.plugged_bytes), spare=4),
    Column(title="Depth", cell=lambda guest: guest.depth.value, spare=5, numeric=False),
)
"""What Hyper-V Manager shows of every VM, by which device it has it, and how deep it is seen."""


def fitting(columns: Sequence[Column], overview: Overview, *, width: int) -> tuple[Column, ...]:
    """Leave out columns until the rest fits, or nothing more can be spared."""
    kept = list(columns)
    while sum(column.width(overview) + GAP for column in kept) - GAP > width:
        least = max(kept, key=lambda column: column.spare)
        if not least.spare:
            break
        kept.remove(least)
    return tuple(kept)


def guest_table(overview: Overview, columns: Sequence[Column]) -> Table:
    """Show every guest."""
    table = plain_table()
    for column in columns:
        table.add_column(column.title, justify="right" if column.numeric else "left", no_wrap=True)
    for guest in overview.guests:
        table.add_row(*(_styled(column, guest) for column in columns))
    return table


def _styled(column: Column, guest: Guest) -> Text:
    return Text(
        printable(column.cell(guest)), style=_STYLES[guest.status] if column is STATUS else ""
    )


def plain_table() -> Table:
    """Make a table without lines, its first column at the margin."""
    return Table(box=None, pad_edge=False, header_style="bold")


def why(overview: Overview) -> Iterator[tuple[str, str]]:
    """Say of every guest what is done with it, and why."""
    for guest in overview.guests:
        yield guest.name, guest.why


def settings_table(settings: SettingsView) -> Table:
    """Show a VM's settings: in force, and as they were written."""
    in_force = None if settings.in_force is None else settings.in_force.model_dump()
    written = None if settings.written is None else settings.written.model_dump()
    table = _settings_columns("In force", "As written")
    for key, title in _SETTINGS.items():
        table.add_row(title, _setting(key, in_force), _setting(key, written))
    return table


def change_table(change: Change) -> Table:
    """Show a VM's settings before and after a change, what is different in bold."""
    before, after = _effective(change.before), _effective(change.after)
    table = _settings_columns("Before", "After")
    for key, title in _SETTINGS.items():
        cells = _setting(key, before), _setting(key, after)
        table.add_row(title, *cells, style="" if cells[0] == cells[1] else "bold")
    return table


def _settings_columns(*titles: str) -> Table:
    table = plain_table()
    table.add_column("Setting", no_wrap=True)
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    return table


def _effective(settings: SettingsView) -> Mapping[str, int | bool | None] | None:
    """Say what is in force, or while the VM is off, what will be."""
    found = settings.in_force or settings.written
    return None if found is None else found.model_dump()


def _setting(key: str, settings: Mapping[str, int | bool | None] | None) -> str:
    """Write one setting; one that was left out has its default from the VM's devices."""
    if settings is None:
        return "-"
    value = settings[key]
    if value is None:
        return "default"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if key.endswith("_bytes"):
        return format_size(value)
    return f"{value} %" if key.endswith("_percent") else str(value)


_SETTINGS: Final = {
    name: name.removesuffix("_bytes").removesuffix("_percent")
    for name in WrittenSettings.model_fields
}
"""Every setting, and how a person calls it."""
