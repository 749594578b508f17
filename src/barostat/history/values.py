"""What is written into the history beside passes, and what is read out of it.

Times are seconds since 1970 UTC, as `time.time` says them: history is read by people, and outlives
the monotonic clock of a boot. Sizes are bytes, shares ratios.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from barostat.core.allocation import Tier
from barostat.core.decide import Decision, State
from barostat.core.moves import Move, MoveKind
from barostat.core.observation import Snapshot
from barostat.core.policy import Policy
from barostat.core.pressure import Status
from barostat.core.reasons import Reason
from barostat.errors import BarostatError

__all__ = [
    "AuditEntry",
    "Ending",
    "FaultKind",
    "HistoryFault",
    "HostSample",
    "HostSeries",
    "KnownGuest",
    "Metering",
    "RecordedDecision",
    "Replay",
    "Sample",
    "Series",
]


class Ending(Protocol):
    """How an operation ended (the engine's `Outcome`)."""

    @property
    def move(self) -> Move:
        """What was to be done."""
        ...

    @property
    def arrived(self) -> bool:
        """Whether the guest has what it was asked to have."""
        ...

    @property
    def assigned_bytes(self) -> int | None:
        """What it had at the last look."""
        ...

    @property
    def took_s(self) -> float:
        """From the first wish to the end."""
        ...

    @property
    def error(self) -> BarostatError | None:
        """Why it ended early."""
        ...


class FaultKind(enum.Enum):
    """Why the history cannot be written."""

    FULL = "full"
    LOCKED = "locked"
    READ_ONLY = "read-only"
    DAMAGED = "damaged"
    NEWER = "newer"  # a newer Barostat wrote it
    FOREIGN = "foreign"  # the file is somebody else's
    UNUSABLE = "unusable"  # it cannot be opened, read or written, for another reason


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryFault:
    """What is wrong with the history now. `message` says what, `hint` what to do about it."""

    kind: FaultKind
    message: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """A change that somebody made.

    Attributes:
        at_s: when.
        who: the user's name or the token's.
        origin: from where: the UNIX socket, or an address.
        what: what was done, in one word or two: "settings", "pause".
        guest: to which VM, None for the host.
        before, after: what was and is, as JSON's values; None where there was or is nothing.
    """

    at_s: float
    who: str
    origin: str
    what: str
    guest: str | None = None
    before: Mapping[str, object] | None = None
    after: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One guest over `Series.step_s` seconds. Plain values are means, None: it said nothing.

    Attributes:
        at_s: the beginning.
        looks: seconds in which it was looked at.
        status: the worst.
        pressure: mean demand over mean assigned; pressure_max: the highest of any look.
    """

    at_s: int
    looks: int
    status: Status
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A guest's samples in the order of time, each of `step_s` seconds; none where none are."""

    guest: str
    step_s: int
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSample:
    """The host over `HostSeries.step_s` seconds: means, the least in hand, the worst tier."""

    at_s: int
    looks: int
    tier: Tier
    capacity_bytes: int
    promised_bytes: int
    in_hand_bytes: int
    in_hand_min_bytes: int
    pool_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSeries:
    """The host's samples in the order of time, each of `step_s` seconds."""

    step_s: int
    samples: tuple[HostSample, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedDecision:
    """A move, or the reason for none when it became another.

    Attributes:
        at_s: when it was decided.
        guest: whose.
        kind: the move's, None where the guest was left at its size.
        from_bytes, to_bytes: equal where it was left.
        by_balloon: the balloon might take what an unplug did not give.
        reasons: why.
        arrived, ended_bytes, took_s, error: how the move ended; None where it has not, or was
            replaced by the next one before it could.
    """

    at_s: float
    guest: str
    kind: MoveKind | None
    from_bytes: int
    to_bytes: int
    by_balloon: bool
    reasons: tuple[Reason, ...]
    arrived: bool | None = None
    ended_bytes: int | None = None
    took_s: float | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A past decision, made again from what it saw.

    Attributes:
        at_s: when it was made.
        version: of the Barostat that made it; another one may decide otherwise now.
        snapshot, state, policy: what it was made of.
        decision: what `decide` makes of these.
    """

    at_s: float
    version: str
    snapshot: Snapshot
    state: State
    policy: Policy
    decision: Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Metering:
    """What a guest had over a time, as Hyper-V's Measure-VM reports it.

    `seconds` is how long it was seen in that time, to the second.
    """

    guest: str
    seconds: int
    assigned_bytes: int
    assigned_min_bytes: int
    assigned_max_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownGuest:
    """A guest of which something is recorded, and from when to when, to some seconds."""

    name: str
    first_at_s: int
    last_at_s: int
