"""Wishes that no device could take are refused before they are sent."""

from __future__ import annotations

from dataclasses import replace

import pytest

from barostat.core.observation import Devices, PlugDevice
from barostat.errors import RefusedError
from barostat.hypervisors.base import BalloonWish, PlugWish, Wish
from barostat.hypervisors.refusals import check_wish
from barostat.units import MIB

GUEST = Devices(
    boot_bytes=512 * MIB,
    balloon_actual_bytes=512 * MIB,
    plugs=(
        PlugDevice(
            name="vm0",
            requested_bytes=0,
            size_bytes=0,
            maximum_bytes=1024 * MIB,
            block_bytes=2 * MIB,
        ),
    ),
)


def balloon_wish(target_mib: int) -> BalloonWish:
    return BalloonWish(target_bytes=target_mib * MIB)


def plug_wish(requested_mib: int, device: str = "vm0") -> PlugWish:
    return PlugWish(device=device, requested_bytes=requested_mib * MIB)


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (balloon_wish(513), "at most 512 MiB"),
        (balloon_wish(0), "more than 0"),
        (plug_wish(1026), "at most 1024 MiB"),
        (plug_wish(-2), "whole blocks of 2 MiB"),
        (plug_wish(3), "whole blocks of 2 MiB"),
        (plug_wish(2, "vm1"), "its devices are: vm0"),
    ],
)
def test_a_wish_that_the_devices_cannot_take_is_refused_with_what_they_can(
    wish: Wish, said: str
) -> None:
    with pytest.raises(RefusedError) as refused:
        check_wish("web", GUEST, wish)

    assert said in refused.value.hint
    assert "web" in refused.value.message


def test_a_balloon_wish_is_refused_where_there_is_no_balloon() -> None:
    with pytest.raises(RefusedError, match="no balloon"):
        check_wish("web", replace(GUEST, has_balloon=False), balloon_wish(100))


def test_a_wish_that_the_devices_can_take_is_not_refused() -> None:
    check_wish("web", GUEST, balloon_wish(512))
    check_wish("web", GUEST, plug_wish(1024))
