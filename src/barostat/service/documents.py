"""What Barostat says, as values: the API's answers, `--output json`, and what the tables show.

One shape for one thing, whoever asks and whichever way. Sizes are bytes, times are seconds, no
number is infinite or "not a number"; what a VM does not say is null, and a key is never left out.
`making.py` makes these of what was seen and decided. Who reads them from a newer daemon leaves
aside what it does not know.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from barostat.core.allocation import Tier
from barostat.core.moves import MoveKind
from barostat.core.observation import Depth, RunState
from barostat.core.pressure import Status
from barostat.doctor.findings import Level
from barostat.engine.starting import Outcome

__all__ = [
    "Change",
    "Details",
    "Examination",
    "Explanation",
    "Fault",
    "Found",
    "Guest",
    "Health",
    "Host",
    "HostPause",
    "LimitFault",
    "Move",
    "Overview",
    "Problem",
    "Program",
    "Reason",
    "Release",
    "Settings",
    "SettingsView",
    "Start",
    "StartingVm",
    "TokenList",
    "TokenMade",
    "TokenView",
    "WrittenSettings",
    "You",
]


class Document(BaseModel):
    """Base of all that is said."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class Reason(Document):
    """Why something was done or left."""

    code: str = Field(description="One of docs/reference/reasons.md; never renamed.")
    numbers: dict[str, int | float | str]
    sentence: str


class Move(Document):
    """What is asked of a VM now."""

    kind: MoveKind
    from_bytes: int
    to_bytes: int


class Settings(Document):
    """A VM's settings in force: what was left out is filled in."""

    startup_bytes: int
    minimum_bytes: int
    maximum_bytes: int
    buffer_percent: int
    weight: int
    enabled: bool
    paused: bool


class WrittenSettings(Document):
    """A VM's settings as they are written. Null: left out, so that the VM's devices say it."""

    startup_bytes: int | None
    minimum_bytes: int | None
    maximum_bytes: int | None
    buffer_percent: int
    weight: int
    enabled: bool
    paused: bool


class SettingsView(Document):
    """How a VM's settings stand."""

    guest: str
    running: bool
    place: str = Field(description="Where they stand: a file, or which domain's metadata.")
    written: WrittenSettings | None
    in_force: Settings | None
    faults: tuple[str, ...] = Field(description="Why what is written cannot be used.")


class Change(Document):
    """What a change did. Equal settings before and after: there was nothing to do."""

    before: SettingsView
    after: SettingsView


class HostPause(Document):
    """Whether every VM of the host was, and is, held at its size."""

    before: bool
    after: bool


class StartingVm(Document):
    """A VM that is about to start."""

    name: str
    size_bytes: int = Field(description="What it takes when it starts.")
    set_aside_bytes: int = Field(description="What of that is kept for it: all, if it may start.")


class Start(Document):
    """Whether a VM may start."""

    guest: str
    outcome: Outcome
    may_start: bool
    size_bytes: int = Field(description="What it takes when it starts.")
    available_bytes: int = Field(description="What there is, or could be made free, of that.")
    kept_s: float | None = Field(description="How long that is set aside for it; null: it is not.")
    says: str


class Release(Document):
    """What was given up that was set aside for a VM."""

    guest: str
    released_bytes: int | None = Field(description="Null: nothing was asked for it.")


class Host(Document):
    """How the host's memory stands."""

    capacity_bytes: int = Field(description="What may be handed out.")
    promised_bytes: int = Field(description="What VMs have or may take after the plan.")
    in_hand_bytes: int
    pool_bytes: int = Field(description="What should stay in hand for urgent grows.")
    tier: Tier = Field(description="How far the memory goes.")
    paused: bool = Field(description="The operator holds every VM at its size.")
    moving: bool = Field(description="False: it decides and explains, and moves nothing.")
    age_s: float = Field(description="How long ago the guests were looked at.")
    alarms: tuple[Reason, ...]
    starting: tuple[StartingVm, ...] = Field((), description="VMs that are about to start.")


class Program(Document):
    """The program in a VM that says more than its balloon driver."""

    depth: Depth = Field(description='"agent" or "qga"; "balloon" while it is not believed.')
    version: str | None
    kernel: str | None = Field(description="The release of the VM's kernel.")
    onlining: str | None = Field(description="What its kernel does with plugged memory.")
    block_bytes: int | None = Field(description="Plugged memory comes in blocks of this size.")
    swap_bytes: int | None
    swap_free_bytes: int | None
    committed_bytes: int | None = Field(description="What its programs were promised.")
    hook: bool = Field(description="It has programs give memory before it is shrunk.")
    fault: str | None = Field(
        description="Why it, or one that would say more, is not heard or not believed."
    )


class Guest(Document):
    """One VM as it was seen and decided on."""

    name: str
    status: Status
    assigned_bytes: int
    demand_bytes: int | None
    pressure: float | None = Field(description="Demand over assigned; 1 is exactly enough.")
    available_bytes: int | None
    want_bytes: int
    target_bytes: int
    promised_bytes: int
    paged_bytes: int = Field(description="What the host pages for it while it restarts.")
    balloon_bytes: int
    plugged_bytes: int
    move: Move | None
    reasons: tuple[Reason, ...]
    why: str = Field(description="What is done with it and why, in one sentence.")
    run_state: RunState
    depth: Depth = Field(description="How deep it can be seen into.")
    program: Program | None = Field(description="Null: none was ever heard in it.")
    has_balloon: bool = Field(description="It has a balloon device; its driver may not be there.")
    boot_bytes: int
    ceiling_bytes: int = Field(description="The largest size that its devices allow.")
    deflate_on_oom: bool = Field(description="Its balloon gives way before its kernel kills.")
    kernel_bytes: int | None = Field(description="What of its demand its kernel keeps.")
    total_bytes: int | None = Field(description="What it counts as its memory itself.")
    swapped_out_bytes: int | None = Field(description="What it swapped out since it booted.")
    seen_age_s: float = Field(description="Since its hypervisor last answered.")
    statistics_age_s: float | None = Field(description="Since it last spoke itself.")
    program_age_s: float | None = Field(description="Since a program in it was last believed.")
    fault: str | None = Field(description="Why its hypervisor does not answer.")
    settings: Settings | None


class Fault(Document):
    """Why something that should be a VM, or a whole connection, is not seen."""

    name: str
    message: str
    hint: str


class LimitFault(Document):
    """Why a limit around a VM's QEMU, its fence or Smart Paging's, does not stand."""

    name: str = Field(description="The VM; blank for the host itself.")
    message: str


class Overview(Document):
    """The host and all its VMs."""

    host: Host
    guests: tuple[Guest, ...]
    faults: tuple[Fault, ...]
    limit_faults: tuple[LimitFault, ...] = Field(
        default=(), description="Limits around VMs that do not stand where they belong."
    )
    powered_off: tuple[str, ...] | None = Field(
        description="VMs that are known and do not run; null where nobody asked for them."
    )


class Details(Document):
    """One VM and its settings. While it is off there is nothing but these."""

    guest: Guest | None
    settings: SettingsView


class Explanation(Document):
    """Why a VM has the memory it has, or had."""

    at_s: float | None = Field(description="When that was, in seconds since 1970; null: now.")
    host: Host
    guest: Guest
    sentences: tuple[str, ...]


class Health(Document):
    """Whether the daemon does its work."""

    version: str
    healthy: bool
    says: str
    age_s: float | None = Field(description="How long ago the guests were looked at.")
    history: str | None = Field(description="What is wrong with the history; null: nothing.")


class Found(Document):
    """One thing that doctor looked into."""

    subject: str = Field(description='"host", or a VM.')
    check: str = Field(description="One of docs/reference/doctor.md; never renamed.")
    level: Level
    says: str
    remedy: str = Field(description="What to do; blank where all is well.")


class Examination(Document):
    """What doctor found."""

    blocks: bool = Field(description="Something keeps memory from being moved.")
    findings: tuple[Found, ...]


class You(Document):
    """Who asks, and what they may do."""

    name: str
    role: Literal["anybody", "viewer", "operator", "admin"]
    way: Literal["socket", "token", "session", "certificate"] | None


class TokenView(Document):
    """A token, without itself. Times are seconds since 1970."""

    name: str
    role: Literal["viewer", "operator", "admin"]
    last_four: str = Field(description="Its last four characters.")
    created_at_s: float
    expires_at_s: float | None = Field(description="Null: it is good until it is revoked.")
    good: bool = Field(description="It has not expired.")


class TokenList(Document):
    """All tokens, in the order they were made."""

    tokens: tuple[TokenView, ...]


class TokenMade(Document):
    """A new token: the only time that it is shown."""

    token: str
    made: TokenView


class Problem(Document):
    """An error, as RFC 9457 has it, with what to do about it."""

    type: str
    title: str
    status: int
    detail: str
    hint: str
    faults: tuple[str, ...] = Field(description="Everything wrong with what was given.")
