"""Where a guest's fence stands: raised before it is given more, lowered only after it gave."""

from __future__ import annotations

import pytest

from barostat.core.fence import Change, Fence, FenceMode, FencePolicy, Inmate, set_fence
from barostat.core.observation import RunState
from barostat.units import MIB

HIGH = FencePolicy(mode=FenceMode.HIGH)
HARD = FencePolicy(mode=FenceMode.HARD)
ROOM_MIB = 64
OVERHEAD_MIB = 80


def inmate(
    *,
    actual: int = 500,
    promised: int | None = None,
    restart: int = 1000,
    used: int = 400,
    fence: int | None = 500 + OVERHEAD_MIB + ROOM_MIB,
    run_state: RunState = RunState.RUNNING,
) -> Inmate:
    """A guest that has 500 of its 1000 MiB and uses 400; its fence stands where it belongs."""
    return Inmate(
        run_state=run_state,
        actual_bytes=actual * MIB,
        promised_bytes=(actual if promised is None else promised) * MIB,
        restart_bytes=restart * MIB,
        overhead_bytes=OVERHEAD_MIB * MIB,
        used_bytes=used * MIB,
        fence_bytes=None if fence is None else fence * MIB,
    )


def to(mib: int, change: Change) -> Fence:
    return Fence(change=change, limit_bytes=mib * MIB)


def test_a_fence_that_stands_where_it_belongs_is_left_alone() -> None:
    assert set_fence(inmate(), HIGH) == to(644, Change.HOLD)


def test_a_fence_is_raised_before_a_guest_has_what_it_is_granted() -> None:
    assert set_fence(inmate(promised=700), HIGH) == to(844, Change.RAISE)


def test_a_fence_is_lowered_after_a_guest_has_given() -> None:
    assert set_fence(inmate(actual=300, used=310), HIGH) == to(444, Change.LOWER)


def test_a_fence_is_not_lowered_to_what_is_still_in_use() -> None:
    assert set_fence(inmate(actual=300, used=500), HIGH) == to(564, Change.LOWER)
    assert set_fence(inmate(actual=300, used=560), HIGH) == to(644, Change.HOLD)


def test_what_was_asked_back_is_inside_until_it_has_left() -> None:
    assert set_fence(inmate(actual=300, promised=500, used=310), HIGH) == to(644, Change.HOLD)


def test_a_guest_without_a_fence_gets_one_around_what_it_uses() -> None:
    assert set_fence(inmate(fence=None), HIGH) == to(644, Change.LOWER)
    assert set_fence(inmate(fence=None, used=900), HIGH) == to(964, Change.LOWER)


def test_a_hard_fence_leaves_room_for_a_restart() -> None:
    assert set_fence(inmate(fence=None), HARD) == to(1144, Change.LOWER)


def test_a_large_guest_has_its_room_by_its_size() -> None:
    assert set_fence(inmate(promised=10_000), HIGH) == to(10_580, Change.RAISE)


@pytest.mark.parametrize(
    "run_state", [RunState.BOOTING, RunState.PAUSED, RunState.UNREACHABLE], ids=str
)
def test_a_guest_in_doubt_keeps_its_fence_and_may_only_have_it_raised(run_state: RunState) -> None:
    low = inmate(actual=300, used=310, run_state=run_state)
    grown = inmate(promised=700, run_state=run_state)
    unfenced = inmate(fence=None, run_state=run_state)

    assert set_fence(low, HIGH).change is Change.HOLD
    assert set_fence(grown, HIGH).change is Change.RAISE
    assert set_fence(unfenced, HIGH) == Fence(change=Change.HOLD, limit_bytes=None)


def test_a_guest_that_moves_to_another_host_has_no_fence() -> None:
    moving = inmate(run_state=RunState.MIGRATING)
    free = inmate(run_state=RunState.MIGRATING, fence=None)

    assert set_fence(moving, HIGH) == Fence(change=Change.LIFT, limit_bytes=None)
    assert set_fence(free, HIGH) == Fence(change=Change.HOLD, limit_bytes=None)


def test_a_fence_is_lifted_where_none_is_wanted() -> None:
    off = FencePolicy()

    assert set_fence(inmate(), off).change is Change.LIFT
    assert set_fence(inmate(fence=None), off).change is Change.HOLD
