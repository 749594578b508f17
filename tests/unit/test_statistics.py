from __future__ import annotations

import pytest

from barostat.core.statistics import UNKNOWN, Statistics, read_statistics
from barostat.units import GIB, MIB

LIMIT = 1 * GIB


def raw(**changed: object) -> dict[str, object]:
    """Build statistics as QEMU 7.2 reports them of a modern guest, with some of them changed."""
    figures: dict[str, object] = {
        "stat-total-memory": 1000 * MIB,
        "stat-free-memory": 300 * MIB,
        "stat-available-memory": 600 * MIB,
        "stat-disk-caches": 350 * MIB,
        "stat-swap-in": 4096,
        "stat-swap-out": 8192,
        "stat-major-faults": 12,
        "stat-minor-faults": 34,
        "stat-htlb-pgalloc": UNKNOWN,
    }
    figures |= {f"stat-{key.replace('_', '-')}": value for key, value in changed.items()}
    return figures


def test_good_statistics_are_read() -> None:
    assert read_statistics(raw(oom_kills=1, alloc_stalls=5), limit_bytes=LIMIT) == Statistics(
        total_bytes=1000 * MIB,
        available_bytes=600 * MIB,
        free_bytes=300 * MIB,
        disk_caches_bytes=350 * MIB,
        swap_in_bytes=4096,
        swap_out_bytes=8192,
        major_faults=12,
        oom_kills=1,
        alloc_stalls=5,
    )


def test_what_a_driver_never_told_is_none_or_no_event() -> None:
    figures = read_statistics(
        raw(
            free_memory=UNKNOWN,
            disk_caches=UNKNOWN,
            swap_in=UNKNOWN,
            swap_out=UNKNOWN,
            major_faults=UNKNOWN,
        ),
        limit_bytes=LIMIT,
    )

    assert figures == Statistics(total_bytes=1000 * MIB, available_bytes=600 * MIB)


@pytest.mark.parametrize("value", [UNKNOWN, UNKNOWN + 1, -1, 0, "1 GiB", None, 1.5, True])
def test_a_total_that_is_no_size_is_no_data(value: object) -> None:
    assert read_statistics(raw(total_memory=value), limit_bytes=LIMIT) is None


def test_nothing_said_is_no_data() -> None:
    assert read_statistics({}, limit_bytes=LIMIT) is None


def test_a_total_above_what_the_guest_can_have_is_a_lie_and_no_data() -> None:
    assert read_statistics(raw(total_memory=int(1.02 * LIMIT)), limit_bytes=LIMIT) is None
    assert read_statistics(raw(total_memory=int(1.005 * LIMIT)), limit_bytes=LIMIT) is not None


@pytest.mark.parametrize("figure", ["free_memory", "available_memory"])
def test_a_part_above_the_total_is_no_data(figure: str) -> None:
    assert read_statistics(raw(**{figure: 1001 * MIB}), limit_bytes=LIMIT) is None


def test_without_available_memory_most_of_the_cache_counts_as_available() -> None:
    figures = read_statistics(raw(available_memory=UNKNOWN), limit_bytes=LIMIT)

    assert figures is not None
    assert figures.available_bytes == 545 * MIB  # 300 free and 70 % of 350 of cache


@pytest.mark.parametrize(("caches", "available"), [(UNKNOWN, 300 * MIB), (5000 * MIB, 1000 * MIB)])
def test_without_available_memory_the_cache_is_bounded_by_the_total(
    caches: int, available: int
) -> None:
    figures = read_statistics(raw(available_memory=UNKNOWN, disk_caches=caches), limit_bytes=LIMIT)

    assert figures is not None
    assert figures.available_bytes == available


def test_without_free_and_available_memory_there_is_no_data() -> None:
    silent = raw(available_memory=UNKNOWN, free_memory=UNKNOWN)

    assert read_statistics(silent, limit_bytes=LIMIT) is None


def test_available_memory_is_enough_without_free_memory() -> None:
    figures = read_statistics(raw(free_memory=UNKNOWN), limit_bytes=LIMIT)

    assert figures is not None
    assert figures.available_bytes == 600 * MIB


def test_a_cache_above_the_total_is_cut_to_it() -> None:
    figures = read_statistics(raw(disk_caches=5000 * MIB), limit_bytes=LIMIT)

    assert figures is not None
    assert figures.disk_caches_bytes == 1000 * MIB
