"""What must hold of wishes for every guest, every goal and every order of events."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barostat.core.observation import Devices, PlugDevice
from barostat.hypervisors.base import BalloonWish, PlugWish, Wish
from barostat.hypervisors.movers import cancel_wishes, next_wishes, reachable_bytes
from barostat.units import GIB, KIB, MIB

BLOCKS = (MIB, 2 * MIB, 16 * MIB, 128 * MIB)
goals = st.integers(-MIB, 12 * GIB)


@st.composite
def plugs(draw: st.DrawFn) -> tuple[PlugDevice, ...]:
    block = draw(st.sampled_from(BLOCKS))
    made = []
    for index in range(draw(st.integers(0, 3))):
        own_block = draw(st.sampled_from([block, block, MIB]))
        blocks = draw(st.integers(1, 4 * GIB // own_block))
        made.append(
            PlugDevice(
                name=f"vm{index}",
                block_bytes=own_block,
                maximum_bytes=blocks * own_block,
                size_bytes=draw(st.integers(0, blocks)) * own_block,
                requested_bytes=draw(st.integers(0, blocks)) * own_block,
            )
        )
    return tuple(made)


@st.composite
def guests(draw: st.DrawFn) -> Devices:
    """Any state at all, also ones that our own wishes never lead to."""
    boot = draw(st.integers(64, 4096)) * MIB + draw(st.sampled_from([0, 4 * KIB, 640 * KIB]))
    sizes = st.one_of(st.just(boot), st.integers(256, boot // 4096).map(lambda pages: pages * 4096))
    has_balloon = draw(st.booleans())
    return Devices(
        boot_bytes=boot,
        balloon_actual_bytes=draw(sizes) if has_balloon else boot,
        balloon_target_bytes=draw(st.one_of(st.none(), sizes)) if has_balloon else None,
        has_balloon=has_balloon,
        plugs=draw(plugs()),
    )


@st.composite
def fresh_guests(draw: st.DrawFn) -> Devices:
    """Guests as they are after boot: balloon empty, nothing plugged or asked for."""
    guest = draw(guests())
    return replace(
        guest,
        balloon_actual_bytes=guest.boot_bytes,
        balloon_target_bytes=None,
        plugs=tuple(replace(plug, size_bytes=0, requested_bytes=0) for plug in guest.plugs),
    )


def ask(devices: Devices, wishes: tuple[Wish, ...]) -> Devices:
    for wish in wishes:
        match wish:
            case BalloonWish(target_bytes=target):
                devices = replace(devices, balloon_target_bytes=target)
            case PlugWish(device=name, requested_bytes=requested):
                devices = replace(
                    devices,
                    plugs=tuple(
                        replace(plug, requested_bytes=requested) if plug.name == name else plug
                        for plug in devices.plugs
                    ),
                )
    return devices


def move(devices: Devices, *, done_ratio: float = 1.0) -> Devices:
    """Let the guest do a part of what was asked of it; 1.0 is all."""

    def towards(now: int, then: int, step: int) -> int:
        moved = round((then - now) * done_ratio) // step * step
        return then if done_ratio >= 1 else now + moved

    target = devices.balloon_target_bytes
    actual = devices.balloon_actual_bytes
    return replace(
        devices,
        balloon_actual_bytes=actual if target is None else towards(actual, target, 4096),
        plugs=tuple(
            replace(
                plug, size_bytes=towards(plug.size_bytes, plug.requested_bytes, plug.block_bytes)
            )
            for plug in devices.plugs
        ),
    )


def most(devices: Devices) -> int:
    """Say what the guest may come to have of what is asked and what is there."""
    target = devices.balloon_target_bytes
    asked = devices.balloon_actual_bytes if target is None else target
    plugged = sum(max(plug.size_bytes, plug.requested_bytes) for plug in devices.plugs)
    return max(devices.balloon_actual_bytes, asked) + plugged


def least(devices: Devices) -> int:
    target = devices.balloon_target_bytes
    asked = devices.balloon_actual_bytes if target is None else target
    plugged = sum(min(plug.size_bytes, plug.requested_bytes) for plug in devices.plugs)
    return min(devices.balloon_actual_bytes, asked) + plugged


@given(guests(), goals, st.booleans())
def test_wishes_stay_between_what_is_there_and_the_goal(
    devices: Devices, goal: int, fallback: bool
) -> None:
    asked = ask(devices, next_wishes(devices, goal, fallback=fallback))

    have = devices.assigned_bytes
    assert most(asked) <= max(goal, have)
    assert least(asked) >= min(max(goal, MIB), have)


@given(guests(), goals, st.booleans())
def test_wishes_are_values_that_the_devices_take(
    devices: Devices, goal: int, fallback: bool
) -> None:
    plugs = {plug.name: plug for plug in devices.plugs}
    for wish in next_wishes(devices, goal, fallback=fallback) + cancel_wishes(devices):
        match wish:
            case BalloonWish(target_bytes=target):
                assert devices.has_balloon
                assert 0 < target <= devices.boot_bytes
            case PlugWish(device=name, requested_bytes=requested):
                assert 0 <= requested <= plugs[name].maximum_bytes
                assert requested % plugs[name].block_bytes == 0


@given(guests(), goals, st.booleans())
def test_what_was_asked_is_not_asked_again(devices: Devices, goal: int, fallback: bool) -> None:
    asked = ask(devices, next_wishes(devices, goal, fallback=fallback))

    assert next_wishes(asked, goal, fallback=fallback) == ()


@given(guests(), goals)
def test_ideal_devices_reach_what_is_said_to_be_reachable_in_a_few_steps(
    devices: Devices, goal: int
) -> None:
    promised = reachable_bytes(devices, goal, up=goal > devices.assigned_bytes)

    for _ in range(3):
        devices = move(ask(devices, next_wishes(devices, goal)))

    assert devices.assigned_bytes == promised
    assert next_wishes(devices, goal) == ()


@given(guests(), goals)
def test_a_move_ends_within_one_step_of_its_goal_unless_the_devices_end_there(
    devices: Devices, goal: int
) -> None:
    reachable = reachable_bytes(devices, goal, up=goal > devices.assigned_bytes)

    step = len(devices.plugs) * max((p.block_bytes for p in devices.plugs), default=0) + MIB
    floor = MIB if devices.has_balloon else devices.boot_bytes
    goal = min(max(goal, floor), devices.ceiling_bytes)
    assert abs(reachable - goal) < step


@given(guests(), goals)
def test_a_move_never_ends_against_its_direction(devices: Devices, goal: int) -> None:
    assert reachable_bytes(devices, goal, up=True) >= devices.assigned_bytes
    assert reachable_bytes(devices, goal, up=False) <= devices.assigned_bytes


@given(fresh_guests(), st.lists(st.tuples(goals, st.floats(0, 1)), max_size=12))
def test_no_guest_is_ever_plugged_and_ballooned_by_our_wishes(
    devices: Devices, story: list[tuple[int, float]]
) -> None:
    for goal, done_ratio in story:
        devices = move(ask(devices, next_wishes(devices, goal)), done_ratio=done_ratio)

        target = devices.balloon_target_bytes
        ballooned = devices.balloon_bytes or (target is not None and target < devices.boot_bytes)
        assert not (ballooned and (devices.plugged_bytes or devices.requested_bytes))


@given(guests(), st.lists(st.tuples(goals, st.floats(0, 1)), max_size=4), goals)
def test_a_guest_comes_to_its_goal_from_any_unfinished_move(
    devices: Devices, story: list[tuple[int, float]], goal: int
) -> None:
    for earlier, done_ratio in story:
        devices = move(ask(devices, next_wishes(devices, earlier)), done_ratio=done_ratio)
    promised = reachable_bytes(devices, goal, up=goal > devices.assigned_bytes)

    for _ in range(3):
        devices = move(ask(devices, next_wishes(devices, goal)))

    assert devices.assigned_bytes == promised


@pytest.mark.trust("ends", "a move is cancelled halfway")
@given(guests())
def test_a_cancelled_move_leaves_every_byte_where_it_is(devices: Devices) -> None:
    asked = ask(devices, cancel_wishes(devices))

    pinned = max(devices.balloon_actual_bytes, MIB)
    assert move(asked).assigned_bytes - devices.plugged_bytes == pinned
    assert move(asked).plugged_bytes == devices.plugged_bytes
    assert cancel_wishes(asked) == ()


@pytest.mark.trust("unharmed", "an unplug is stuck and the balloon takes its part")
@given(guests(), goals)
def test_the_fallback_leaves_the_guest_half_of_its_base_ram(devices: Devices, goal: int) -> None:
    for wish in next_wishes(devices, goal, fallback=True):
        if isinstance(wish, BalloonWish) and devices.plugged_bytes:
            kept = min(devices.boot_bytes // 2, devices.balloon_actual_bytes)
            assert wish.target_bytes >= kept
