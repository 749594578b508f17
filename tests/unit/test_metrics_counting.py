"""What is counted from pass to pass: only what was seen, and it never starts again by mistake."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.builders import Host, devices, guest, of

from barostat.core.moves import Move, MoveKind
from barostat.core.observation import Depth, Devices, RunState
from barostat.core.reasons import ReasonCode, because
from barostat.engine.act import Outcome
from barostat.errors import DeadlineError
from barostat.service.metrics_seen import BOUNDS_S, Account, Durations, ended, looked
from barostat.units import MIB


def look(
    before: Account | None,
    has: Devices,
    *,
    run_state: RunState = RunState.RUNNING,
    move: Move | None = None,
    goal: int | None = None,
    heard_by: Depth = Depth.BALLOON,
) -> Account:
    seen = replace(guest(has=has, run_state=run_state), heard_by=heard_by)
    decided = of(Host().tick(seen))
    asked = decided.assigned_bytes if goal is None else goal * MIB
    return looked(before, seen, replace(decided, move=move), goal_bytes=asked)


def move(kind: MoveKind, start: int, to: int, reason: ReasonCode = ReasonCode.DEMAND) -> Move:
    return Move(
        guest="web",
        kind=kind,
        from_bytes=start * MIB,
        to_bytes=to * MIB,
        reasons=(because(reason),),
    )


GROW = move(MoveKind.GROW, 1024, 1280)
SHRINK = move(MoveKind.SHRINK, 1024, 768)


def end(of_move: Move, assigned: int | None) -> Outcome:
    return Outcome(
        move=of_move,
        arrived=False,
        assigned_bytes=None if assigned is None else assigned * MIB,
        took_s=1.0,
        error=DeadlineError("no answer") if assigned is None else None,
    )


def test_the_first_look_at_a_guest_counts_nothing() -> None:
    account = look(None, devices(1024, plugged=256))

    assert account == Account(
        assigned_bytes=1280 * MIB, visible_bytes=1280 * MIB, settled=True, depth=Depth.BALLOON
    )


def test_a_loss_of_depth_is_counted_where_no_boot_explains_it() -> None:
    has, account = devices(1024), None
    for heard_by in (Depth.BALLOON, Depth.AGENT, Depth.QGA, Depth.AGENT, Depth.BALLOON):
        account = look(account, has, heard_by=heard_by)
    assert account is not None
    assert (account.depth, account.demotions) == (Depth.BALLOON, 2)

    account = look(account, has, heard_by=Depth.AGENT)
    rebooted = look(account, has, run_state=RunState.BOOTING)

    assert (rebooted.depth, rebooted.demotions) == (Depth.BALLOON, 2)


def test_what_came_and_what_went_is_counted_apart() -> None:
    account = look(None, devices(1024))
    for has in (devices(1024, plugged=256), devices(1024, plugged=64), devices(1024, balloon=100)):
        account = look(account, has)

    assert account.added_bytes == 256 * MIB
    assert account.removed_bytes == (192 + 64 + 100) * MIB


def test_nothing_new_leaves_an_account_as_it_is() -> None:
    account = look(None, devices(1024, plugged=256))

    assert look(account, devices(1024, plugged=256)) is account


def test_a_balloon_never_lowers_what_a_guest_could_see() -> None:
    account = look(look(None, devices(1024, plugged=256)), devices(1024, balloon=512))

    assert account.assigned_bytes == 512 * MIB
    assert account.visible_bytes == 1280 * MIB


def test_a_guest_that_boots_again_begins_anew_and_what_it_lost_was_not_removed() -> None:
    before = look(look(None, devices(1024)), devices(1024, plugged=256))

    booting = look(before, devices(1024), run_state=RunState.BOOTING)
    running = look(booting, devices(1024, plugged=64))

    assert booting.visible_bytes == 1024 * MIB
    assert running.added_bytes == (256 + 64) * MIB
    assert running.removed_bytes == 0
    assert running.visible_bytes == 1088 * MIB


def test_an_operation_counts_for_what_it_came_to() -> None:
    account = look(None, devices(1024))

    grown = ended(look(account, devices(1024), move=GROW), end(GROW, 1100))
    shrunk = ended(look(account, devices(1024), move=SHRINK), end(SHRINK, 768))

    assert (grown.additions, grown.removals) == (1, 0)
    assert (shrunk.additions, shrunk.removals) == (0, 1)


def test_an_operation_that_moved_nothing_or_was_never_seen_again_does_not_count() -> None:
    account = look(look(None, devices(1024)), devices(1024), move=SHRINK)

    for assigned in (1024, None):
        after = ended(account, end(SHRINK, assigned))
        assert (after.additions, after.removals) == (0, 0)
        assert after.began_bytes is None


def test_a_shrink_that_is_cancelled_half_way_is_one_operation() -> None:
    account = look(look(None, devices(1024)), devices(1024), move=SHRINK)
    cancel = move(MoveKind.CANCEL, 900, 900, ReasonCode.NEEDED_BACK)
    account = look(account, devices(1024, balloon=124), move=cancel)

    account = ended(account, end(cancel, 900))

    assert (account.additions, account.removals) == (0, 1)


def test_a_cancel_with_nothing_under_way_is_no_operation() -> None:
    cancel = move(MoveKind.CANCEL, 1024, 1024, ReasonCode.ADOPTED)
    account = look(look(None, devices(1024)), devices(1024), move=cancel)

    account = ended(account, end(cancel, 1024))

    assert (account.additions, account.removals) == (0, 0)


def test_a_size_that_changes_unasked_is_counted() -> None:
    account = look(look(None, devices(1024)), devices(1024))

    account = look(account, devices(1024, balloon=200))

    assert account.strays == 1


def test_a_size_that_changes_as_asked_or_hardly_at_all_is_not_counted() -> None:
    account = look(look(None, devices(1024)), devices(1024), move=SHRINK)
    for balloon in (100, 200):
        account = look(account, devices(1024, balloon=balloon), goal=768)
    account = ended(account, end(SHRINK, 768))
    for balloon in (256, 256, 260):
        account = look(account, devices(1024, balloon=balloon), goal=768)

    assert account.settled
    assert account.strays == 0


@pytest.mark.parametrize("state", [RunState.BOOTING, RunState.MIGRATING, RunState.UNREACHABLE])
def test_a_guest_that_was_out_of_sight_may_come_back_another(state: RunState) -> None:
    account = look(look(None, devices(1024)), devices(1024))

    account = look(account, devices(1024), run_state=state)
    account = look(account, devices(1024, balloon=200))

    assert account.strays == 0


def test_durations_fall_into_the_first_bucket_that_holds_them() -> None:
    took = Durations()
    for seconds in (BOUNDS_S[0], BOUNDS_S[0] * 2, 5.0, 6.0):
        took = took.and_one_of(seconds)

    assert took.counts == (1, 1, 0, 0, 0, 2)
    assert took.sum_s == pytest.approx(11.03)
