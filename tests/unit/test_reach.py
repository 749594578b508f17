"""How far a guest is grown at once: no further than it can describe in what it has free."""

from __future__ import annotations

from typing import Final

import pytest
from tests.unit.builders import Host, codes, devices, guest, line, of, statistics
from tests.unit.planning import codes as codes_of
from tests.unit.planning import moved, planned

from barostat.core.hurry import hurries
from barostat.core.observation import Devices
from barostat.core.policy import Policy
from barostat.core.reach import DESCRIPTOR_BYTES, PAGE_BYTES, reach_bytes
from barostat.core.reasons import ReasonCode
from barostat.core.sizes import measure
from barostat.core.statistics import Statistics
from barostat.units import GIB, MIB

RATIO: Final = DESCRIPTOR_BYTES / PAGE_BYTES


def reach_mib(has: Devices, *, free: int | None, used: int = 900) -> int | None:
    free_bytes = None if free is None else free * MIB
    size = reach_bytes(measure(has), statistics(has, used, free_bytes=free_bytes))
    return None if size is None else size // MIB


def test_a_guest_that_does_not_say_what_it_has_free_is_not_bounded() -> None:
    assert reach_mib(devices(), free=None) is None


def test_half_of_what_is_free_describes_what_is_plugged() -> None:
    assert reach_mib(devices(), free=20) == 1024 + int(20 / 2 / RATIO)


@pytest.mark.parametrize("free", [0, 1, 4])
def test_a_section_is_plugged_whatever_is_free(free: int) -> None:
    assert reach_mib(devices(), free=free) == 1024 + 128


def test_no_step_is_smaller_than_a_block_of_the_device() -> None:
    assert reach_mib(devices(block=512), free=0) == 1024 + 512


@pytest.mark.parametrize("deflate", [True, False])
def test_what_the_balloon_gives_back_first_is_free_when_memory_is_plugged(deflate: bool) -> None:
    has = devices(balloon=20, deflate=deflate)

    assert reach_mib(has, free=0) == 1024 + int(20 / 2 / RATIO)


def test_what_is_free_in_plugged_memory_describes_nothing() -> None:
    has = devices(plugged=1024)
    base = 1024 - 64 - 1024 * RATIO

    assert reach_mib(has, free=40) == 2048 + int(40 / 2 * base / (base + 1024) / RATIO)


def test_boot_ram_that_is_full_of_descriptors_carries_one_section_more() -> None:
    has = devices(128, plugged=3456, region=4096)

    assert reach_mib(has, free=1000, used=2000) == 128 + 3456 + 128


def test_plugged_memory_that_never_came_online_carries_nothing() -> None:
    has = devices(plugged=1024)
    dark = Statistics(total_bytes=960 * MIB, available_bytes=40 * MIB, free_bytes=40 * MIB)

    assert reach_bytes(measure(has), dark) == (2048 + 128) * MIB


def test_a_grow_beyond_reach_stops_there_and_says_that_more_follows() -> None:
    web = line(target=2000, actual=1000, demand_bytes=1900, urgent=True, reach_bytes=1128)

    planned(web, hand=2000)

    assert moved(web).to_bytes == 1128 * MIB
    assert codes_of(web) == [ReasonCode.DEMAND, ReasonCode.STEPWISE]


def test_a_grow_that_memory_in_hand_bounds_first_waits_for_others() -> None:
    web = line(target=2000, actual=1000, demand_bytes=1900, urgent=True, reach_bytes=1128)

    planned(web, hand=64)

    assert moved(web).to_bytes == 1064 * MIB
    assert ReasonCode.PARTIAL in codes_of(web)


def test_the_next_step_follows_when_the_first_is_there() -> None:
    host, sizes = Host(), []
    host.tick(guest(used=500, at=99), at=99)
    plugged = 0
    for at in range(100, 103):
        has = devices(plugged=plugged)
        says = statistics(has, 960, free_bytes=(2 + plugged) * MIB, swap_out_bytes=200 * MIB)
        decision = host.tick(guest(has=has, says=says, at=at), at=at)
        for move in decision.moves:
            plugged = move.to_bytes // MIB - 1024
            sizes.append(plugged)
        if at == 100:
            assert ReasonCode.STEPWISE in codes(decision)
    assert sizes[0] == 128
    assert sizes[-1] * MIB == of(decision).target_bytes - GIB


def test_a_guest_within_reach_of_its_first_step_does_not_hurry_for_the_next() -> None:
    host = Host()
    host.tick(guest(used=500, at=99), at=99)
    says = statistics(devices(), 960, free_bytes=MIB, swap_out_bytes=200 * MIB)
    host.tick(guest(says=says), at=100)

    again = hurries(
        guest(says=says, at=100.1),
        host.settings.get("web"),
        host.state.guests["web"],
        now_s=100.1,
        tight=False,
        policy=Policy(),
    )

    assert not again
