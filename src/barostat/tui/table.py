"""The table of VMs: sorted by any column, its cursor on the same VM whatever moves around it.

Only what changed is handed on, and only what can be seen is drawn, so that hundreds of VMs cost
little a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.events import Resize
from textual.widgets import DataTable
from textual.widgets.data_table import ColumnKey

from barostat.service.documents import Guest
from barostat.tui.columns import COLUMNS, VM, Cell, Column, Order, fit
from barostat.tui.trail import Trails

__all__ = ["GuestTable"]

_BY_KEY: Final = {column.key: column for column in COLUMNS}


class GuestTable(DataTable[Cell]):
    """Every VM in a line."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select_cursor", "Details"),
        Binding("home", "scroll_top", show=False),
        Binding("end", "scroll_bottom", show=False),
        Binding("less_than_sign", "sort(-1)", "Sort", key_display="<>"),
        Binding("greater_than_sign", "sort(1)", "Sort", show=False),
        Binding("r", "turn_round", "Reverse", show=False),
    ]

    def __init__(self, trails: Trails) -> None:
        super().__init__(cursor_type="row", zebra_stripes=False)
        self._trails = trails
        self._order = Order(column=VM)
        self._fitted: tuple[tuple[Column, int], ...] = ()
        self._guests: dict[str, Guest] = {}
        self._names: list[str] = []

    @property
    def chosen(self) -> Guest | None:
        """The VM under the cursor."""
        row = self.cursor_row
        return self._guests[self._names[row]] if 0 <= row < len(self._names) else None

    def show(self, guests: Sequence[Guest]) -> None:
        """Show VMs as they are now."""
        self._guests = {guest.name: guest for guest in guests}
        self._draw()

    def _draw(self) -> None:
        fitted = self._fit()
        names = [guest.name for guest in self._order.sorted(list(self._guests.values()))]
        if fitted != self._fitted or set(names) != set(self._names):
            self._fitted = fitted
            self._rebuild(names)
            return
        for name in names:
            for column, width in fitted:
                cell = self._cell(name, column, width)
                if self.get_cell(name, column.key) != cell:
                    self.update_cell(name, column.key, cell)
        if names != self._names:
            self._reorder(names)

    def _fit(self) -> tuple[tuple[Column, int], ...]:
        longest = max((len(name) for name in self._guests), default=0)
        bar = self.styles.scrollbar_size_vertical  # comes and goes; the columns stay
        return fit(self.size.width - bar, longest_name=longest)

    def _cell(self, name: str, column: Column, width: int) -> Cell:
        return Cell(column.value(self._guests[name], self._trails, width), column, width)

    def _rebuild(self, names: list[str]) -> None:
        chosen = self._chosen_name()
        top = self.scroll_y
        self.clear(columns=True)
        for column, width in self._fitted:
            self.add_column(self._title(column), key=column.key, width=width)
        self._names = names
        for name in names:
            self.add_row(
                *(self._cell(name, column, width) for column, width in self._fitted), key=name
            )
        self._choose(chosen)
        self.scroll_to(y=top, animate=False)

    def _reorder(self, names: list[str]) -> None:
        chosen = self._chosen_name()
        rank = {name: place for place, name in enumerate(names)}
        self._names = names
        self.sort(VM.key, key=lambda cell: rank[cell.value])
        self._choose(chosen)

    def _chosen_name(self) -> str | None:
        row = self.cursor_row
        return self._names[row] if 0 <= row < len(self._names) else None

    def _choose(self, name: str | None) -> None:
        if name in self._guests and name is not None:
            self.move_cursor(row=self._names.index(name), scroll=False)

    def _title(self, column: Column) -> Text:
        chosen = column is self._order.column
        title = f"{column.title}{self._order.arrow}" if chosen else column.title
        figures = column.title in {"Assigned", "Demand", "Pressure"}
        return Text(title, justify="right" if figures else "left", style="bold" if chosen else "")

    def _sort_by(self, order: Order) -> None:
        self._order = order
        for column, _ in self._fitted:
            self.columns[ColumnKey(column.key)].label = self._title(column)
        self._reorder([guest.name for guest in order.sorted(list(self._guests.values()))])

    def action_sort(self, step: int) -> None:
        """Sort by the column to the left or right."""
        keys = [column.key for column, _ in self._fitted]
        here = self._order.column.key
        place = keys.index(here) if here in keys else 0
        self._sort_by(Order(column=_BY_KEY[keys[(place + step) % len(keys)]]))

    def action_turn_round(self) -> None:
        """Sort the other way round."""
        self._sort_by(Order(column=self._order.column, reverse=not self._order.reverse))

    def on_data_table_header_selected(self, event: DataTable.HeaderSelected) -> None:
        """Sort by the column that was clicked on; the other way round on a second click."""
        event.stop()
        column = _BY_KEY[str(event.column_key.value)]
        again = column is self._order.column
        self._sort_by(Order(column=column, reverse=again and not self._order.reverse))

    def on_resize(self, event: Resize) -> None:
        """Give the columns the room that there is."""
        del event
        if self._guests:
            self._draw()
