"""What happened in a run, second by second, and what it comes to.

A breach is counted for each second in which the sum of what guests have or may take is above the
capacity, and for each guest and second below its minimum or above its maximum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from barostat.core.decide import GuestDecision
from barostat.core.explain import reason_json, summary
from barostat.core.moves import Move
from barostat.engine.act import Outcome
from barostat.engine.loop import Tick
from barostat.lab.scenario import Scenario
from barostat.lab.stage import Stage

__all__ = ["Recorder", "Report", "Summary"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestSummary:
    """One guest over a run: the sizes it had, by which device it gave, and what it felt."""

    minimum_assigned_bytes: int
    maximum_assigned_bytes: int
    peak_plugged_bytes: int
    ballooned_bytes: int
    unplugged_bytes: int
    oom_kills: int
    swap_in_bytes: int
    swap_out_bytes: int
    stall_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A whole run."""

    seconds: float
    invariant_breaches: int
    oom_kills: int
    swap_in_bytes: int
    stall_seconds: float
    bytes_moved: int
    moves: int
    failed_moves: int
    refused_guests: tuple[str, ...]
    guests: Mapping[str, GuestSummary]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A run as one document: `as_json()` is what `--output json` prints."""

    scenario: Scenario
    policy: str
    stage: str
    series: Mapping[str, list[dict[str, Any]]]
    moves: list[dict[str, Any]]
    outcomes: list[dict[str, Any]]
    breaches: list[str]
    summary: Summary

    def as_json(self) -> dict[str, Any]:
        """Make plain values of it, sizes in bytes, times in seconds from the run's start."""
        guests = {
            guest.name: {
                "settings": asdict(guest.settings),
                "swap_bytes": guest.swap_bytes,
                "series": self.series[guest.name],
            }
            for guest in self.scenario.guests
        }
        return {
            "scenario": self.scenario.name,
            "policy": self.policy,
            "stage": self.stage,
            "capacity_bytes": self.scenario.capacity_bytes,
            "guests": guests,
            "moves": self.moves,
            "outcomes": self.outcomes,
            "breaches": self.breaches,
            "summary": asdict(self.summary),
        }


@dataclass(slots=True)
class _Totals:
    """One guest's running figures; sizes in bytes."""

    last: GuestDecision | None = None
    low: int = 0
    high: int = 0
    plugged: int = 0
    ballooned: int = 0
    unplugged: int = 0
    moved: int = 0
    witness: Mapping[str, float] = field(default_factory=dict)

    def add(self, guest: GuestDecision, witness: Mapping[str, float]) -> None:
        """Take in one more second."""
        before, size = self.last or guest, guest.assigned_bytes
        self.low = min(self.low, size) if self.last else size
        self.high = max(self.high, size)
        self.plugged = max(self.plugged, guest.plugged_bytes)
        self.ballooned += max(0, guest.balloon_bytes - before.balloon_bytes)
        self.unplugged += max(0, before.plugged_bytes - guest.plugged_bytes)
        self.moved += abs(size - before.assigned_bytes)
        self.last, self.witness = guest, witness or self.witness


class Recorder:
    """Collects a run's seconds."""

    def __init__(self, scenario: Scenario, stage: Stage, *, moving: bool) -> None:
        self._scenario, self._stage = scenario, stage
        self.moving = moving
        self._began_s = 0.0
        self.seconds = 0.0
        self._series: dict[str, list[dict[str, Any]]] = {
            guest.name: [] for guest in scenario.guests
        }
        self._totals = {guest.name: _Totals() for guest in scenario.guests}
        self._moves: list[dict[str, Any]] = []
        self._outcomes: list[dict[str, Any]] = []
        self._breaches: list[str] = []
        self._refused: list[str] = []
        self.promised_bytes = 0

    @property
    def witnesses(self) -> dict[str, Mapping[str, float]]:
        """What each guest last said of itself."""
        return {name: totals.witness for name, totals in self._totals.items()}

    def start(self, now_s: float) -> None:
        """Start the clock."""
        self._began_s = now_s

    def refused(self, guest: str) -> None:
        """Note a guest that could not start for lack of memory."""
        self._refused.append(guest)

    def outcome(self, outcome: Outcome) -> None:
        """Note how an operation ended."""
        noted = {
            "t": round(self.seconds, 3),
            "guest": outcome.move.guest,
            "kind": outcome.move.kind.value,
            "to_bytes": outcome.move.to_bytes,
            "arrived": outcome.arrived,
            "took_s": round(outcome.took_s, 3),
            "error": None if outcome.error is None else outcome.error.message,
        }
        self._outcomes.append(noted)

    def tick(self, tick: Tick) -> None:
        """Note a second."""
        decision = tick.decision
        self.seconds = t = decision.now_s - self._began_s
        self.promised_bytes = decision.promised_bytes
        if decision.promised_bytes > decision.capacity_bytes:
            over = decision.promised_bytes - decision.capacity_bytes
            self._breaches.append(f"{t:.1f} s: {over} bytes above the capacity")
        for guest in decision.guests:
            if guest.guest in self._series:
                self._note(t, guest)
        if self.moving:
            self._moves += [_move(t, move) for move in decision.moves]

    def _note(self, t: float, guest: GuestDecision) -> None:
        name, size = guest.guest, guest.assigned_bytes
        witness = dict(self._stage.witness(name))
        settings = self._scenario.settings[name]
        if not settings.minimum_bytes <= size <= settings.maximum_bytes:
            self._breaches.append(f"{t:.1f} s: {name} has {size} bytes, outside its bounds")
        self._totals[name].add(guest, witness)
        sample = {
            "t": round(t, 3),
            "assigned_bytes": size,
            "promised_bytes": guest.promised_bytes,
            "demand_bytes": guest.demand_bytes,
            "want_bytes": guest.want_bytes,
            "target_bytes": guest.target_bytes,
            "pressure": None if guest.pressure is None else round(guest.pressure, 4),
            "status": guest.status.value,
            "balloon_bytes": guest.balloon_bytes,
            "plugged_bytes": guest.plugged_bytes,
            "witness": witness,
            "reasons": [reason_json(reason) for reason in guest.reasons],
        }
        self._series[name].append(sample)

    def summary(self) -> Summary:
        """Say what it comes to so far."""
        guests = {name: _summarise(totals) for name, totals in self._totals.items()}
        return Summary(
            seconds=round(self.seconds, 1),
            invariant_breaches=len(self._breaches),
            oom_kills=sum(guest.oom_kills for guest in guests.values()),
            swap_in_bytes=sum(guest.swap_in_bytes for guest in guests.values()),
            stall_seconds=round(sum(guest.stall_seconds for guest in guests.values()), 2),
            bytes_moved=sum(totals.moved for totals in self._totals.values()),
            moves=len(self._moves),
            failed_moves=sum(1 for outcome in self._outcomes if outcome["error"]),
            refused_guests=tuple(self._refused),
            guests=guests,
        )

    def report(self) -> Report:
        """Close the books."""
        return Report(
            scenario=self._scenario,
            policy="barostat" if self.moving else "static",
            stage=self._stage.label,
            series=self._series,
            moves=self._moves,
            outcomes=self._outcomes,
            breaches=self._breaches,
            summary=self.summary(),
        )


def _summarise(totals: _Totals) -> GuestSummary:
    witness = totals.witness
    return GuestSummary(
        minimum_assigned_bytes=totals.low,
        maximum_assigned_bytes=totals.high,
        peak_plugged_bytes=totals.plugged,
        ballooned_bytes=totals.ballooned,
        unplugged_bytes=totals.unplugged,
        oom_kills=int(witness.get("oom_kills", 0)),
        swap_in_bytes=int(witness.get("swap_in_bytes", 0)),
        swap_out_bytes=int(witness.get("swap_out_bytes", 0)),
        stall_seconds=round(witness.get("stalled_us", 0) / 1e6, 2),
    )


def _move(t: float, move: Move) -> dict[str, Any]:
    return {
        "t": round(t, 3),
        "guest": move.guest,
        "kind": move.kind.value,
        "from_bytes": move.from_bytes,
        "to_bytes": move.to_bytes,
        "reasons": [reason_json(reason) for reason in move.reasons],
        "sentence": summary(move),
    }
