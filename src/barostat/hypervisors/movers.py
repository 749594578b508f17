"""One guest's size, and the wishes that lead to it. Pure: no I/O, no clock.

A guest grows by deflating its balloon first and by plugging only when the balloon is empty; it
shrinks by unplugging first and by inflating only when nothing is plugged: pages of a balloon that
lie in plugged memory make its unplug crawl. What is wished never passes the goal: growing rounds
down to what the devices can do, shrinking rounds up. Everything is computed anew from what is
there now, so that calling again at any moment, after any loss, asks for the right thing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from barostat.core.observation import Devices, PlugDevice
from barostat.hypervisors.base import BalloonWish, PlugWish, Wish
from barostat.units import MIB

__all__ = ["cancel_wishes", "next_wishes", "nudge_wishes", "reachable_bytes"]

BALLOON_STEP_BYTES: Final = MIB
"""Balloons are told whole MiB; a Linux driver moves them in batches of 1 MiB anyway."""

FALLBACK_KEEPS_RATIO: Final = 0.5
"""While memory is plugged the balloon never takes more than half of the base RAM: the guest's
kernel lives there, and in movable plugged memory it cannot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Aim:
    """What the devices should be asked for now: the balloon's "actual", and each plug's size."""

    balloon_bytes: int
    plug_bytes: tuple[int, ...]


def next_wishes(devices: Devices, goal_bytes: int, *, fallback: bool = False) -> tuple[Wish, ...]:
    """Say what to ask of the devices now, in this order, so that the guest moves to its goal.

    Args:
        devices: what is there and what was asked already. An unknown balloon target counts as
            met: if it was not, the next look shows a size to correct.
        goal_bytes: the size wished for; above what the devices allow it means their ceiling.
        fallback: an unplug is stuck and memory is short: give up on the plugged memory and let
            the balloon take what is missing from the base RAM, down to half of it.

    Returns:
        The wishes, or nothing when the guest is there or only waiting is left.
    """
    have_bytes = devices.assigned_bytes
    goal_bytes = _clamp(goal_bytes, BALLOON_STEP_BYTES, devices.ceiling_bytes)
    if goal_bytes > have_bytes:
        aim = _grow(devices, goal_bytes)
        return (*_balloon_wish(devices, aim), *_plug_wishes(devices, aim))
    if fallback and devices.has_balloon and devices.plugged_bytes:
        aim = _shrink_by_balloon(devices, goal_bytes)
    else:
        aim = _shrink(devices, goal_bytes)
    return (*_plug_wishes(devices, aim), *_balloon_wish(devices, aim))


def cancel_wishes(devices: Devices) -> tuple[Wish, ...]:
    """Say what to ask so that nothing moves any more: exactly what is there.

    An abandoned shrink keeps biting otherwise: the guest's driver retries it for minutes. An
    unknown balloon target is asked for as well, so that it is known from then on.
    """
    plugs = tuple(
        PlugWish(device=plug.name, requested_bytes=there)
        for plug in devices.plugs
        if plug.requested_bytes != (there := _there(plug))
    )
    actual_bytes = max(devices.balloon_actual_bytes, BALLOON_STEP_BYTES)
    if not devices.has_balloon or devices.balloon_target_bytes == actual_bytes:
        return plugs
    return (*plugs, BalloonWish(target_bytes=actual_bytes))


def nudge_wishes(devices: Devices) -> tuple[Wish, ...]:
    """Say what was asked and is not there yet, to be asked again in the same words.

    Writing the same value again makes a driver that waits for its own timer start over at once.
    """
    target_bytes = devices.balloon_target_bytes
    plugs = tuple(
        PlugWish(device=plug.name, requested_bytes=plug.requested_bytes)
        for plug in devices.plugs
        if plug.requested_bytes != plug.size_bytes
    )
    if target_bytes is None or target_bytes == devices.balloon_actual_bytes:
        return plugs
    return (*plugs, BalloonWish(target_bytes=target_bytes))


def reachable_bytes(devices: Devices, goal_bytes: int, *, up: bool) -> int:
    """Say at which size a move to the goal ends when the guest does all that it is asked.

    Args:
        devices: what is there now.
        goal_bytes: the size wished for.
        up: whether the move is meant to grow the guest; one that is meant to grow never ends
            below what is there, one that is meant to shrink never above.
    """
    have_bytes = devices.assigned_bytes
    goal_bytes = _clamp(goal_bytes, BALLOON_STEP_BYTES, devices.ceiling_bytes)
    if (goal_bytes <= have_bytes) if up else (goal_bytes >= have_bytes):
        return have_bytes
    if up:
        balloon_bytes = _deflated(devices, goal_bytes)
        if balloon_bytes < devices.boot_bytes:
            return balloon_bytes + devices.plugged_bytes
        return balloon_bytes + sum(_spread(devices.plugs, goal_bytes - balloon_bytes, up=True))
    plugged_bytes = sum(_shrink(devices, goal_bytes).plug_bytes)
    if plugged_bytes:
        return devices.balloon_actual_bytes + plugged_bytes
    return _inflated(devices, goal_bytes)


def _grow(devices: Devices, goal_bytes: int) -> _Aim:
    """Deflate first; plug only once the balloon is empty."""
    if devices.balloon_actual_bytes < devices.boot_bytes:
        return _Aim(balloon_bytes=_deflated(devices, goal_bytes), plug_bytes=_all_there(devices))
    return _Aim(
        balloon_bytes=devices.boot_bytes,
        plug_bytes=_spread(devices.plugs, goal_bytes - devices.boot_bytes, up=True),
    )


def _shrink(devices: Devices, goal_bytes: int) -> _Aim:
    """Unplug first; inflate only once nothing is plugged."""
    actual_bytes = devices.balloon_actual_bytes
    plugs = _spread(devices.plugs, max(0, goal_bytes - actual_bytes), up=False)
    inflate = not devices.plugged_bytes
    return _Aim(
        balloon_bytes=_inflated(devices, goal_bytes) if inflate else actual_bytes,
        plug_bytes=plugs,
    )


def _shrink_by_balloon(devices: Devices, goal_bytes: int) -> _Aim:
    """Keep what is plugged, and inflate; unplug only what the balloon may not take.

    # SAFETY: the plug is asked for what is left of the goal, not for less, because an unplug that
    # comes loose later would take the guest below its goal.
    """
    keep_bytes = round(devices.boot_bytes * FALLBACK_KEEPS_RATIO)
    wanted_bytes = max(goal_bytes - devices.plugged_bytes, keep_bytes)
    balloon_bytes = min(_up(wanted_bytes, BALLOON_STEP_BYTES), devices.balloon_actual_bytes)
    plugs = _spread(devices.plugs, max(0, goal_bytes - balloon_bytes), up=False)
    return _Aim(balloon_bytes=balloon_bytes, plug_bytes=plugs)


def _deflated(devices: Devices, goal_bytes: int) -> int:
    """Say how much of the base RAM the guest gets back on its way up to the goal."""
    wanted_bytes = goal_bytes - devices.plugged_bytes
    if wanted_bytes >= devices.boot_bytes:
        return devices.boot_bytes
    return max(_down(wanted_bytes, BALLOON_STEP_BYTES), devices.balloon_actual_bytes)


def _inflated(devices: Devices, goal_bytes: int) -> int:
    """Say how much of the base RAM is left when the balloon takes all above the goal."""
    if not devices.has_balloon:
        return devices.balloon_actual_bytes
    return min(_up(goal_bytes, BALLOON_STEP_BYTES), devices.balloon_actual_bytes)


def _spread(plugs: Sequence[PlugDevice], total_bytes: int, *, up: bool) -> tuple[int, ...]:
    """Spread a plugged size over the devices in proportion to their maxima, none turning back.

    Growing, no device is asked for less than it has, and the sum stays at or below the total;
    shrinking, none is asked for more, and the sum stays at or above it. So what is asked and what
    is there never pass the goal together, however unevenly the devices keep pace.
    """
    step_bytes = max((plug.block_bytes for plug in plugs), default=1)
    shares = _shares(plugs, total_bytes, up=up)
    asked = [
        max(_down(share, step_bytes), _there(plug) if up else 0)
        for plug, share in zip(plugs, shares, strict=True)
    ]
    rest_bytes = total_bytes - sum(asked)
    for index, plug in enumerate(plugs):  # one step each covers all that rounding left over
        limit_bytes = plug.maximum_bytes if up else _there(plug)
        room_bytes = _down(limit_bytes - asked[index], plug.block_bytes)
        extra_bytes = min(step_bytes, room_bytes)
        if extra_bytes <= rest_bytes if up else rest_bytes > 0:
            asked[index] += extra_bytes
            rest_bytes -= extra_bytes
    return tuple(asked)


def _shares(plugs: Sequence[PlugDevice], total_bytes: int, *, up: bool) -> list[int]:
    """Fill all devices to one level of their maxima, but none back beyond what it has."""
    shares = [_there(plug) for plug in plugs]
    free = set(range(len(plugs)))
    while free:  # each pass pins at least one device, or is the last
        left_bytes = total_bytes - sum(shares[i] for i in range(len(plugs)) if i not in free)
        weight = sum(plugs[i].maximum_bytes for i in free)
        level = {i: left_bytes * plugs[i].maximum_bytes // weight for i in free}
        pinned = {i for i in free if (level[i] < shares[i] if up else level[i] > shares[i])}
        if not pinned:
            for i in free:
                shares[i] = level[i]
            break
        free -= pinned
    return shares


def _plug_wishes(devices: Devices, aim: _Aim) -> tuple[PlugWish, ...]:
    return tuple(
        PlugWish(device=plug.name, requested_bytes=aimed)
        for plug, aimed in zip(devices.plugs, aim.plug_bytes, strict=True)
        if aimed != plug.requested_bytes
    )


def _balloon_wish(devices: Devices, aim: _Aim) -> tuple[BalloonWish, ...]:
    target_bytes = devices.balloon_target_bytes
    asked_bytes = devices.balloon_actual_bytes if target_bytes is None else target_bytes
    if not devices.has_balloon or aim.balloon_bytes == asked_bytes:
        return ()
    return (BalloonWish(target_bytes=aim.balloon_bytes),)


def _there(plug: PlugDevice) -> int:
    """Say which request means "stay as you are"."""
    return min(_up(plug.size_bytes, plug.block_bytes), plug.maximum_bytes)


def _all_there(devices: Devices) -> tuple[int, ...]:
    return tuple(_there(plug) for plug in devices.plugs)


def _clamp(value: int, low: int, high: int) -> int:
    return max(low, min(value, high))


def _down(size_bytes: int, step_bytes: int) -> int:
    return size_bytes // step_bytes * step_bytes


def _up(size_bytes: int, step_bytes: int) -> int:
    return -(-size_bytes // step_bytes) * step_bytes
