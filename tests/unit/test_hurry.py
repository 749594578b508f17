from __future__ import annotations

import pytest
from tests.unit.builders import POLICY, devices, guest, settings

from barostat.core.assess import assess
from barostat.core.cooperation import Trust, WishState, aim
from barostat.core.guest_state import GuestState
from barostat.core.hurry import hurries
from barostat.core.observation import GuestObservation, RunState
from barostat.core.settings import MemorySettings
from barostat.units import MIB


def hurried(
    seen: GuestObservation,
    previous: GuestState | None = None,
    *,
    wants: MemorySettings | None = None,
) -> bool:
    known = wants or settings()
    return hurries(seen, known, previous, now_s=seen.seen_at_s, tight=False, policy=POLICY)


def remembered(seen: GuestObservation, wish: WishState | None = None) -> GuestState:
    item = assess(
        seen,
        settings(),
        None,
        None,
        None,
        now_s=seen.seen_at_s,
        held=False,
        tight=False,
        policy=POLICY,
    )
    return item.before if wish is None else item.before.with_wish(wish)


def asked(goal: int, *, taking: Trust | None = None) -> WishState:
    start = WishState(
        goal_bytes=1024 * MIB, from_bytes=1024 * MIB, taking=taking or Trust(), ours=True
    )
    return aim(start, goal * MIB, actual_bytes=1024 * MIB, now_s=100.0) if goal != 1024 else start


def test_a_guest_near_its_limit_cannot_wait() -> None:
    assert hurried(guest(used=900))


def test_a_guest_that_outruns_what_it_has_cannot_wait() -> None:
    calm = guest(used=300, at=100)

    assert hurried(guest(used=700, at=100.5), remembered(calm))


def test_a_guest_with_room_waits_for_its_turn() -> None:
    assert not hurried(guest(used=700))


def test_a_guest_at_its_maximum_has_nothing_to_hurry_for() -> None:
    assert not hurried(guest(used=900), wants=settings(maximum=1024))


def test_a_guest_that_was_promised_all_that_it_wants_only_has_to_take_it() -> None:
    seen = guest(used=900)

    assert not hurried(guest(used=900, at=101), remembered(seen, asked(1400)))
    assert not hurried(guest(used=900, has=devices(requested=400)))


def test_a_guest_that_was_promised_less_than_it_wants_by_now_cannot_wait() -> None:
    seen = guest(used=900)

    assert hurried(guest(used=1000, at=101), remembered(seen, asked(1060)))


def test_a_guest_that_did_not_take_what_it_was_granted_is_left_to_rest() -> None:
    seen = guest(used=900)
    resting = asked(1024, taking=Trust(failures=1, rest_until_s=200.0))

    assert not hurried(guest(used=900, at=101), remembered(seen, resting))


@pytest.mark.parametrize(
    "state", [state for state in RunState if state is not RunState.RUNNING], ids=str
)
def test_a_guest_that_may_not_be_moved_does_not_hurry(state: RunState) -> None:
    assert not hurried(guest(used=900, run_state=state))


def test_a_guest_without_settings_does_not_hurry() -> None:
    seen = guest(used=900)

    assert not hurries(seen, None, None, now_s=100, tight=False, policy=POLICY)
