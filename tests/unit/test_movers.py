"""Wishes by example: which devices are asked, for what, and in which order."""

from __future__ import annotations

from dataclasses import replace

from barostat.core.observation import Devices, PlugDevice
from barostat.hypervisors.base import BalloonWish, PlugWish
from barostat.hypervisors.movers import (
    cancel_wishes,
    next_wishes,
    nudge_wishes,
    reachable_bytes,
)
from barostat.units import MIB


def plug(
    size_mib: int, requested_mib: int | None = None, *, name: str = "vm0", maximum_mib: int = 1024
) -> PlugDevice:
    return PlugDevice(
        name=name,
        size_bytes=size_mib * MIB,
        requested_bytes=(size_mib if requested_mib is None else requested_mib) * MIB,
        maximum_bytes=maximum_mib * MIB,
        block_bytes=2 * MIB,
    )


def guest(
    actual_mib: int = 512, *plugs: PlugDevice, target_mib: int | None = None, boot_mib: int = 512
) -> Devices:
    return Devices(
        boot_bytes=boot_mib * MIB,
        balloon_actual_bytes=actual_mib * MIB,
        balloon_target_bytes=None if target_mib is None else target_mib * MIB,
        plugs=plugs,
    )


def balloon_wish(target_mib: int) -> BalloonWish:
    return BalloonWish(target_bytes=target_mib * MIB)


def plug_wish(requested_mib: int, device: str = "vm0") -> PlugWish:
    return PlugWish(device=device, requested_bytes=requested_mib * MIB)


def test_a_ballooned_guest_deflates_to_its_goal() -> None:
    assert next_wishes(guest(300, plug(0)), 400 * MIB) == (balloon_wish(400),)


def test_a_ballooned_guest_that_needs_more_than_its_base_ram_deflates_before_it_plugs() -> None:
    ballooned = guest(300, plug(0))
    deflated = guest(512, plug(0), target_mib=512)

    assert next_wishes(ballooned, 700 * MIB) == (balloon_wish(512),)
    assert next_wishes(deflated, 700 * MIB) == (plug_wish(188),)


def test_a_plugged_guest_unplugs_before_it_inflates() -> None:
    plugged = guest(512, plug(200))
    unplugged = guest(512, plug(0))

    assert next_wishes(plugged, 300 * MIB) == (plug_wish(0),)
    assert next_wishes(unplugged, 300 * MIB) == (balloon_wish(300),)


def test_a_guest_that_is_there_is_left_alone() -> None:
    assert next_wishes(guest(512, plug(100)), 612 * MIB) == ()


def test_a_guest_that_was_asked_already_is_only_waited_for() -> None:
    assert next_wishes(guest(512, plug(100, 200)), 712 * MIB) == ()
    assert next_wishes(guest(512, target_mib=300), 300 * MIB) == ()


def test_a_goal_between_two_blocks_is_undershot_growing_and_overshot_shrinking() -> None:
    growing, shrinking = guest(512, plug(0)), guest(512, plug(100))

    assert next_wishes(growing, 513 * MIB + 1) == ()
    assert next_wishes(growing, 515 * MIB) == (plug_wish(2),)
    assert next_wishes(shrinking, 515 * MIB) == (plug_wish(4),)
    assert next_wishes(guest(512), 300 * MIB + 1) == (balloon_wish(301),)


def test_a_goal_above_the_devices_means_their_ceiling() -> None:
    assert next_wishes(guest(512, plug(0)), 10**15) == (plug_wish(1024),)
    assert reachable_bytes(guest(512, plug(0)), 10**15, up=True) == 1536 * MIB


def test_a_guest_without_a_balloon_moves_by_plug_alone() -> None:
    devices = replace(guest(512, plug(100)), has_balloon=False)

    assert next_wishes(devices, 600 * MIB) == (plug_wish(88),)
    assert next_wishes(devices, 100 * MIB) == (plug_wish(0),)
    assert reachable_bytes(devices, 100 * MIB, up=False) == 512 * MIB


def test_a_shrink_takes_back_a_deflation_that_was_asked_for_earlier() -> None:
    mixed = guest(300, plug(100), target_mib=512)

    assert next_wishes(mixed, 350 * MIB) == (plug_wish(50), balloon_wish(300))


def test_a_grow_takes_back_an_unplug_that_was_asked_for_earlier() -> None:
    assert next_wishes(guest(512, plug(100, 0)), 700 * MIB) == (plug_wish(188),)


def test_a_guest_at_its_goal_takes_back_what_was_asked_for_earlier() -> None:
    assert next_wishes(guest(512, plug(100, 0)), 612 * MIB) == (plug_wish(100),)


def test_a_request_left_from_before_a_reset_is_taken_back_before_the_balloon_inflates() -> None:
    reset = guest(512, plug(0, 200))

    assert next_wishes(reset, 400 * MIB) == (plug_wish(0), balloon_wish(400))


def test_two_devices_share_a_plug_in_proportion_to_their_maxima() -> None:
    devices = guest(512, plug(0, name="a", maximum_mib=900), plug(0, name="b", maximum_mib=300))

    assert next_wishes(devices, 912 * MIB) == (plug_wish(300, "a"), plug_wish(100, "b"))


def test_no_device_is_unplugged_to_plug_another() -> None:
    devices = guest(512, plug(300, name="a", maximum_mib=400), plug(0, name="b", maximum_mib=400))

    assert next_wishes(devices, (512 + 340) * MIB) == (plug_wish(40, "b"),)
    assert next_wishes(devices, (512 + 200) * MIB) == (plug_wish(200, "a"),)


def test_rounding_leaves_no_whole_block_unasked_for() -> None:
    devices = guest(512, *(plug(0, name=name, maximum_mib=400) for name in "abc"))

    wishes = next_wishes(devices, (512 + 10) * MIB)

    assert wishes == (plug_wish(4, "a"), plug_wish(4, "b"), plug_wish(2, "c"))


def test_under_shortage_the_balloon_takes_what_a_stuck_unplug_does_not_give() -> None:
    stuck = guest(512, plug(200, 0))

    assert next_wishes(stuck, 400 * MIB) == ()
    wishes = next_wishes(stuck, 500 * MIB, fallback=True)

    # 300 of the base RAM and 200 plugged are the goal; the unplug is called off, so that it can
    # not take the guest below its goal when it comes loose.
    assert wishes == (plug_wish(200), balloon_wish(300))


def test_the_fallback_leaves_half_of_the_base_ram_to_the_guests_kernel() -> None:
    stuck = guest(512, plug(400, 0))

    assert next_wishes(stuck, 300 * MIB, fallback=True) == (plug_wish(44), balloon_wish(256))


def test_the_fallback_changes_nothing_where_nothing_is_plugged_or_no_balloon_is_there() -> None:
    bare = replace(guest(512, plug(100, 0)), has_balloon=False)

    assert next_wishes(guest(512), 300 * MIB, fallback=True) == (balloon_wish(300),)
    assert next_wishes(bare, 512 * MIB, fallback=True) == ()


def test_an_abandoned_move_is_cancelled_by_asking_for_what_is_there() -> None:
    shrinking = guest(400, plug(98, 0), target_mib=300)

    assert cancel_wishes(shrinking) == (plug_wish(98), balloon_wish(400))


def test_a_nudge_says_again_what_has_not_come_true() -> None:
    waiting = guest(400, plug(98, 0), plug(50, name="vm1"), target_mib=300)

    assert nudge_wishes(waiting) == (plug_wish(0), balloon_wish(300))
    assert nudge_wishes(guest(400, plug(98), target_mib=400)) == ()
    assert nudge_wishes(guest(400)) == ()


def test_cancelling_makes_an_unknown_balloon_target_known() -> None:
    assert cancel_wishes(guest(512)) == (balloon_wish(512),)
    assert cancel_wishes(guest(512, target_mib=512)) == ()
    assert cancel_wishes(replace(guest(512), has_balloon=False)) == ()


def test_a_move_meant_to_grow_never_ends_below_what_is_there() -> None:
    assert reachable_bytes(guest(300), 200 * MIB, up=True) == 300 * MIB
    assert reachable_bytes(guest(300), 400 * MIB, up=False) == 300 * MIB
