"""When the host itself is short: first nobody grows, then VMs give back. Pure; time is an argument.

Little available memory brakes at once. Stalls and swapping brake only where not much is available
either: otherwise they are those of something with a limit of its own, and the VMs are not to blame.
Brakes are taken off in steps, above a higher mark and after a calm, so that they do not flap. What
is wanted back is what is missing now: what VMs give is seen in what is available, and ends it.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import Final

from barostat.core.reasons import Reason, ReasonCode, because
from barostat.host.memory import Memory
from barostat.host.policy import HostPolicy

__all__ = ["BrakeState", "Stage", "alarms", "brake", "wanted_back_bytes"]

RELEASE: Final = 1.5
"""Brakes are let go above this multiple of the low mark; stalls and swapping must fall by it."""

SWAP_MEMORY_S: Final = 10.0
"""Swapping is averaged over the time over which the kernel averages stalls."""

STEP_RATIO: Final = 0.01
"""Where it cannot be seen how much is missing, VMs are asked for this share of the host at a time;
whether the stalls end is seen before ten such steps are done."""


class Stage(enum.Enum):
    """How hard the host brakes."""

    FREE = "free"
    HOLDING = "holding"  # nobody grows
    TAKING = "taking"  # and VMs give back


@dataclass(frozen=True, slots=True, kw_only=True)
class BrakeState:
    """The brakes after a look.

    Attributes:
        stage: how hard the host brakes.
        troubled_since_s: since when something has called for brakes without a break; None if
            nothing does.
        calm_since_s: since when nothing comes near it; None if something does.
        swap_out_bytes_per_s: what goes to swap, averaged.
        swapped_out_bytes: the kernel's counter, None before the first look.
        at_s: when the host was looked at.
    """

    stage: Stage = Stage.FREE
    troubled_since_s: float | None = None
    calm_since_s: float | None = None
    swap_out_bytes_per_s: float = 0.0
    swapped_out_bytes: int | None = None
    at_s: float = 0.0


def brake(state: BrakeState, memory: Memory, *, now_s: float, policy: HostPolicy) -> BrakeState:
    """Bring the brakes up to what is seen now."""
    rate = _swap_rate(state, memory, now_s)
    troubled = _strained(memory, rate, policy, ease=1.0)
    calm = not _strained(memory, rate, policy, ease=RELEASE)
    troubled_since = _since(state.troubled_since_s, now_s, holds=troubled)
    calm_since = _since(state.calm_since_s, now_s, holds=calm)
    critical = memory.available_bytes < memory.total_bytes * policy.critical_ratio
    lasts = troubled_since is not None and now_s - troubled_since >= policy.lasting_s
    if critical or (lasts and state.stage is not Stage.FREE):
        stage = Stage.TAKING
    elif troubled:
        stage = state.stage if state.stage is not Stage.FREE else Stage.HOLDING
    else:
        stage = _eased(state.stage, calm_since, now_s, policy)
    return BrakeState(
        stage=stage,
        troubled_since_s=troubled_since,
        calm_since_s=calm_since,
        swap_out_bytes_per_s=rate,
        swapped_out_bytes=memory.swapped_out_bytes,
        at_s=now_s,
    )


def _since(before_s: float | None, now_s: float, *, holds: bool) -> float | None:
    if not holds:
        return None
    return now_s if before_s is None else before_s


def _eased(stage: Stage, calm_since_s: float | None, now_s: float, policy: HostPolicy) -> Stage:
    """Let brakes go by one step where it is calm, the last after a while."""
    if calm_since_s is None or stage is Stage.FREE:
        return stage
    if stage is Stage.TAKING:
        return Stage.HOLDING
    return Stage.FREE if now_s - calm_since_s >= policy.calm_s else stage


def _swap_rate(state: BrakeState, memory: Memory, now_s: float) -> float:
    if state.swapped_out_bytes is None or now_s <= state.at_s:
        return state.swap_out_bytes_per_s
    elapsed_s = now_s - state.at_s
    now = max(0, memory.swapped_out_bytes - state.swapped_out_bytes) / elapsed_s
    kept = math.exp(-elapsed_s / SWAP_MEMORY_S)
    return state.swap_out_bytes_per_s * kept + now * (1 - kept)


def _strained(memory: Memory, rate: float, policy: HostPolicy, *, ease: float) -> bool:
    """Say whether something calls for brakes, or comes near that by a factor."""
    available, total = memory.available_bytes, memory.total_bytes
    if available < total * policy.low_ratio * ease:
        return True
    if available >= total * policy.comfort_ratio:
        return False
    stalls, swaps = _beyond(memory, rate, policy, ease=ease)
    return stalls or swaps


def _beyond(
    memory: Memory, rate: float, policy: HostPolicy, *, ease: float = 1.0
) -> tuple[bool, bool]:
    """Say whether processes stall too much, and whether too much goes to swap."""
    stalls = memory.stall_ratio is not None and memory.stall_ratio > policy.stall_ratio / ease
    return stalls, rate > policy.swap_out_bytes_per_s / ease


def wanted_back_bytes(state: BrakeState, memory: Memory, policy: HostPolicy) -> int:
    """Say what VMs must give back now."""
    if state.stage is not Stage.TAKING:
        return 0
    available, total = memory.available_bytes, memory.total_bytes
    missing = int(total * policy.low_ratio * RELEASE) - available
    if missing > 0:
        return missing
    comfort = int(total * policy.comfort_ratio) - available
    return max(0, min(int(total * STEP_RATIO), comfort))


def alarms(state: BrakeState, memory: Memory, policy: HostPolicy) -> tuple[Reason, ...]:
    """Say why the host brakes, with numbers; nothing while it does not."""
    if state.stage is Stage.FREE:
        return ()
    stalls, swaps = _beyond(memory, state.swap_out_bytes_per_s, policy)
    found = []
    if stalls and memory.stall_ratio is not None:
        found.append(because(ReasonCode.HOST_STALLS, stall_percent=memory.stall_ratio * 100))
    if swaps:
        rate = int(state.swap_out_bytes_per_s)
        found.append(because(ReasonCode.HOST_SWAPS, rate_bytes_per_s=rate))
    mark = int(memory.total_bytes * policy.low_ratio * RELEASE)
    if memory.available_bytes < mark:
        found.insert(0, _low(memory, mark))
    if not found:
        found.append(because(ReasonCode.HOST_RECOVERING, wait_s=_wait_s(state, policy)))
    if wanted := wanted_back_bytes(state, memory, policy):
        found.append(because(ReasonCode.HOST_TAKES_BACK, wanted_bytes=wanted))
    return tuple(found)


def _wait_s(state: BrakeState, policy: HostPolicy) -> float:
    calm_s = 0.0 if state.calm_since_s is None else state.at_s - state.calm_since_s
    return max(0.0, policy.calm_s - calm_s)


def _low(memory: Memory, mark_bytes: int) -> Reason:
    return because(
        ReasonCode.HOST_LOW,
        available_bytes=memory.available_bytes,
        total_bytes=memory.total_bytes,
        mark_bytes=mark_bytes,
    )
