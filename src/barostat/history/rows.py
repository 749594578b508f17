"""From values to the rows of the database, and back. No SQL, no I/O.

Samples are stored in whole KiB: nothing smaller is ever moved, and it saves a fifth of the disk.
States are stored as numbers that rise with how bad they are, so that the worst of a period is the
largest; the numbers are part of the database's form and never change.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from barostat.core.allocation import Tier
from barostat.core.decide import Decision, GuestDecision
from barostat.core.moves import MoveKind
from barostat.core.pressure import Status
from barostat.core.reasons import Reason, ReasonCode
from barostat.history.values import AuditEntry, HostSample, RecordedDecision, Sample
from barostat.units import KIB

__all__ = [
    "HOLD",
    "Cell",
    "DecisionLog",
    "audit_entry",
    "audit_row",
    "host_row",
    "host_sample",
    "recorded_decision",
    "sample",
    "sample_row",
]

Cell = int | float | str | None

HOLD: Final = "hold"
"""Written where a guest is left at its size."""

_STATUS: Final = (Status.UNKNOWN, Status.OK, Status.LOW, Status.WARNING, Status.PAGING)
_TIER: Final = (Tier.PLENTY, Tier.BUFFERS_CUT, Tier.DEMAND_CUT, Tier.SHORT)
_STATUS_NUMBER: Final = {status: number for number, status in enumerate(_STATUS)}
_TIER_NUMBER: Final = {tier: number for number, tier in enumerate(_TIER)}


def sample_row(at_s: int, guest_id: int, guest: GuestDecision) -> tuple[Cell, ...]:
    """Write one guest's second."""
    assigned, demand, available = guest.assigned_bytes, guest.demand_bytes, guest.available_bytes
    target, promised = guest.target_bytes, guest.promised_bytes
    return (
        at_s,
        guest_id,
        _STATUS_NUMBER[guest.status],
        assigned // KIB,
        None if demand is None else demand // KIB,
        None if available is None else available // KIB,
        None if target == assigned else target // KIB,
        guest.balloon_bytes // KIB,
        guest.plugged_bytes // KIB,
        None if promised == assigned else promised // KIB,
    )


def host_row(at_s: int, decision: Decision) -> tuple[Cell, ...]:
    """Write the host's second."""
    return (
        at_s,
        _TIER_NUMBER[decision.tier],
        decision.capacity_bytes // KIB,
        decision.promised_bytes // KIB,
        decision.in_hand_bytes // KIB,
        decision.pool_bytes // KIB,
    )


class DecisionLog:
    """Tells which decisions are news: every move, and every change of the reason for none."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[ReasonCode, ...]] = {}

    def news(
        self, decision: Decision, *, hurried: Collection[str] = ()
    ) -> Iterator[tuple[str, tuple[Cell, ...]]]:
        """Write rows of the guests of which there is something to tell, each with its name.

        That a guest is on its way is no news: it was asked. Nor is that one waits for its turn
        while it is decided on others, those that are `hurried`.
        """
        last, self._last = self._last, {}
        for guest in decision.guests:
            if hurried and guest.guest not in hurried:
                if guest.guest in last:
                    self._last[guest.guest] = last[guest.guest]
                continue
            codes = tuple([reason.code for reason in guest.reasons])
            before = last.get(guest.guest)
            if guest.move is None and codes in (before, (ReasonCode.MOVING,)):
                self._last[guest.guest] = codes if before is None else before
                continue
            self._last[guest.guest] = codes
            yield guest.guest, _decision_row(guest)


def _decision_row(guest: GuestDecision) -> tuple[Cell, ...]:
    move, has = guest.move, guest.assigned_bytes
    reasons = msgspec.json.encode(
        [(reason.code.value, reason.numbers) for reason in guest.reasons]
    ).decode()
    if move is None:
        return HOLD, has, has, 0, reasons
    return (
        move.kind.value,
        move.from_bytes,
        move.to_bytes,
        int(move.by_balloon),
        reasons,
    )


def audit_row(entry: AuditEntry) -> tuple[Cell, ...]:
    """Write a change that somebody made."""
    return (
        round(entry.at_s * 1000),
        entry.who,
        entry.origin,
        entry.what,
        entry.guest,
        _json(entry.before),
        _json(entry.after),
    )


def _json(value: Mapping[str, object] | None) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()


class _Sample(msgspec.Struct, array_like=True):
    at: int
    looks: int
    status: int
    assigned_kib: int
    assigned_min_kib: int
    assigned_max_kib: int
    demand_kib: int | None
    demand_max_kib: int | None
    pressure_max: int | None
    available_kib: int | None
    available_min_kib: int | None
    target_kib: int
    balloon_kib: int
    plugged_kib: int
    promised_kib: int


def sample(row: Sequence[Cell]) -> Sample:
    """Read a guest's sample: its columns in the order of the table, from `at`, but the guest."""
    read = msgspec.convert(row, _Sample)
    demand, worst = read.demand_kib, read.pressure_max
    return Sample(
        at_s=read.at,
        looks=read.looks,
        status=_STATUS[read.status],
        assigned_bytes=read.assigned_kib * KIB,
        assigned_min_bytes=read.assigned_min_kib * KIB,
        assigned_max_bytes=read.assigned_max_kib * KIB,
        demand_bytes=_bytes(demand),
        demand_max_bytes=_bytes(read.demand_max_kib),
        pressure=None if demand is None else demand / max(1, read.assigned_kib),
        pressure_max=None if worst is None else worst / 1000,
        available_bytes=_bytes(read.available_kib),
        available_min_bytes=_bytes(read.available_min_kib),
        target_bytes=read.target_kib * KIB,
        balloon_bytes=read.balloon_kib * KIB,
        plugged_bytes=read.plugged_kib * KIB,
        promised_bytes=read.promised_kib * KIB,
    )


def _bytes(size_kib: int | None) -> int | None:
    return None if size_kib is None else size_kib * KIB


def host_sample(row: Sequence[int]) -> HostSample:
    """Read a sample of the host: its columns in the order of the table, from `at`."""
    at, looks, tier, *sizes = row
    capacity, promised, in_hand, in_hand_min, pool = (size * KIB for size in sizes)
    return HostSample(
        at_s=at,
        looks=looks,
        tier=_TIER[tier],
        capacity_bytes=capacity,
        promised_bytes=promised,
        in_hand_bytes=in_hand,
        in_hand_min_bytes=in_hand_min,
        pool_bytes=pool,
    )


_Reason = tuple[ReasonCode, dict[str, int | float | str]]


class _Decision(msgspec.Struct, array_like=True):
    at_ms: int
    guest: str
    kind: str
    from_bytes: int
    to_bytes: int
    by_balloon: int
    reasons: str
    arrived: int | None
    ended_bytes: int | None
    took_ms: int | None
    error: str | None


def recorded_decision(row: Sequence[Cell]) -> RecordedDecision:
    """Read a decision: its columns in the order of the table, the guest by name."""
    read = msgspec.convert(row, _Decision)
    reasons = msgspec.json.decode(read.reasons, type=list[_Reason])
    return RecordedDecision(
        at_s=read.at_ms / 1000,
        guest=read.guest,
        kind=None if read.kind == HOLD else MoveKind(read.kind),
        from_bytes=read.from_bytes,
        to_bytes=read.to_bytes,
        by_balloon=bool(read.by_balloon),
        reasons=tuple(Reason(code=code, numbers=numbers) for code, numbers in reasons),
        arrived=None if read.arrived is None else bool(read.arrived),
        ended_bytes=read.ended_bytes,
        took_s=None if read.took_ms is None else read.took_ms / 1000,
        error=read.error,
    )


class _Audit(msgspec.Struct, array_like=True):
    at_ms: int
    who: str
    origin: str
    what: str
    guest: str | None
    before: str | None
    after: str | None


def audit_entry(row: Sequence[Cell]) -> AuditEntry:
    """Read a change that somebody made."""
    read = msgspec.convert(row, _Audit)
    return AuditEntry(
        at_s=read.at_ms / 1000,
        who=read.who,
        origin=read.origin,
        what=read.what,
        guest=read.guest,
        before=_from_json(read.before),
        after=_from_json(read.after),
    )


def _from_json(text: str | None) -> Mapping[str, object] | None:
    return None if text is None else msgspec.json.decode(text, type=dict[str, object])
