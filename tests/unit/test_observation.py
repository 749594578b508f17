from __future__ import annotations

import pytest

from barostat.core.observation import Devices, HostObservation, PlugDevice, Snapshot
from barostat.units import GIB, MIB


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
