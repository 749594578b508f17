"""Guests as rows that a person reads, the same in `list`, `demo` and `lab`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from barostat.core.decide import Decision, GuestDecision
from barostat.core.explain import reason_json, sentence, summary
from barostat.core.pressure import Status
from barostat.units import format_size

__all__ = ["guest_json", "guest_table", "host_json", "host_line", "status_sentence", "why_lines"]

_STYLES: Final = {
    Status.OK: "green",
    Status.LOW: "yellow",
    Status.WARNING: "bold red",
    Status.UNKNOWN: "dim",
}


def why_lines(decision: Decision) -> Iterator[str]:
    """Say of every guest what is done with it, and why, a line each."""
    for guest in decision.guests:
        if guest.move is not None:
            yield summary(guest.move)
        else:
            why = "; ".join(sentence(reason) for reason in guest.reasons)
            yield f"{guest.guest}: hold at {format_size(guest.assigned_bytes)}: {why}"


def guest_table(decision: Decision, *, extra: Sequence[tuple[str, dict[str, str]]] = ()) -> Table:
    """Show every guest as Hyper-V Manager does.

    Args:
        decision: what was decided.
        extra: more columns, each a title and a text for each guest's name.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("VM", no_wrap=True)
    table.add_column("Status", no_wrap=True)
    for title in ("Assigned", "Demand", "Pressure", "Target", "Balloon", "Plugged"):
        table.add_column(title, justify="right", no_wrap=True)
    for title, _ in extra:
        table.add_column(title, justify="right", no_wrap=True)
    for guest in decision.guests:
        table.add_row(*_cells(guest), *(cells.get(guest.guest, "") for _, cells in extra))
    return table


def _cells(guest: GuestDecision) -> tuple[str | Text, ...]:
    demand = "-" if guest.demand_bytes is None else format_size(guest.demand_bytes)
    pressure = "-" if guest.pressure is None else f"{guest.pressure * 100:.0f} %"
    return (
        guest.guest,
        Text(guest.status.value, style=_STYLES[guest.status]),
        format_size(guest.assigned_bytes),
        demand,
        pressure,
        format_size(guest.target_bytes),
        format_size(guest.balloon_bytes),
        format_size(guest.plugged_bytes),
    )


def host_line(decision: Decision) -> str:
    """Say in one line how the host's memory stands."""
    return (
        f"capacity {format_size(decision.capacity_bytes)}, "
        f"promised {format_size(decision.promised_bytes)}, "
        f"in hand {format_size(decision.in_hand_bytes)} "
        f"(kept for urgent grows: {format_size(decision.pool_bytes)}), "
        f"memory: {decision.tier.value.replace('_', ' ')}"
    )


def host_json(decision: Decision) -> dict[str, Any]:
    """Make plain values of how the host's memory stands."""
    return {
        "capacity_bytes": decision.capacity_bytes,
        "promised_bytes": decision.promised_bytes,
        "in_hand_bytes": decision.in_hand_bytes,
        "pool_bytes": decision.pool_bytes,
        "tier": decision.tier.value,
        "alarms": [reason_json(alarm) for alarm in decision.alarms],
    }


def status_sentence(guest: GuestDecision) -> str:
    """Say what a guest's status means."""
    meaning = {
        Status.OK: "it has what it needs and at least 80 % of its buffer",
        Status.LOW: "it has what it needs, but less than 80 % of its buffer",
        Status.WARNING: "it has less than it needs, so its own kernel pages",
        Status.UNKNOWN: "it says nothing about its memory that can be believed",
    }[guest.status]
    pressure = "" if guest.pressure is None else f", pressure {guest.pressure * 100:.0f} %"
    return f"Status {guest.status.value}{pressure}: {meaning}."


def guest_json(guest: GuestDecision) -> dict[str, Any]:
    """Make plain values of a guest's decision."""
    return {
        "name": guest.guest,
        "status": guest.status.value,
        "assigned_bytes": guest.assigned_bytes,
        "demand_bytes": guest.demand_bytes,
        "pressure": guest.pressure,
        "available_bytes": guest.available_bytes,
        "want_bytes": guest.want_bytes,
        "target_bytes": guest.target_bytes,
        "promised_bytes": guest.promised_bytes,
        "balloon_bytes": guest.balloon_bytes,
        "plugged_bytes": guest.plugged_bytes,
        "move": None
        if guest.move is None
        else {
            "kind": guest.move.kind.value,
            "from_bytes": guest.move.from_bytes,
            "to_bytes": guest.move.to_bytes,
        },
        "reasons": [reason_json(reason) for reason in guest.reasons],
    }
