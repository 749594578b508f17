"""The columns of the table of VMs: what they hold, how they sort, and how wide they get.

Where the window is too narrow, the columns that matter least are left out; none is ever wrapped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.text import Text

from barostat.core.observation import Depth
from barostat.core.pressure import Status
from barostat.service.documents import Guest
from barostat.tui import cells
from barostat.tui.trail import Trails

__all__ = ["COLUMNS", "VM", "Cell", "Column", "Order", "fit"]

PADDING: Final = 2
"""Blanks that every column takes beside its own width."""

_DEPTHS: Final = tuple(Depth)

_URGENCY: Final = {
    status: rank
    for rank, status in enumerate(
        (Status.PAGING, Status.WARNING, Status.LOW, Status.OK, Status.UNKNOWN)
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column.

    Attributes:
        key: its name in the program.
        title: its name for people.
        least, most: how wide it may be.
        value: what it holds of a VM, in `width` signs at most; what is equal looks equal.
        draw: makes text of that value.
        order: what it sorts by.
        falling: whether the largest comes first.
        spare: how early it is left out of a narrow table: the highest first, 0 never.
    """

    key: str
    title: str
    least: int
    most: int
    value: Callable[[Guest, Trails, int], Any]
    draw: Callable[[Any, int], Text]
    order: Callable[[Guest], Any]
    falling: bool = False
    spare: int = 0


@dataclass(frozen=True, slots=True)
class Cell:
    """A value that is drawn only when it is looked at."""

    value: Any
    column: Column
    width: int

    def __rich__(self) -> Text:
        """Draw it."""
        return self.column.draw(self.value, self.width)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """By which column, and whether the other way round than it has it by itself."""

    column: Column
    reverse: bool = False

    def sorted(self, guests: Sequence[Guest]) -> list[Guest]:
        """Sort VMs; equal ones by their names."""
        named = sorted(guests, key=lambda guest: guest.name)
        falling = self.column.falling != self.reverse
        return sorted(named, key=self.column.order, reverse=falling)

    @property
    def arrow(self) -> str:
        """Show which way it goes."""
        return "▼" if self.column.falling != self.reverse else "▲"


def _figure(
    key: str, title: str, value: Callable[[Guest], str], order: Callable[[Guest], Any], spare: int
) -> Column:
    return Column(
        key=key,
        title=title,
        least=9,
        most=9,
        value=lambda guest, _, __: value(guest),
        draw=lambda text, _: cells.number(text),
        order=order,
        falling=True,
        spare=spare,
    )


def _or_least(value: float | None) -> float:
    """Put what is not known below everything."""
    return -1 if value is None else value


def _bar(guest: Guest, _: Trails, __: int) -> tuple[int, int, int]:
    scale = guest.ceiling_bytes if guest.settings is None else guest.settings.maximum_bytes
    return guest.assigned_bytes, guest.target_bytes, scale


VM: Final = Column(
    key="vm",
    title="VM",
    least=8,
    most=28,
    value=lambda guest, _, __: guest.name,
    draw=lambda text, _: cells.words(text),
    order=lambda guest: guest.name,
)

COLUMNS: Final = (
    VM,
    Column(
        key="status",
        title="Status",
        least=7,
        most=7,
        value=lambda guest, _, __: guest.status,
        draw=lambda found, _: cells.status(found),
        order=lambda guest: _URGENCY[guest.status],
    ),
    _figure(
        "assigned",
        "Assigned",
        lambda guest: cells.size(guest.assigned_bytes),
        lambda guest: guest.assigned_bytes,
        spare=0,
    ),
    _figure(
        "demand",
        "Demand",
        lambda guest: cells.size(guest.demand_bytes),
        lambda guest: _or_least(guest.demand_bytes),
        spare=0,
    ),
    _figure(
        "pressure",
        "Pressure",
        lambda guest: cells.percent(guest.pressure),
        lambda guest: _or_least(guest.pressure),
        spare=2,
    ),
    Column(
        key="target",
        title="Target",
        least=8,
        most=16,
        value=_bar,
        draw=lambda found, width: cells.bar(*found, width=width),
        order=lambda guest: abs(guest.target_bytes - guest.assigned_bytes),
        falling=True,
        spare=3,
    ),
    Column(
        key="trail",
        title="Trend",
        least=8,
        most=24,
        value=lambda guest, trails, width: trails.of(guest.name, width),
        draw=lambda found, width: cells.sparkline(found, width=width),
        order=lambda guest: _or_least(guest.pressure),
        falling=True,
        spare=4,
    ),
    Column(
        key="depth",
        title="Depth",
        least=7,
        most=7,
        value=lambda guest, _, __: guest.depth.value,
        draw=lambda text, _: cells.words(text),
        order=lambda guest: _DEPTHS.index(guest.depth),
        spare=6,
    ),
    Column(
        key="why",
        title="Why",
        least=24,
        most=200,
        value=lambda guest, _, __: guest.why,
        draw=lambda text, _: cells.words(text),
        order=lambda guest: guest.why,
        spare=5,
    ),
)


def fit(width: int, *, longest_name: int) -> tuple[tuple[Column, int], ...]:
    """Choose columns for a window, and say how wide each is.

    Names get what they need first; then every column in turn what it can use of the rest.

    Args:
        width: of the window.
        longest_name: how long the names of VMs are.
    """
    least = {column.key: column.least for column in COLUMNS}
    least["vm"] = max(VM.least, min(longest_name, VM.most))
    kept = list(COLUMNS)
    while (left := width - sum(least[column.key] + PADDING for column in kept)) < 0:
        first = max(kept, key=lambda column: column.spare)
        if not first.spare:
            break
        kept.remove(first)
    fitted = []
    for column in kept:
        more = 0 if column is VM else max(0, min(left, column.most - least[column.key]))
        left -= more
        fitted.append((column, least[column.key] + more))
    return tuple(fitted)
