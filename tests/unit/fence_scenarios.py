"""Scenarios for the guards of the fence: each says whether all went well."""

from __future__ import annotations

from dataclasses import replace

from barostat.core.fence import Change, Fence, FenceMode, FencePolicy, Inmate, set_fence
from barostat.core.observation import RunState
from barostat.units import MIB

AT_REST = Inmate(
    run_state=RunState.RUNNING,
    actual_bytes=500 * MIB,
    promised_bytes=500 * MIB,
    restart_bytes=1000 * MIB,
    overhead_bytes=80 * MIB,
    used_bytes=400 * MIB,
    fence_bytes=644 * MIB,
)


def decided(inmate: Inmate, mode: FenceMode = FenceMode.HIGH) -> Fence:
    return set_fence(inmate, FencePolicy(mode=mode))


def a_fence_is_raised_before_its_guest_has_what_it_is_granted() -> bool:
    limit = decided(replace(AT_REST, promised_bytes=700 * MIB)).limit_bytes
    return limit is not None and limit >= (700 + 80) * MIB


def a_guest_may_restart_inside_a_hard_fence() -> bool:
    limit = decided(AT_REST, FenceMode.HARD).limit_bytes
    return limit is not None and limit >= (1000 + 80) * MIB


def a_fence_is_not_lowered_into_what_has_not_left() -> bool:
    limit = decided(replace(AT_REST, actual_bytes=200 * MIB, promised_bytes=200 * MIB)).limit_bytes
    return limit is not None and limit > AT_REST.used_bytes


def a_fence_is_not_lowered_on_a_guest_that_cannot_be_judged() -> bool:
    gone = replace(
        AT_REST,
        actual_bytes=200 * MIB,
        promised_bytes=200 * MIB,
        used_bytes=200 * MIB,
        run_state=RunState.UNREACHABLE,
    )
    return decided(gone).change is Change.HOLD


def a_guest_that_moves_out_has_no_fence() -> bool:
    return decided(replace(AT_REST, run_state=RunState.MIGRATING)).limit_bytes is None
