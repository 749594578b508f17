from __future__ import annotations

import pytest

from barostat.core.observation import Devices, HostObservation, PlugDevice, Snapshot
from barostat.core.statistics import UNKNOWN, Statistics, read_statistics
from barostat.units import GIB, MIB

LIMIT = 1 * GIB


def plug(
    name: str = "vm0", *, requested: int = 0, size: int = 0, maximum: int = 1024
) -> PlugDevice:
    return PlugDevice(
        name=name,
        requested_bytes=requested * MIB,
        size_bytes=size * MIB,
        maximum_bytes=maximum * MIB,
        block_bytes=2 * MIB,
    )


def devices(
    *plugs: PlugDevice, boot: int = 512, actual: int = 512, target: int | None = None
) -> Devices:
    return Devices(
        boot_bytes=boot * MIB,
        balloon_actual_bytes=actual * MIB,
        balloon_target_bytes=None if target is None else target * MIB,
        plugs=plugs,
    )


def test_a_guest_has_its_base_ram_less_the_balloon_and_what_is_plugged() -> None:
    guest = devices(plug(size=128), plug("vm1", size=64), actual=400)

    assert guest.balloon_bytes == 112 * MIB
    assert guest.plugged_bytes == 192 * MIB
    assert guest.assigned_bytes == 592 * MIB


def test_a_guest_may_grow_to_its_base_ram_and_every_region() -> None:
    assert devices(plug(), plug("vm1", maximum=512)).ceiling_bytes == 2048 * MIB
    assert devices().ceiling_bytes == 512 * MIB


def test_what_is_requested_of_all_plugs_is_summed() -> None:
    assert devices(plug(requested=64), plug("vm1", requested=2)).requested_bytes == 66 * MIB


@pytest.mark.parametrize(
    ("guest", "wished"),
    [
        (devices(actual=300, target=400), 400),
        (devices(actual=400, target=300), 400),
        (devices(actual=300), 512),
        (devices(plug(requested=128, size=64), target=512), 640),
        (devices(plug(requested=64, size=128), target=512), 640),
    ],
    ids=["deflating", "inflating", "target unknown", "plugging", "unplugging"],
)
def test_what_a_guest_may_take_without_asking_is_the_larger_of_had_and_asked(
    guest: Devices, wished: int
) -> None:
    assert guest.wished_bytes == wished * MIB


def test_a_snapshot_of_a_host_without_guests_needs_no_more_than_the_host() -> None:
    snapshot = Snapshot(now_s=1.0, host=HostObservation(capacity_bytes=GIB), guests=())

    assert (snapshot.settings, snapshot.settings_faults, snapshot.reservations) == ({}, {}, ())


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
        disk_caches_bytes=350 * MIB,
        swap_in_bytes=4096,
        swap_out_bytes=8192,
        major_faults=12,
        oom_kills=1,
        alloc_stalls=5,
    )


def test_what_a_driver_never_told_is_none_or_no_event() -> None:
    figures = read_statistics(
        raw(disk_caches=UNKNOWN, swap_in=UNKNOWN, swap_out=UNKNOWN, major_faults=UNKNOWN),
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
