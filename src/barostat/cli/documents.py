"""Decisions as plain values: what `--output json` prints, as docs/reference/output.md has it.

Sizes are bytes, times are seconds; what a guest does not say is null, never left out.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from barostat.core.decide import Decision, GuestDecision
from barostat.core.explain import reason_json
from barostat.core.moves import Move
from barostat.engine.loop import Tick

__all__ = ["decision_json", "explanation_json"]


def decision_json(decision: Decision) -> dict[str, Any]:
    """Make plain values of a host and all its guests."""
    guests = [_guest_json(guest) for guest in decision.guests]
    return {"host": _host_json(decision), "guests": guests}


def explanation_json(guest: GuestDecision, tick: Tick) -> dict[str, Any]:
    """Make plain values of a host and one of its guests, and of what the guest is made of."""
    seen = next(item for item in tick.snapshot.guests if item.name == guest.guest)
    demand = tick.decision.state.guests[guest.guest].demand
    settings = tick.snapshot.settings.get(guest.guest)
    more = {
        "run_state": seen.run_state.value,
        "boot_bytes": seen.devices.boot_bytes,
        "kernel_bytes": None if demand is None else demand.kernel_bytes,
        "settings": None if settings is None else asdict(settings),
    }
    return {"host": _host_json(tick.decision), "guest": _guest_json(guest) | more}


def _host_json(decision: Decision) -> dict[str, Any]:
    return {
        "capacity_bytes": decision.capacity_bytes,
        "promised_bytes": decision.promised_bytes,
        "in_hand_bytes": decision.in_hand_bytes,
        "pool_bytes": decision.pool_bytes,
        "tier": decision.tier.value,
        "alarms": [reason_json(alarm) for alarm in decision.alarms],
    }


def _guest_json(guest: GuestDecision) -> dict[str, Any]:
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
        "move": None if guest.move is None else _move_json(guest.move),
        "reasons": [reason_json(reason) for reason in guest.reasons],
    }


def _move_json(move: Move) -> dict[str, Any]:
    return {"kind": move.kind.value, "from_bytes": move.from_bytes, "to_bytes": move.to_bytes}
