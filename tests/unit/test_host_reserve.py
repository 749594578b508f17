"""What the host keeps for itself."""

from __future__ import annotations

from dataclasses import replace

from barostat.host.memory import Memory
from barostat.host.policy import HostPolicy
from barostat.host.reserve import MOST_LOOKS, ReserveState, outside_bytes, reserve_bytes, watch
from barostat.units import GIB, MIB

POLICY = HostPolicy()
HOST = Memory(total_bytes=100 * GIB, available_bytes=60 * GIB)


def watched(*looks: tuple[float, int], policy: HostPolicy = POLICY) -> ReserveState:
    """Looks as (second, MiB used outside VMs)."""
    state = ReserveState()
    for at_s, outside in looks:
        state = watch(state, outside * MIB, now_s=at_s, policy=policy)
    return state


def kept_mib(state: ReserveState, memory: Memory = HOST, policy: HostPolicy = POLICY) -> int:
    return reserve_bytes(state, memory, policy) // MIB


def test_what_vms_do_not_hold_is_used_outside() -> None:
    assert outside_bytes(HOST, 30 * GIB) == 10 * GIB


def test_pools_of_hugepages_are_not_used_outside() -> None:
    assert outside_bytes(replace(HOST, hugetlb_bytes=8 * GIB), 30 * GIB) == 2 * GIB


def test_what_merging_saves_is_counted_as_if_it_were_used() -> None:
    merged = replace(HOST, available_bytes=70 * GIB, ksm_saved_bytes=10 * GIB)

    assert outside_bytes(merged, 30 * GIB) == 10 * GIB


def test_nothing_is_used_outside_where_vms_seem_to_hold_more_than_is_used() -> None:
    assert outside_bytes(HOST, 90 * GIB) == 0


def test_a_large_host_keeps_a_share() -> None:
    assert kept_mib(watched((0, 100))) == 5 * 1024


def test_a_small_host_keeps_the_floor() -> None:
    small = Memory(total_bytes=4 * GIB, available_bytes=3 * GIB)

    assert kept_mib(watched((0, 100)), small) == 1024


def test_a_host_keeps_what_it_uses_and_a_margin() -> None:
    assert kept_mib(watched((0, 8000))) == 8000 + 4 * 1024


def test_a_fixed_reserve_is_kept_whatever_is_used() -> None:
    fixed = HostPolicy(reserve_bytes=2 * GIB)

    assert kept_mib(watched((0, 8000)), policy=fixed) == 2048


def test_what_is_used_counts_once_it_has_lasted() -> None:
    before = [(float(second), 1000) for second in range(10)]
    after = [(10.0 + second, 8000) for second in range(6)]

    assert watched(*before, *after[:5]).remembered_bytes < 1001 * MIB
    assert watched(*before, *after).remembered_bytes == 8000 * MIB


def test_memory_that_is_being_freed_is_no_need_of_the_hosts() -> None:
    looks = [(float(second), 60_000 if 10 <= second < 14 else 1000) for second in range(30)]

    assert watched(*looks).remembered_bytes <= 1000 * MIB


def test_what_was_used_is_forgotten_by_half_in_its_time() -> None:
    state = watched((0, 8000), (POLICY.reserve_half_life_s, 0))

    assert round(state.remembered_bytes / MIB) == 4000


def test_looks_that_come_thick_and_fast_do_not_pile_up() -> None:
    state = watched(*[(step / 1000, 1000) for step in range(3 * MOST_LOOKS)])

    assert len(state.recent) == MOST_LOOKS
