"""How much the host lets one guest's QEMU hold: what the guest was given, and room.

    fence = max(has, granted) + what QEMU itself needs + room

It is raised before a guest is given more, and lowered only when what was taken has left: never to
what is in use, because a hard limit lowered to it can kill a QEMU. A hard fence leaves a guest all
of its base RAM, whatever its balloon holds, because a guest that restarts takes it, and beyond a
hard fence the kernel kills. Nothing of this moves memory. Pure.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from barostat.core.observation import RunState
from barostat.units import MIB

__all__ = ["Change", "Fence", "FenceMode", "FencePolicy", "Inmate", "fence_bytes", "set_fence"]


class FenceMode(enum.Enum):
    """What holds a guest to what it was given."""

    OFF = "off"  # nothing does
    HIGH = "high"  # beyond it QEMU is slowed and its memory paged out by the host
    HARD = "hard"  # the kernel lets it have no more, and kills it if it cannot do with less


@dataclass(frozen=True, slots=True, kw_only=True)
class FencePolicy:
    """Whether and how a VM's QEMU is held to what the VM was given.

    Attributes:
        mode: `off`: nothing is limited. `high`: QEMU's `memory.high` follows what its VM has;
            beyond it the host slows it and pages it out, and kills nobody; it takes cgroup v2.
            `hard`: its hard limit does, with v1 too; beyond that the kernel kills QEMU if nothing
            can be paged out, so base RAM that the balloon holds is left inside it. Off by default:
            where nobody lies there is nothing to fence, a VM needs a cgroup of its own for it, and
            a limit that somebody set by hand is replaced.
        room_ratio: a fence leaves this share of the VM's size free; a VM that helps itself gains
            no more than its room.
        room_bytes: but at least this: QEMU takes more for a moment now and then, and a hard limit
            lowered to what is in use killed 2 of 17 QEMUs.
    """

    mode: FenceMode = FenceMode.OFF
    room_ratio: float = 0.05
    room_bytes: int = 64 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Inmate:
    """A guest as its fence sees it. Sizes in bytes.

    Attributes:
        run_state: what it is doing.
        actual_bytes: what it has.
        promised_bytes: what it may take without asking again.
        restart_bytes: what it may take if it restarts: its base RAM and what is plugged.
        overhead_bytes: what its QEMU needs for itself.
        used_bytes: what counts against the fence now.
        fence_bytes: where the fence stands, None where there is none.
    """

    run_state: RunState
    actual_bytes: int
    promised_bytes: int
    restart_bytes: int
    overhead_bytes: int
    used_bytes: int
    fence_bytes: int | None


class Change(enum.Enum):
    """What is to be done with a fence."""

    HOLD = "hold"
    RAISE = "raise"
    LOWER = "lower"
    LIFT = "lift"  # no fence at all


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """What is to be done with a fence, and where it is to stand; None: nowhere."""

    change: Change
    limit_bytes: int | None


def set_fence(inmate: Inmate, policy: FencePolicy) -> Fence:
    """Decide what to do with a guest's fence now."""
    stands = inmate.fence_bytes
    if policy.mode is FenceMode.OFF or _must_be_free(inmate):
        free = Change.HOLD if stands is None else Change.LIFT
        return Fence(change=free, limit_bytes=None)
    goal = fence_bytes(inmate, policy)
    if stands is not None and goal > stands:
        return Fence(change=Change.RAISE, limit_bytes=goal)
    lowest = max(goal, _in_use_bytes(inmate, policy))
    worth = room_bytes(inmate.actual_bytes, policy) // 2
    low_enough = stands is not None and stands - lowest < worth
    if low_enough or _in_doubt(inmate):
        return Fence(change=Change.HOLD, limit_bytes=stands)
    return Fence(change=Change.LOWER, limit_bytes=lowest)


def fence_bytes(inmate: Inmate, policy: FencePolicy) -> int:
    """Say where a guest's fence belongs while nothing more of it is in use."""
    size = max(_given_bytes(inmate), _restart_bytes(inmate, policy))
    return size + inmate.overhead_bytes + room_bytes(size, policy)


def room_bytes(size_bytes: int, policy: FencePolicy) -> int:
    """Say how much a fence leaves free."""
    return max(policy.room_bytes, int(size_bytes * policy.room_ratio))


def _given_bytes(inmate: Inmate) -> int:
    # SAFETY: what a guest is about to be given is inside before it is given, and what it was asked
    # to give back until it has left.
    return max(inmate.actual_bytes, inmate.promised_bytes)


def _restart_bytes(inmate: Inmate, policy: FencePolicy) -> int:
    # SAFETY: a guest that restarts takes all of its base RAM at once, before anybody sees it; a
    # hard fence would kill it. One that is slowed is let go as soon as it is seen.
    return inmate.restart_bytes if policy.mode is FenceMode.HARD else 0


def _in_use_bytes(inmate: Inmate, policy: FencePolicy) -> int:
    # SAFETY: a fence is not lowered to what is in use: the memory must have left before.
    return inmate.used_bytes + room_bytes(inmate.actual_bytes, policy)


def _in_doubt(inmate: Inmate) -> bool:
    # SAFETY: on a guest that cannot be judged no fence is lowered.
    return inmate.run_state is not RunState.RUNNING


def _must_be_free(inmate: Inmate) -> bool:
    # SAFETY: what a QEMU buffers while its guest moves out cannot be foreseen, and the host that
    # it moves to must not inherit a fence.
    return inmate.run_state is RunState.MIGRATING
