from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.builders import KERNEL_MIB, POLICY, devices, guest, statistics

from barostat.core.demand import DemandState, estimate
from barostat.core.observation import Devices, GuestObservation
from barostat.core.sizes import measure
from barostat.core.statistics import Statistics
from barostat.core.usage import balloon_floor_bytes
from barostat.core.wants import available_bytes, buffered_bytes, wanted_bytes
from barostat.units import MIB

# When it is looked at, the balloon then, and the balloon when the guest spoke: between two looks.
INFLATING = ((100, 0, 0), (101, 200, 150), (102, 400, 210), (103, 400, 400))
DEFLATING = ((100, 500, 500), (101, 250, 400), (102, 0, 150), (103, 0, 0))


def estimated(
    state: DemandState | None, seen: GuestObservation, *, tight: bool = False
) -> DemandState | None:
    sizes = measure(seen.devices)
    return estimate(state, seen, sizes, settings=None, tight=tight, policy=POLICY)


def after(*looks: GuestObservation, tight: bool = False) -> DemandState:
    state = None
    for seen in looks:
        state = estimated(state, seen, tight=tight)
    assert state is not None
    return state


def saying(has: Devices, used: int, at: float, **figures: int | None) -> GuestObservation:
    return guest(has=has, says=statistics(has, used, **figures), at=at)


def want_mib(state: DemandState, *, buffer: int = 20) -> int:
    return wanted_bytes(state, buffer_percent=buffer, policy=POLICY) // MIB


def test_demand_is_what_is_used_and_what_the_kernel_keeps() -> None:
    assert after(guest(used=400)).demand_bytes == (400 + KERNEL_MIB) * MIB


def test_a_guest_that_never_spoke_has_no_demand() -> None:
    silent = replace(guest(), statistics=None)

    assert estimated(None, silent) is None


def test_a_guest_that_says_nothing_new_keeps_its_estimate() -> None:
    first = after(guest(used=400, at=100))
    again = guest(used=900, at=100)
    silent = replace(guest(at=101), statistics=None)

    for seen in (again, silent):
        assert estimated(first, seen) is first


def test_demand_does_not_rise_when_the_page_cache_fills() -> None:
    has = devices()
    empty = saying(has, 400, 100, disk_caches_bytes=10 * MIB)
    full = saying(has, 400, 101, disk_caches_bytes=500 * MIB)

    assert after(empty, full).demand_bytes == after(empty).demand_bytes


def test_demand_does_not_rise_when_memory_is_plugged() -> None:
    before, larger = guest(used=400, at=100), devices(plugged=1024)

    settled = after(before, guest(used=400, has=larger, at=101), guest(has=larger, at=102))

    assert settled.demand_bytes == after(before).demand_bytes


def test_demand_does_not_rise_when_plugged_memory_never_comes_online() -> None:
    before, larger = guest(used=400, at=100), devices(plugged=1024)
    dark = statistics(devices(), 400)

    settled = after(before, *(guest(has=larger, says=dark, at=at) for at in (101, 102, 103)))

    assert settled.demand_bytes == after(before).demand_bytes


def test_the_kernels_share_is_found_to_be_less_while_memory_is_plugged() -> None:
    larger = devices(plugged=1024)
    dark = statistics(devices(), 400)

    settled = after(guest(has=larger, says=dark, at=100), guest(used=400, has=larger, at=101))

    assert settled.kernel_bytes == KERNEL_MIB * MIB


@pytest.mark.parametrize("deflate", [True, False])
def test_demand_does_not_change_while_the_balloon_inflates(deflate: bool) -> None:
    seen = []
    for at, at_look, when_it_spoke in (
        (100, 0, 0),
        (101, 200, 150),
        (102, 400, 210),
        (103, 400, 400),
    ):
        has = devices(balloon=at_look, deflate=deflate)
        spoke = statistics(devices(balloon=when_it_spoke, deflate=deflate), 400)
        seen.append(guest(has=has, says=spoke, at=at))

    demands = {after(*seen[: n + 1]).demand_bytes for n in range(len(seen))}

    assert demands == {(400 + KERNEL_MIB) * MIB}


@pytest.mark.parametrize("deflate", [True, False])
def test_demand_does_not_change_while_the_balloon_deflates(deflate: bool) -> None:
    seen = []
    for at, at_look, when_it_spoke in (
        (100, 500, 500),
        (101, 250, 400),
        (102, 0, 150),
        (103, 0, 0),
    ):
        has = devices(balloon=at_look, deflate=deflate)
        spoke = statistics(devices(balloon=when_it_spoke, deflate=deflate), 400)
        seen.append(guest(has=has, says=spoke, at=at))

    demands = {after(*seen[: n + 1]).demand_bytes for n in range(len(seen))}

    assert demands == {(400 + KERNEL_MIB) * MIB}


def test_use_that_grows_beyond_what_a_moving_balloon_explains_is_seen_at_once() -> None:
    state = after(
        guest(used=400, has=devices(), at=100), guest(used=700, has=devices(balloon=100), at=101)
    )

    assert state.used_bytes >= 600 * MIB


def test_demand_rises_at_once_with_use() -> None:
    state = after(guest(used=300, at=100), guest(used=800, at=101))

    assert state.demand_bytes == (800 + KERNEL_MIB) * MIB
    assert state.recent_bytes == state.demand_bytes
    assert state.growth_bytes_per_s == pytest.approx(500 * MIB)


@pytest.mark.parametrize(("tight", "half_life_s"), [(False, 300), (True, 60)])
def test_recent_demand_falls_by_half_in_a_half_life(tight: bool, half_life_s: int) -> None:
    state = after(guest(used=800, at=100), guest(used=400, at=100 + half_life_s), tight=tight)

    assert state.demand_bytes == (400 + KERNEL_MIB) * MIB
    assert state.recent_bytes == (600 + KERNEL_MIB) * MIB


def test_growth_is_remembered_and_falls_by_half_in_its_half_life() -> None:
    state = after(guest(used=300, at=100), guest(used=400, at=101), guest(used=400, at=161))

    assert state.growth_bytes_per_s == pytest.approx(50 * MIB)


def test_growth_between_two_looks_in_no_time_is_not_without_bound() -> None:
    state = after(guest(used=300, at=100), guest(used=400, at=100.001))

    assert state.growth_bytes_per_s == pytest.approx(200 * MIB)


def test_pages_swapped_out_while_the_guest_was_short_count_until_they_had_a_minute() -> None:
    has = devices()
    short = 1024 - KERNEL_MIB
    before = saying(has, short, 100)
    paged = {"swap_out_bytes": 200 * MIB}

    just_now = after(before, saying(has, short, 101, **paged))
    later = after(before, saying(has, short, 101, **paged), saying(has, short, 300, **paged))

    assert just_now.demand_bytes == (short + KERNEL_MIB + 200) * MIB
    assert later.demand_bytes < (short + KERNEL_MIB + 10) * MIB


def test_pages_swapped_out_that_could_come_back_and_do_not_are_soon_no_demand() -> None:
    has = devices()
    out = {"swap_out_bytes": 200 * MIB}
    looks = [saying(has, 300, 101 + second, **out) for second in range(31)]

    at_once = after(saying(has, 300, 100), *looks[:1])
    soon = after(saying(has, 300, 100), *looks[:6])
    later = after(saying(has, 300, 100), *looks)

    used = 300 + KERNEL_MIB
    assert (used + 170) * MIB < at_once.demand_bytes < (used + 180) * MIB
    assert (used + 70) * MIB < soon.demand_bytes < (used + 100) * MIB
    assert later.demand_bytes < (used + 3) * MIB


def test_what_may_be_wanted_back_is_demand_whatever_room_the_guest_is_given_for_it() -> None:
    squeezed, roomy = devices(), devices(plugged=400)
    out = {"swap_out_bytes": 200 * MIB}
    used = 1024 - KERNEL_MIB

    short = after(saying(squeezed, used, 100), saying(squeezed, used, 101, **out))
    given = after(
        saying(squeezed, used, 100),
        saying(squeezed, used, 101, **out),
        saying(roomy, used, 101.1, **out),
    )

    assert abs(given.demand_bytes - short.demand_bytes) < 4 * MIB


def test_swapped_out_pages_that_come_back_are_demand() -> None:
    has = devices()
    out = {"swap_out_bytes": 500 * MIB}

    state = after(
        saying(has, 300, 100, **out), saying(has, 300, 101, swap_in_bytes=100 * MIB, **out)
    )

    assert state.demand_bytes == (300 + KERNEL_MIB + 100) * MIB


def test_pages_that_were_freed_in_swap_are_no_demand_once_there_is_room_for_them() -> None:
    has = devices()
    thrashed = {"swap_out_bytes": 900 * MIB, "swap_in_bytes": 700 * MIB}
    short = 1024 - KERNEL_MIB

    thrashing = after(saying(has, short, 100), saying(has, short, 101, **thrashed))
    freed = after(
        saying(has, short, 100),
        saying(has, short, 101, **thrashed),
        saying(has, 40, 102, **thrashed),
    )

    assert thrashing.demand_bytes == (short + KERNEL_MIB + 200) * MIB
    assert freed.demand_bytes == (40 + KERNEL_MIB) * MIB


def test_returning_pages_are_no_more_than_are_outside() -> None:
    has = devices()
    all_back = saying(has, 300, 101, swap_out_bytes=100 * MIB, swap_in_bytes=100 * MIB)

    state = after(saying(has, 300, 100, swap_out_bytes=100 * MIB), all_back)

    assert state.demand_bytes == (300 + KERNEL_MIB) * MIB


def test_file_pages_read_back_by_major_faults_are_demand_up_to_the_page_cache() -> None:
    has = devices()

    def faulting(at: float, faults: int, caches: int | None) -> GuestObservation:
        known = None if caches is None else caches * MIB
        return saying(has, 300, at, major_faults=faults, disk_caches_bytes=known)

    some = after(faulting(100, 0, 500), faulting(101, 25_600, 500))
    more_than_cache = after(faulting(100, 0, 50), faulting(101, 25_600, 50))
    no_cache_known = after(faulting(100, 0, None), faulting(101, 25_600, None))

    assert some.demand_bytes == (300 + KERNEL_MIB + 100) * MIB
    assert more_than_cache.demand_bytes == (300 + KERNEL_MIB + 50) * MIB
    assert no_cache_known.demand_bytes == (300 + KERNEL_MIB) * MIB


def test_major_faults_that_were_swap_ins_are_not_counted_twice() -> None:
    has = devices()
    known: dict[str, int | None] = {
        "disk_caches_bytes": 500 * MIB,
        "swap_out_bytes": 100 * MIB,
        "swap_in_bytes": 100 * MIB,
    }

    state = after(
        saying(has, 300, 100, disk_caches_bytes=500 * MIB, swap_out_bytes=100 * MIB),
        saying(has, 300, 101, major_faults=25_600, **known),
    )

    assert state.demand_bytes == (300 + KERNEL_MIB) * MIB


@pytest.mark.parametrize("counter", ["swap_out_bytes", "major_faults"])
def test_a_counter_that_fell_means_another_boot(counter: str) -> None:
    has = devices()
    state = after(
        saying(has, 800, 100, swap_out_bytes=90 * MIB, major_faults=900),
        saying(has, 300, 101, **{"swap_out_bytes": 90 * MIB, "major_faults": 900, counter: 5}),
    )

    assert state.recent_bytes == state.demand_bytes == (300 + KERNEL_MIB) * MIB
    assert state.growth_bytes_per_s == 0


@pytest.mark.parametrize("counter", ["swap_in_bytes", "swap_out_bytes", "major_faults"])
def test_a_counter_left_out_once_is_neither_a_reboot_nor_a_burst(counter: str) -> None:
    has = devices()
    known: dict[str, int | None] = {
        "swap_in_bytes": 300 * MIB,
        "swap_out_bytes": 300 * MIB,
        "major_faults": 99_000,
        "disk_caches_bytes": 200 * MIB,
    }
    peak, usual = saying(has, 800, 99, **known), saying(has, 300, 100, **known)
    missing = saying(has, 300, 101, **{**known, counter: 0})
    back = saying(has, 300, 102, **known)

    state = after(peak, usual, missing, back)

    assert state.demand_bytes == (300 + KERNEL_MIB) * MIB
    assert state.recent_bytes > 790 * MIB, "it is remembered: this was no reboot"
    assert not state.distressed


def test_a_page_cache_left_out_once_does_not_look_like_demand_that_fell_and_grew() -> None:
    has = devices()
    known: dict[str, int | None] = {"major_faults": 50_000, "disk_caches_bytes": 300 * MIB}
    looks = [
        saying(has, 300, 100, disk_caches_bytes=300 * MIB),
        saying(has, 300, 101, **known),
        saying(has, 300, 102, **{**known, "disk_caches_bytes": None}),
    ]

    assert after(*looks).demand_bytes == pytest.approx(after(*looks[:2]).demand_bytes, rel=0.02)


def test_the_kernels_share_is_bounded() -> None:
    has = devices()
    lying = Statistics(total_bytes=100 * MIB, available_bytes=50 * MIB)

    state = after(guest(has=has, says=lying))

    assert state.kernel_bytes == balloon_floor_bytes(1024 * MIB) == 232 * MIB


@pytest.mark.parametrize(
    ("size", "floor"),
    [(64, 40), (128, 72), (512, 168), (2048, 360), (8192, 744), (32768, 1512)],
)
def test_the_floor_is_that_of_linux(size: int, floor: int) -> None:
    assert balloon_floor_bytes(size * MIB) == floor * MIB


SHORT = 1024 - KERNEL_MIB - 20


@pytest.mark.parametrize(
    ("used", "figures"),
    [
        (SHORT, {"swap_out_bytes": 2 * MIB}),
        (SHORT, {"alloc_stalls": 5}),
        (SHORT, {"oom_kills": 1}),
        (300, {"oom_kills": 1, "alloc_stalls": 5}),
    ],
    ids=["pages", "stalls", "kills while short", "kills after stalling"],
)
def test_distress_doubles_what_is_wanted(used: int, figures: dict[str, int]) -> None:
    has = devices()
    calm = saying(has, used, 100, oom_kills=0, alloc_stalls=0)
    known: dict[str, int | None] = {"oom_kills": 0, "alloc_stalls": 0, **figures}

    state = after(calm, saying(has, used, 101, **known))

    assert state.distressed
    assert want_mib(state) == 2 * 1024


@pytest.mark.parametrize(
    ("used", "figures"),
    [
        (300, {"swap_out_bytes": 200 * MIB}),
        (300, {"alloc_stalls": 5}),
        (300, {"oom_kills": 1}),
        (SHORT, {"swap_out_bytes": 4096}),
    ],
    ids=["pages with room", "stalls with room", "a container's kill", "a page here and there"],
)
def test_what_is_no_distress(used: int, figures: dict[str, int]) -> None:
    has = devices()
    calm = saying(has, used, 100, oom_kills=0, alloc_stalls=0)
    known: dict[str, int | None] = {"oom_kills": 0, "alloc_stalls": 0, **figures}

    assert not after(calm, saying(has, used, 101, **known)).distressed


@pytest.mark.parametrize("counter", ["oom_kills", "alloc_stalls"])
def test_a_counter_that_was_unknown_before_tells_nothing_of_now(counter: str) -> None:
    has = devices()

    state = after(saying(has, SHORT, 100), saying(has, SHORT, 101, **{counter: 7}))

    assert not state.distressed


def test_distress_is_judged_by_what_the_balloon_leaves() -> None:
    has = devices(4096, balloon=3072)
    calm = saying(has, 800, 100)

    assert not after(calm, saying(has, 800, 101, swap_out_bytes=9 * MIB)).distressed


def test_one_distress_is_not_answered_twice() -> None:
    calm = saying(devices(), SHORT, 100)
    grown = devices(plugged=1024)
    late = guest(has=grown, says=statistics(devices(), SHORT, swap_out_bytes=9 * MIB), at=101)
    # It spoke before it had what was given to it.
    state = after(calm, late)

    assert state.distressed
    assert want_mib(state) == 2 * 1024


def test_the_want_is_recent_demand_and_the_buffer() -> None:
    assert want_mib(after(guest(used=436)), buffer=50) == 750


def test_the_want_of_a_fast_grower_reaches_ahead_but_not_beyond_its_demand() -> None:
    steady = after(guest(used=336, at=100), guest(used=436, at=101))
    leaping = after(guest(used=36, at=100), guest(used=836, at=101))

    assert want_mib(steady) == 500 + 150
    assert want_mib(leaping) == 900 + 900


def test_what_was_given_since_the_guest_may_have_spoken_is_not_available_again() -> None:
    spoke = after(guest(used=200, at=100))
    earlier = guest(has=devices(balloon=300), says=statistics(devices(), 200), at=101)
    late = after(guest(used=200, at=100), earlier)

    def left(state: DemandState, assigned: int, *, fresh: bool = False) -> int:
        return available_bytes(state, assigned_bytes=assigned * MIB, fresh=fresh) // MIB

    said = 1024 - KERNEL_MIB - 200
    assert left(spoke, 1024) == said
    assert left(spoke, 724) == said - 300
    assert left(late, 724) == said - 300
    assert left(late, 724, fresh=True) == said, "it spoke when this was seen"
    assert left(spoke, 100) == 0
    assert left(spoke, 2000) == said


def test_what_is_needed_now_reaches_ahead_only_while_it_grows() -> None:
    looks = [guest(used=236, at=100), guest(used=436, at=101), guest(used=436, at=102)]

    def buffered(state: DemandState) -> int:
        return buffered_bytes(state, buffer_percent=20, policy=POLICY) // MIB

    assert buffered(after(*looks[:2])) == 500 + 300
    assert buffered(after(*looks)) == 600
    assert want_mib(after(*looks)) > 790
