"""Pressure and status, by Hyper-V's own rules, judged against demand even at the maximum."""

from __future__ import annotations

import enum
from typing import Final

__all__ = ["Status", "buffer_available_ratio", "pressure_ratio", "status_of"]

OK_ABOVE_RATIO: Final = 0.8
"""Hyper-V: status is OK while more than 80 % of the wanted buffer is there."""


class Status(enum.Enum):
    """What an operator should think of a VM's memory."""

    OK = "OK"
    LOW = "Low"  # it has what it needs, but little of its buffer
    WARNING = "Warning"  # it needs more than it has; its kernel pages
    PAGING = "Paging"  # it restarts, and the host pages for it what it has not got
    UNKNOWN = "-"  # it says nothing that can be believed


def pressure_ratio(demand_bytes: int, assigned_bytes: int) -> float:
    """Say memory wanted over memory had: 1.0 is exactly enough, above is short."""
    return demand_bytes / max(1, assigned_bytes)


def buffer_available_ratio(demand_bytes: int, assigned_bytes: int, *, buffer_percent: int) -> float:
    """Say how much of the wanted buffer is there: (assigned - demand) / (demand * buffer)."""
    ideal = max(1.0, demand_bytes * buffer_percent / 100)
    return (assigned_bytes - demand_bytes) / ideal


def status_of(demand_bytes: int, assigned_bytes: int, *, buffer_percent: int) -> Status:
    """Judge a VM: Warning below its demand, Low up to 80 % of its buffer, OK above."""
    if assigned_bytes < demand_bytes:
        return Status.WARNING
    available = buffer_available_ratio(demand_bytes, assigned_bytes, buffer_percent=buffer_percent)
    return Status.OK if available > OK_ABOVE_RATIO else Status.LOW
