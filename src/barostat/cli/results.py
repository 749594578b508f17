"""What runs came to, for people: side by side, and the noteworthy in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.table import Table

from barostat.cli.tables import plain_table
from barostat.lab.report import GuestSummary, Report, Summary
from barostat.units import format_size

__all__ = ["compare", "highlights", "is_bad"]

BREACHES_SHOWN: Final = 5
"""One fault of ours breaks a rule in every second of a run."""


def is_bad(report: Report) -> bool:
    """Say whether a rule was broken or a guest's kernel had to kill."""
    return bool(report.summary.invariant_breaches or report.summary.oom_kills)


def compare(reports: Sequence[Report]) -> Table:
    """Put runs of one scenario side by side."""
    table = plain_table()
    table.add_column("", no_wrap=True)
    for report in reports:
        table.add_column(report.policy, justify="right", no_wrap=True)
    sums = [report.summary for report in reports]
    for title, *cells in (*_whole_rows(sums), *_guest_rows(sums)):
        table.add_row(title, *cells)
    return table


def _whole_rows(sums: Sequence[Summary]) -> Iterator[tuple[str, ...]]:
    yield "stalled, all guests", *(f"{item.stall_seconds:.1f} s" for item in sums)
    yield "swapped in", *(format_size(item.swap_in_bytes) for item in sums)
    yield "kills by a guest's kernel", *(str(item.oom_kills) for item in sums)
    yield "rules broken", *(str(item.invariant_breaches) for item in sums)
    yield "memory moved", *(format_size(item.bytes_moved) for item in sums)


def _guest_rows(sums: Sequence[Summary]) -> Iterator[tuple[str, ...]]:
    for name in sums[0].guests:
        guests = [item.guests[name] for item in sums]
        yield f"{name}: assigned", *(_span(guest) for guest in guests)
        yield f"{name}: stalled", *(f"{guest.stall_seconds:.1f} s" for guest in guests)


def _span(guest: GuestSummary) -> str:
    low, high = guest.minimum_assigned_bytes, guest.maximum_assigned_bytes
    return format_size(low) if low == high else f"{format_size(low)} to {format_size(high)}"


def highlights(report: Report) -> list[str]:
    """Say what the run showed, from what was measured in it."""
    lines: list[str] = []
    for name, guest in report.summary.guests.items():
        lines += _guest_highlights(name, guest)
    for name in report.summary.refused_guests:
        lines.append(f"{name} never started: its startup memory could not be had")
    lines += [f"RULE BROKEN: {breach}" for breach in report.breaches[:BREACHES_SHOWN]]
    unsaid = len(report.breaches) - BREACHES_SHOWN
    if unsaid > 0:
        lines.append(f"and {unsaid} times more; --output json shows them all")
    return lines or ["nothing was moved"]


def _guest_highlights(name: str, guest: GuestSummary) -> Iterator[str]:
    if guest.peak_plugged_bytes:
        size = format_size(guest.maximum_assigned_bytes)
        yield f"{name} grew past its boot size by hot-add, to {size}"
    if guest.ballooned_bytes:
        yield f"{name} gave {format_size(guest.ballooned_bytes)} through its balloon"
    if guest.unplugged_bytes:
        yield f"{name} gave {format_size(guest.unplugged_bytes)} by unplugging"
    if guest.swap_out_bytes:
        out = format_size(guest.swap_out_bytes)
        yield f"{name}'s own kernel paged out {out}, what it used least"
