"""Guests as rows that a person reads, the same in `list`, `demo` and `lab`.

A row is never wrapped or cut: where the window is too narrow, the columns that matter least are
left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rich.table import Table
from rich.text import Text

from barostat.core.decide import Decision, GuestDecision
from barostat.core.explain import sentence, summary
from barostat.core.pressure import Status
from barostat.units import format_size

__all__ = ["GUEST_COLUMNS", "Column", "fitting", "guest_table", "host_line", "plain_table", "why"]

GAP: Final = 2
"""Blanks between two columns of a table without lines."""

_STYLES: Final = {
    Status.OK: "green",
    Status.LOW: "yellow",
    Status.WARNING: "bold red",
    Status.UNKNOWN: "dim",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table of guests.

    `spare` says how early it is left out of a narrow table: the highest first, 0 never.
    """

    title: str
    cell: Callable[[GuestDecision], str]
    spare: int = 0
    numeric: bool = True

    def width(self, decision: Decision) -> int:
        """Say how wide it must be."""
        return max(len(self.title), *(len(self.cell(guest)) for guest in decision.guests), 0)


def _demand(guest: GuestDecision) -> str:
    return "-" if guest.demand_bytes is None else format_size(guest.demand_bytes)


def _pressure(guest: GuestDecision) -> str:
    return "-" if guest.pressure is None else f"{guest.pressure * 100:.0f} %"


STATUS: Final = Column(title="Status", cell=lambda guest: guest.status.value, numeric=False)

GUEST_COLUMNS: Final = (
    Column(title="VM", cell=lambda guest: guest.guest, numeric=False),
    STATUS,
    Column(title="Assigned", cell=lambda guest: format_size(guest.assigned_bytes)),
    Column(title="Demand", cell=_demand),
    Column(title="Pressure", cell=_pressure, spare=1),
    Column(title="Target", cell=lambda guest: format_size(guest.target_bytes), spare=6),
    Column(title="Balloon", cell=lambda guest: format_size(guest.balloon_bytes), spare=3),
    Column(title="Plugged", cell=lambda guest: format_size(guest.plugged_bytes), spare=4),
)
"""What Hyper-V Manager shows of every VM, and by which device it has it."""


def fitting(columns: Sequence[Column], decision: Decision, *, width: int) -> tuple[Column, ...]:
    """Leave out columns until the rest fits, or nothing more can be spared."""
    kept = list(columns)
    while sum(column.width(decision) + GAP for column in kept) - GAP > width:
        least = max(kept, key=lambda column: column.spare)
        if not least.spare:
            break
        kept.remove(least)
    return tuple(kept)


def guest_table(decision: Decision, columns: Sequence[Column]) -> Table:
    """Show every guest."""
    table = plain_table()
    for column in columns:
        table.add_column(column.title, justify="right" if column.numeric else "left", no_wrap=True)
    for guest in decision.guests:
        table.add_row(*(_styled(column, guest) for column in columns))
    return table


def _styled(column: Column, guest: GuestDecision) -> Text:
    return Text(column.cell(guest), style=_STYLES[guest.status] if column is STATUS else "")


def plain_table() -> Table:
    """Make a table without lines, its first column at the margin."""
    return Table(box=None, pad_edge=False, header_style="bold")


def why(decision: Decision) -> Iterator[tuple[str, str]]:
    """Say of every guest what is done with it, and why."""
    for guest in decision.guests:
        if guest.move is not None:
            yield guest.guest, summary(guest.move).removeprefix(f"{guest.guest}: ")
        else:
            reasons = "; ".join(sentence(reason) for reason in guest.reasons)
            yield guest.guest, f"hold at {format_size(guest.assigned_bytes)}: {reasons}"


def host_line(decision: Decision) -> str:
    """Say in one line how the host's memory stands."""
    return (
        f"capacity {format_size(decision.capacity_bytes)}, "
        f"promised {format_size(decision.promised_bytes)}, "
        f"in hand {format_size(decision.in_hand_bytes)} "
        f"(kept for urgent grows: {format_size(decision.pool_bytes)}), "
        f"memory: {decision.tier.value.replace('_', ' ')}"
    )
