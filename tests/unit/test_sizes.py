from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.builders import devices

from barostat.core.observation import Devices, PlugDevice
from barostat.core.sizes import measure
from barostat.units import MIB

SECOND = PlugDevice(
    name="vm1",
    requested_bytes=64 * MIB,
    size_bytes=128 * MIB,
    maximum_bytes=256 * MIB,
    block_bytes=4 * MIB,
)
TWO = replace(devices(balloon=100, plugged=200, requested=300), plugs=(*devices().plugs, SECOND))


@pytest.mark.parametrize(
    "has",
    [
        devices(),
        devices(region=0),
        devices(balloon=100, target=None),
        devices(balloon=100, target=512),
        devices(balloon=600, target=1000, deflate=False),
        TWO,
    ],
)
def test_measured_sizes_are_those_that_the_devices_tell(has: Devices) -> None:
    sizes = measure(has)

    assert sizes.actual_bytes == has.assigned_bytes
    assert sizes.balloon_bytes == has.balloon_bytes
    assert sizes.plugged_bytes == has.plugged_bytes
    assert sizes.wished_bytes == has.wished_bytes
    assert sizes.ceiling_bytes == has.ceiling_bytes


def test_without_its_balloon_a_guest_may_hold_all_its_boot_memory_and_what_is_plugged() -> None:
    assert measure(TWO).unballooned_bytes == (1024 + 128) * MIB
    assert measure(devices(plugged=100, requested=300)).unballooned_bytes == 1324 * MIB


def test_the_smallest_move_is_that_of_the_coarsest_device() -> None:
    assert measure(TWO).granularity_bytes == 4 * MIB
    assert measure(devices(region=0)).granularity_bytes == MIB


def test_ballooned_pages_are_inside_the_guests_total_only_where_the_balloon_gives_way() -> None:
    assert measure(devices(balloon=100)).inside_bytes == 100 * MIB
    assert measure(devices(balloon=100, deflate=False)).inside_bytes == 0


@pytest.mark.parametrize(
    ("has", "unfinished"),
    [
        (devices(balloon=100), False),
        (devices(balloon=100, target=None), True),
        (devices(target=None), False),
        (devices(balloon=100, target=800), True),
        (devices(plugged=100, requested=200), True),
        (devices(plugged=200, requested=200), False),
        (TWO, True),
    ],
)
def test_a_wish_that_has_not_come_true_or_cannot_be_known_is_unfinished(
    has: Devices, unfinished: bool
) -> None:
    assert measure(has).unfinished is unfinished
