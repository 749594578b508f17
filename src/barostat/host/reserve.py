"""What the host keeps for itself. Pure; time is an argument.

Fixed, or the largest of a share of its memory, a floor, and what is seen to be used outside VMs
with a margin. What is used outside counts as soon as it has lasted for a few seconds: the memory of
a VM that ends belongs to no process while it is being freed, and that is no need of the host's. It
is forgotten slowly, because backups and updates come again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from barostat.host.memory import Memory
from barostat.host.policy import HostPolicy

__all__ = ["ReserveState", "outside_bytes", "reserve_bytes", "watch"]

LASTS_S: Final = 5.0
"""A VM of 512 GiB is freed in a few seconds; until then the brakes watch what is available."""

MOST_LOOKS: Final = 100
"""So many looks are remembered at most, however often the host is looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReserveState:
    """What was used outside VMs.

    Attributes:
        remembered_bytes: the most that lasted, falling with a half-life.
        at_s: when that was.
        recent: the last looks, as (when, bytes).
    """

    remembered_bytes: float = 0.0
    at_s: float = 0.0
    recent: tuple[tuple[float, int], ...] = ()


def outside_bytes(memory: Memory, vms_resident_bytes: int) -> int:
    """Say what is used outside VMs: by programs, by the kernel, and by what nobody can drop.

    What same-page merging saves is not used by anybody, but may be wanted back at any moment by
    writing: it is counted as if it were used.
    """
    used = memory.total_bytes - memory.available_bytes + memory.ksm_saved_bytes
    return max(0, used - memory.hugetlb_bytes - vms_resident_bytes)


def watch(state: ReserveState, outside: int, *, now_s: float, policy: HostPolicy) -> ReserveState:
    """Note what is used outside VMs now."""
    recent = [*state.recent, (now_s, outside)]
    while len(recent) > 1 and (recent[1][0] <= now_s - LASTS_S or len(recent) > MOST_LOOKS):
        del recent[0]
    # At the first looks nothing is known to be a passing thing: all of it counts.
    lasting = min(size for _, size in recent)
    faded = state.remembered_bytes * math.exp2(
        -max(0.0, now_s - state.at_s) / policy.reserve_half_life_s
    )
    return ReserveState(
        remembered_bytes=max(float(lasting), faded), at_s=now_s, recent=tuple(recent)
    )


def reserve_bytes(state: ReserveState, memory: Memory, policy: HostPolicy) -> int:
    """Say what the host keeps for itself."""
    if policy.reserve_bytes is not None:
        return policy.reserve_bytes
    total = memory.total_bytes
    margin = total * policy.reserve_margin_ratio
    return max(
        int(total * policy.reserve_ratio),
        policy.reserve_low_bytes,
        int(state.remembered_bytes + margin),
    )
