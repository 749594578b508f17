"""What was, as values: what the history's routes say, and `barostat history`.

As `documents`: sizes are bytes, shares ratios. Times are seconds since 1970; a span has its first.
"""

from __future__ import annotations

from pydantic import ConfigDict, Field

from barostat.core.allocation import Tier
from barostat.core.explain import sentence
from barostat.core.moves import MoveKind
from barostat.core.pressure import Status
from barostat.engine.loop import Tick
from barostat.errors import UnknownGuestError
from barostat.history.values import AuditEntry, HostSeries, RecordedDecision, Replay, Series
from barostat.service import making
from barostat.service.documents import Document, Explanation, Reason
from barostat.service.explaining import explain

__all__ = [
    "AuditList",
    "DecisionList",
    "GuestHistory",
    "HostHistory",
    "PastDecision",
    "PastSample",
    "audits_of",
    "decisions_of",
    "guest_history_of",
    "host_history_of",
    "past_explanation_of",
]


class _Recorded(Document):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False, from_attributes=True)


class PastSample(_Recorded):
    """A VM over `step_s` seconds. Plain values are means; null: it did not say."""

    at_s: int
    looks: int = Field(description="Seconds in which it was looked at.")
    status: Status = Field(description="The worst.")
    assigned_bytes: int
    assigned_min_bytes: int
    assigned_max_bytes: int
    demand_bytes: int | None
    demand_max_bytes: int | None
    pressure: float | None
    pressure_max: float | None
    available_bytes: int | None
    available_min_bytes: int | None
    target_bytes: int
    balloon_bytes: int
    plugged_bytes: int
    promised_bytes: int


class GuestHistory(_Recorded):
    """What a VM had and needed, in the order of time. Where nothing was recorded, nothing is."""

    guest: str
    step_s: int
    samples: tuple[PastSample, ...]


class PastHost(_Recorded):
    """The host over `step_s` seconds: means, the least in hand, the worst tier."""

    at_s: int
    looks: int
    tier: Tier
    capacity_bytes: int
    promised_bytes: int
    in_hand_bytes: int
    in_hand_min_bytes: int
    pool_bytes: int


class HostHistory(_Recorded):
    """How the host's memory stood, in the order of time."""

    step_s: int
    samples: tuple[PastHost, ...]


class PastDecision(Document):
    """A move, or the reason for none when it became another."""

    at_s: float
    guest: str
    kind: MoveKind | None = Field(description="Null: it was left at its size.")
    from_bytes: int
    to_bytes: int
    reasons: tuple[Reason, ...]
    arrived: bool | None = Field(description="Null: it has not ended, or another came before.")
    ended_bytes: int | None
    took_s: float | None
    error: str | None


class DecisionList(Document):
    """The newest decisions, the newest last."""

    decisions: tuple[PastDecision, ...]


class PastChange(_Recorded):
    """A change that somebody made, or was refused."""

    at_s: float
    who: str
    origin: str
    what: str
    guest: str | None
    before: dict[str, object] | None
    after: dict[str, object] | None


class AuditList(Document):
    """The newest changes, the newest last."""

    changes: tuple[PastChange, ...]


def guest_history_of(series: Series) -> GuestHistory:
    """Say what a VM had and needed."""
    return GuestHistory.model_validate(series)


def host_history_of(series: HostSeries) -> HostHistory:
    """Say how the host's memory stood."""
    return HostHistory.model_validate(series)


def decisions_of(decisions: tuple[RecordedDecision, ...]) -> DecisionList:
    """Say what was decided."""
    return DecisionList(decisions=tuple(_decision(decision) for decision in decisions))


def _decision(decision: RecordedDecision) -> PastDecision:
    return PastDecision(
        at_s=decision.at_s,
        guest=decision.guest,
        kind=decision.kind,
        from_bytes=decision.from_bytes,
        to_bytes=decision.to_bytes,
        reasons=tuple(
            Reason(code=reason.code.value, numbers=dict(reason.numbers), sentence=sentence(reason))
            for reason in decision.reasons
        ),
        arrived=decision.arrived,
        ended_bytes=decision.ended_bytes,
        took_s=decision.took_s,
        error=decision.error,
    )


def audits_of(entries: tuple[AuditEntry, ...]) -> AuditList:
    """Say who changed what."""
    return AuditList(changes=tuple(PastChange.model_validate(entry) for entry in entries))


def past_explanation_of(replay: Replay, guest: str) -> Explanation:
    """Say why a VM had what it had, from a decision that was made again.

    Raises:
        UnknownGuestError: it was not there.
    """
    tick = Tick(
        snapshot=replay.snapshot,
        state=replay.state,
        policy=replay.policy,
        decision=replay.decision,
        observe_s=0.0,
        decide_s=0.0,
    )
    found = making.one_guest_of(tick, guest, faults={})
    if found is None:
        raise UnknownGuestError(f'VM "{guest}" was not there at that time')
    host = making.host_of(tick, age_s=0.0, moving=True)
    sentences = tuple(explain(found, host))
    return Explanation(at_s=replay.at_s, host=host, guest=found, sentences=sentences)
