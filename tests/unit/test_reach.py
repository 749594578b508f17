"""How far a guest is grown at once: no further than it can describe in what it has free."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest
from tests.unit.builders import Host, codes, devices, guest, line, of, statistics
from tests.unit.planning import codes as codes_of
from tests.unit.planning import moved, planned

from barostat.core.decide import Decision
from barostat.core.hurry import hurries
from barostat.core.moves import MoveKind
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
def test_what_the_balloon_gives_back_comes_first_and_describes_nothing(deflate: bool) -> None:
    has = devices(balloon=200, deflate=deflate)

    assert reach_mib(has, free=1) == 1024 + 128


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
    host, sizes = Host(), list[int]()
    plugged = 0
    decision = host.tick(guest(used=500, at=99), at=99)
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


def memory_after_a_plug(shown: int, *, at: float, host: Host) -> Decision:
    """What is decided of a guest that pages, and counts so much of the 512 MiB plugged last."""
    has = devices(plugged=512)
    says = statistics(has, 1472, free_bytes=0, swap_out_bytes=int(at) * 8 * MIB)
    says = replace(says, total_bytes=says.total_bytes - (512 - shown) * MIB)
    return host.tick(guest(has=has, says=says, at=at), at=at)


def test_nothing_more_is_plugged_until_what_was_plugged_last_shows() -> None:
    host = Host()
    host.tick(guest(used=900, at=98), at=98)

    early = memory_after_a_plug(0, at=100, host=host)
    later = memory_after_a_plug(512, at=101, host=host)

    assert MoveKind.GROW not in [move.kind for move in early.moves]
    assert MoveKind.GROW in [move.kind for move in later.moves]


def test_a_guest_in_which_plugged_memory_never_comes_online_is_given_no_more() -> None:
    host = Host()
    host.tick(guest(used=900, at=98), at=98)

    decisions = [memory_after_a_plug(0, at=at, host=host) for at in range(100, 110)]

    assert ReasonCode.OFFLINE in codes(decisions[-1])
    kinds = [move.kind for decision in decisions for move in decision.moves]
    assert MoveKind.GROW not in kinds


def test_what_was_hidden_when_a_guest_was_first_seen_is_no_plug_that_does_not_show() -> None:
    host = Host()

    decisions = [memory_after_a_plug(100, at=at, host=host) for at in range(100, 110)]

    assert all(ReasonCode.OFFLINE not in codes(decision) for decision in decisions)


def test_a_guest_that_does_not_count_its_memory_is_tried_again_after_a_long_time() -> None:
    host = Host()
    host.tick(guest(used=900, at=98), at=98)

    last = [memory_after_a_plug(300, at=100.0 + at, host=host) for at in range(0, 1200, 10)][-1]

    assert ReasonCode.OFFLINE not in codes(last)
