"""What chance found once, step by step: kept, because chance may not find it again."""

from __future__ import annotations

from tests.property.machine.quiet import Quiet
from tests.property.machine.world import Then

from barostat.core.allocation import Mode
from barostat.hypervisors.simulated_spec import Character


def test_two_that_page_do_not_hand_the_same_memory_to_and_fro() -> None:
    """One looked the needier, then the other, each time the same few megabytes had moved."""
    state = Quiet()
    state.begin(
        capacity_percent=105,
        witnessed=False,
        mode=Mode.PRESSURE,
        guests=[
            (768, Character.STUCK, 149, 0),
            (400, Character.IDEAL, 1, 17),
            (256, Character.SLOW, 15, 34),
            (256, Character.SLOW, 149, 3),
            (768, Character.IDEAL, 35, 17),
        ],
    )
    state.the_host_is_held(passes=4, then=Then.NOTHING)
    state.a_vm_wants_to_start(name="d", size_mib=1023, then=Then.TICK)
    state.a_vm_starts_unasked_or_is_let_start(
        boot_mib=256, character=Character.IDEAL, kind=32, name="d", then=Then.TICK
    )
    state.a_guest_is_reset(then=Then.NOTHING, who=2)
    state.a_guest_turns_out_to_free_nothing(passes=4, then=Then.TICK, who=1)
    state.a_vm_starts_unasked_or_is_let_start(
        boot_mib=512, character=Character.LYING, kind=24, name="d", then=Then.TICK
    )
    state.some_cannot_wait(some=19, then=Then.WITHOUT_ENGINE, wait_s=4.0)
    state.a_guest_uses(hot=True, percent=96, then=Then.TICK, who=3)
    state.all_guests_use(much=17, percent=107, then=Then.TICK)
    state.all_guests_use(much=27, percent=120, then=Then.TICK)
    state.some_cannot_wait(some=19, then=Then.AT_LAST, wait_s=0.1)
    state.a_guest_uses(hot=False, percent=74, then=Then.AFTER_SLEEP, who=2)
    state.the_daemon_is_killed_and_started(then=Then.AT_LAST)
    state.a_guest_turns_out_to_free_nothing(passes=1, then=Then.WITHOUT_ENGINE, who=0)
    state.all_guests_use(much=7, percent=69, then=Then.SOON)
    state.nothing_happens(then=Then.REFUSED)
    state.a_vm_wants_to_start(name="d", size_mib=256, then=Then.TICK)
    state.a_guest_is_reset(then=Then.AT_LAST, who=2)
    state.a_guest_turns_out_to_free_nothing(passes=2, then=Then.AFTER_SLEEP, who=3)
    state.the_host_is_held(passes=1, then=Then.SOON)
    state.a_guest_is_reset(then=Then.TICK, who=4)
    state.a_vm_starts_unasked_or_is_let_start(
        boot_mib=768, character=Character.DEAF, kind=34, name="d", then=Then.TICK
    )
    state.nothing_happens(then=Then.REFUSED)
    state.all_guests_use(much=28, percent=126, then=Then.REFUSED)
    state.statistics_are_frozen(passes=1, then=Then.AT_LAST, who=4)
    state.a_vm_starts_unasked_or_is_let_start(
        boot_mib=512, character=Character.IDEAL, kind=8, name="b", then=Then.SOON
    )
    state.the_daemon_is_killed_and_started(then=Then.REFUSED)
    state.the_host_is_held(passes=4, then=Then.AFTER_SLEEP)
    state.a_guest_is_paused(passes=8, then=Then.REFUSED, who=3)

    state.teardown()
