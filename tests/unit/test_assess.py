from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.builders import POLICY, devices, guest, line, settings, statistics

from barostat.core.assess import Assessment, assess
from barostat.core.cooperation import Trust, Verdict, WishState, aim
from barostat.core.guest_state import GuestState
from barostat.core.lines import claim_of, least_bytes
from barostat.core.moves import Line, MoveKind
from barostat.core.observation import GuestObservation, RunState
from barostat.core.reasons import Reason, ReasonCode, because
from barostat.core.settings import MemorySettings
from barostat.units import MIB


def looked_at(
    seen: GuestObservation,
    previous: GuestState | None = None,
    *,
    has_settings: MemorySettings | None = None,
    fault: str | None = None,
    now: float = 100.0,
    held: bool = False,
    unfit: Reason | None = None,
) -> Assessment:
    return assess(
        seen,
        has_settings or settings(),
        fault,
        unfit,
        previous,
        now_s=now,
        held=held,
        tight=False,
        policy=POLICY,
    )


def line_of(item: Assessment) -> Line:
    assert item.line is not None
    return item.line


def asked(goal: int, *, actual: int = 1024, at: float = 99.0) -> GuestState:
    """The memory of a guest that was asked for something."""
    start = WishState(goal_bytes=actual * MIB, from_bytes=actual * MIB)
    wish = aim(start, goal * MIB, actual_bytes=actual * MIB, now_s=at)
    return GuestState(demand=None, wish=wish, disturbed_at_s=0.0)


def test_a_guest_that_can_be_judged_has_a_line() -> None:
    item = looked_at(guest(used=400))

    assert item.pinned is None
    assert line_of(item).demand_bytes == 464 * MIB
    assert item.holds == ()


def test_a_guest_without_settings_is_pinned() -> None:
    item = assess(
        guest(), None, None, None, None, now_s=100, held=False, tight=False, policy=POLICY
    )

    assert item.pinned is not None
    assert item.pinned.code is ReasonCode.NO_SETTINGS
    assert item.line is None
    assert item.holds == (item.pinned,)


def test_a_guest_whose_memory_cannot_be_freed_is_pinned_and_says_why() -> None:
    huge = because(ReasonCode.HUGEPAGES)

    assert looked_at(guest(), unfit=huge).holds == (huge,)
    assert looked_at(replace(guest(), statistics=None), unfit=huge).holds == (huge,)
    assert looked_at(replace(guest(), unfit=huge)).holds == (huge,)


def test_a_guest_whose_memory_cannot_be_freed_is_held_by_its_operator_first() -> None:
    off = looked_at(guest(), has_settings=settings(enabled=False), unfit=because(ReasonCode.LOCKED))

    assert [why.code for why in off.holds] == [ReasonCode.DISABLED]


def test_a_guest_whose_settings_cannot_be_used_is_pinned_and_says_why() -> None:
    item = looked_at(guest(), fault="minimum is too large")

    assert item.pinned is not None
    assert item.pinned.code is ReasonCode.BAD_SETTINGS
    assert item.pinned.numbers == {"fault": "minimum is too large"}


@pytest.mark.parametrize(
    ("seen", "code"),
    [
        (guest(run_state=RunState.BOOTING), ReasonCode.BOOTING),
        (guest(run_state=RunState.PAUSED), ReasonCode.PAUSED),
        (guest(run_state=RunState.MIGRATING), ReasonCode.MIGRATING),
        (guest(run_state=RunState.UNREACHABLE), ReasonCode.UNREACHABLE),
        (replace(guest(), statistics=None), ReasonCode.NO_STATISTICS),
        (guest(at=94.9), ReasonCode.STALE),
    ],
)
def test_a_guest_in_doubt_is_pinned(seen: GuestObservation, code: ReasonCode) -> None:
    item = looked_at(seen)

    assert item.pinned is not None
    assert item.pinned.code is code
    assert item.line is None


def test_a_guest_that_is_switched_off_is_pinned() -> None:
    item = looked_at(guest(), has_settings=settings(enabled=False))

    assert item.pinned is not None
    assert item.pinned.code is ReasonCode.DISABLED


def test_a_guest_whose_operator_paused_it_is_pinned() -> None:
    item = looked_at(guest(), has_settings=settings(paused=True))

    assert item.pinned is not None
    assert item.pinned.code is ReasonCode.HELD


def test_every_guest_is_pinned_while_the_operator_holds_the_host() -> None:
    item = looked_at(guest(), held=True)

    assert item.pinned is not None
    assert item.pinned.code is ReasonCode.HELD


def test_a_guest_whose_words_cannot_be_believed_is_not_moved_on_what_it_said_before() -> None:
    first = looked_at(guest(at=99), now=99)

    item = looked_at(replace(guest(), statistics=None), first.state)

    assert item.pinned is not None
    assert item.pinned.code is ReasonCode.NO_STATISTICS
    assert item.state.demand is first.state.demand


def test_statistics_that_are_old_but_not_too_old_are_good_enough() -> None:
    assert looked_at(guest(at=95)).pinned is None


@pytest.mark.parametrize(
    "seen",
    [
        replace(guest(), statistics=None),
        guest(at=90),
        guest(run_state=RunState.PAUSED),
        guest(run_state=RunState.MIGRATING),
    ],
)
def test_a_shrink_under_way_is_cancelled_when_its_guest_cannot_be_judged(
    seen: GuestObservation,
) -> None:
    item = looked_at(seen, asked(900))

    assert item.move is not None
    assert item.move.kind is MoveKind.CANCEL
    assert item.move.to_bytes == 1024 * MIB
    assert [reason.code for reason in item.move.reasons] == [
        ReasonCode.HALTED,
        *([item.pinned.code] if item.pinned else []),
    ]


@pytest.mark.parametrize(
    ("seen", "previous"),
    [
        (guest(run_state=RunState.UNREACHABLE), asked(900)),
        (guest(run_state=RunState.PAUSED), asked(1100)),
        (guest(run_state=RunState.PAUSED), asked(1024)),
        (guest(run_state=RunState.PAUSED, has=devices(balloon=124)), asked(900)),
    ],
    ids=["cannot be told", "grows", "was asked nothing", "has given it all"],
)
def test_nothing_is_cancelled_where_nothing_shrinks_or_nobody_listens(
    seen: GuestObservation, previous: GuestState
) -> None:
    assert looked_at(seen, previous).move is None


def test_a_disturbance_makes_a_guest_a_new_one() -> None:
    known = looked_at(guest(used=900, at=99), now=99).state
    known = replace(known, grown_at_s=98.0, shrunk_at_s=97.0)

    item = looked_at(guest(used=300, disturbed=95), known)

    assert item.state.demand is not None
    assert item.state.demand.recent_bytes == 364 * MIB
    assert item.state.grown_at_s == item.state.shrunk_at_s == float("-inf")


def test_what_was_granted_and_not_yet_taken_outlives_a_disturbance() -> None:
    item = looked_at(guest(disturbed=95), asked(1500))

    assert item.state.wish.goal_bytes == 1500 * MIB
    assert line_of(item).verdict is Verdict.MOVING


def test_a_grant_that_nobody_takes_after_a_disturbance_is_found_to_be_stuck() -> None:
    kept = looked_at(guest(disturbed=95), asked(1500)).state

    item = looked_at(guest(at=106, disturbed=95), kept, now=106)

    assert line_of(item).verdict is Verdict.STUCK


def test_a_grow_that_was_taken_is_not_granted_again_after_a_disturbance() -> None:
    taken = looked_at(guest(has=devices(plugged=476)), asked(1500)).state

    item = looked_at(guest(disturbed=95), taken)

    assert item.state.wish.goal_bytes == 1024 * MIB


def test_a_wish_that_was_cancelled_is_forgotten_in_a_disturbance() -> None:
    stopped = asked(1500, actual=1500)

    assert looked_at(guest(disturbed=95), stopped).state.wish.goal_bytes == 1024 * MIB


@pytest.mark.parametrize("goal", [900, 1024])
def test_a_shrink_that_a_disturbance_ended_is_forgotten(goal: int) -> None:
    item = looked_at(guest(disturbed=95), asked(goal))

    assert item.state.wish.goal_bytes == 1024 * MIB
    assert not item.state.wish.ours


def test_a_guest_that_was_never_asked_anything_is_followed_where_it_goes() -> None:
    known = looked_at(guest(at=99), now=99).state

    item = looked_at(guest(has=devices(balloon=200)), known)

    assert item.before.wish.goal_bytes == 824 * MIB
    assert line_of(item).verdict is Verdict.IDLE
    assert not line_of(item).foreign


@pytest.mark.parametrize(
    "has",
    [
        devices(balloon=200, target=None),
        devices(balloon=200, target=600),
        devices(plugged=100, requested=200),
    ],
)
def test_a_wish_of_somebody_before_us_is_foreign(has: object) -> None:
    assert isinstance(has, type(devices()))
    assert line_of(looked_at(guest(has=has))).foreign


def test_a_guest_settles_after_a_disturbance_and_then_may_shrink() -> None:
    settling = line_of(looked_at(guest(disturbed=90.5)))
    settled = line_of(looked_at(guest(disturbed=90)))

    assert settling.stay is not None
    assert settling.stay.code is ReasonCode.SETTLING
    assert settling.stay.numbers["wait_s"] == 0.5
    assert settled.stay is None


def with_trust(**trust: Trust) -> GuestState:
    known = asked(1024, at=50)
    return replace(known, wish=replace(known.wish, **trust))  # type: ignore[arg-type]


def test_one_that_did_not_give_rests_and_may_still_grow() -> None:
    found = line_of(looked_at(guest(), with_trust(giving=Trust(failures=2, rest_until_s=130))))

    assert found.stay is not None
    assert found.stay.code is ReasonCode.RESTING
    assert found.stay.numbers == {"wait_s": 30, "failures": 2, "did": "give"}
    assert found.refuse is None


def test_one_that_did_not_take_rests_from_growing_and_may_still_shrink() -> None:
    found = line_of(looked_at(guest(), with_trust(taking=Trust(failures=1, rest_until_s=130))))

    assert found.stay is None
    assert found.refuse is not None
    assert found.refuse.numbers["did"] == "take"


def test_a_rest_comes_to_its_end() -> None:
    found = line_of(looked_at(guest(), with_trust(giving=Trust(failures=1, rest_until_s=100))))

    assert found.stay is None


CHANCE = Trust(failures=1, rest_until_s=130, second_chance=True)


@pytest.mark.parametrize(
    ("seen", "trust", "expected"),
    [
        (guest(has=devices(plugged=64)), CHANCE, True),
        (guest(has=devices(plugged=64)), replace(CHANCE, second_chance=False), False),
        (guest(has=devices()), CHANCE, False),
        (guest(has=devices(plugged=64, deflate=False)), CHANCE, False),
        (guest(has=devices(plugged=64), disturbed=95), CHANCE, False),
    ],
    ids=["chance", "no second chance", "nothing plugged", "balloon does not give way", "settling"],
)
def test_a_stuck_unplug_may_fall_back_to_the_balloon_once(
    seen: GuestObservation, trust: Trust, expected: bool
) -> None:
    has = seen.devices.assigned_bytes
    known = asked(has // MIB, actual=has // MIB, at=50)
    wish = replace(known.wish, giving=trust)
    known = replace(known, wish=wish, disturbed_at_s=seen.disturbed_at_s)

    assert line_of(looked_at(seen, known)).stuck_plug is expected


def test_a_guest_whose_demand_nearly_fills_it_is_urgent() -> None:
    assert line_of(looked_at(guest(used=900))).urgent
    assert not line_of(looked_at(guest(used=800))).urgent


def test_a_guest_that_will_have_used_up_what_it_has_presses() -> None:
    known = looked_at(guest(used=300, at=99), now=99).state

    assert line_of(looked_at(guest(used=720), known)).pressing
    assert not line_of(looked_at(guest(used=500), known)).pressing


def test_what_was_given_is_subtracted_only_from_words_that_may_be_older() -> None:
    known = looked_at(guest(used=200, at=99), now=99).state
    smaller = guest(has=devices(balloon=300), says=statistics(devices(), 200))
    late = replace(smaller, seen_at_s=100.5)

    assert line_of(looked_at(smaller, known)).available_bytes == 760 * MIB
    assert line_of(looked_at(late, known)).available_bytes == 460 * MIB


def test_a_guest_without_a_balloon_that_gives_way_pages_by_unplug_alone() -> None:
    has = devices(plugged=100, deflate=False)

    assert line_of(looked_at(guest(has=has))).pageable_bytes == 100 * MIB
    assert line_of(looked_at(guest())).pageable_bytes == 1024 * MIB


def test_what_a_shrink_leaves_is_a_share_of_what_is_the_guests_own() -> None:
    small = guest(has=devices(4096, balloon=3072), used=100)
    unsafe = guest(has=devices(deflate=False), used=100)

    assert line_of(looked_at(small)).floor_bytes == int((4096 - 64 - 3072) * MIB * 0.03)
    assert line_of(looked_at(unsafe)).floor_bytes == int((1024 - 64) * MIB * 0.1)
    assert line_of(looked_at(guest(has=devices(256), used=10))).floor_bytes == 12 * MIB


def test_the_maximum_is_what_the_devices_allow() -> None:
    assert line_of(looked_at(guest(has=devices(region=256)))).maximum_bytes == 1280 * MIB


def test_a_claim_carries_the_guests_bounds() -> None:
    claim = claim_of(line(minimum_bytes=200, maximum_bytes=900, weight=7))

    assert (claim.minimum_bytes, claim.maximum_bytes) == (200 * MIB, 900 * MIB)
    assert claim.weight == 7


def test_what_does_not_come_out_of_a_guest_now_counts_as_taken() -> None:
    resting = looked_at(guest(), with_trust(giving=Trust(rest_until_s=130)))
    stay = line_of(resting).stay

    assert least_bytes(line(stay=stay)) == 1000 * MIB
    assert least_bytes(line(stay=stay, stuck_plug=True)) == 128 * MIB
    assert least_bytes(line(stay=stay, minimum_bytes=1200)) == 1200 * MIB


def test_what_a_guest_does_not_take_is_not_kept_for_it() -> None:
    resting = looked_at(guest(), with_trust(taking=Trust(rest_until_s=130)))
    refuse = line_of(resting).refuse

    assert claim_of(line(refuse=refuse)).maximum_bytes == 1000 * MIB
    assert claim_of(line(refuse=refuse, minimum_bytes=1200)).maximum_bytes == 1200 * MIB


def test_a_need_is_claimed_in_steps_that_can_be_given() -> None:
    claim = claim_of(line(demand_bytes=501, granularity_bytes=2))

    assert claim.demand_bytes == 502 * MIB
