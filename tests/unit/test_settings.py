from __future__ import annotations

from dataclasses import replace

import pytest

from barostat.core.settings import MemorySettings, change_faults, check, setting_faults
from barostat.errors import SettingsError
from barostat.units import GIB, MIB

GOOD = MemorySettings(startup_bytes=512 * MIB, minimum_bytes=256 * MIB, maximum_bytes=2 * GIB)


def test_what_an_operator_leaves_out_is_as_in_hyper_v() -> None:
    assert (GOOD.buffer_percent, GOOD.weight, GOOD.enabled) == (20, 5000, True)


@pytest.mark.parametrize(
    "settings",
    [
        GOOD,
        replace(GOOD, minimum_bytes=32 * MIB),
        replace(GOOD, minimum_bytes=512 * MIB, maximum_bytes=512 * MIB),
        replace(GOOD, buffer_percent=5),
        replace(GOOD, buffer_percent=2000),
        replace(GOOD, weight=0),
        replace(GOOD, weight=10_000),
    ],
)
def test_settings_at_the_ends_of_their_ranges_are_good(settings: MemorySettings) -> None:
    assert setting_faults(settings) == ()


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        (
            replace(GOOD, minimum_bytes=32 * MIB - MIB),
            "minimum is 31 MiB: it must be at least 32 MiB",
        ),
        (
            replace(GOOD, minimum_bytes=513 * MIB),
            "minimum is 513 MiB: it must not be above startup, 512 MiB",
        ),
        (
            replace(GOOD, maximum_bytes=511 * MIB),
            "maximum is 511 MiB: it must not be below startup, 512 MiB",
        ),
        (replace(GOOD, buffer_percent=4), "buffer is 4 %: it must be between 5 % and 2000 %"),
        (replace(GOOD, buffer_percent=2001), "buffer is 2001 %: it must be between 5 % and 2000 %"),
        (replace(GOOD, weight=-1), "weight is -1: it must be between 0 and 10000"),
        (replace(GOOD, weight=10_001), "weight is 10001: it must be between 0 and 10000"),
    ],
)
def test_a_broken_rule_is_said_with_the_value_and_what_would_be_accepted(
    settings: MemorySettings, fault: str
) -> None:
    assert setting_faults(settings) == (fault,)


def test_a_maximum_above_the_devices_is_a_fault_where_the_devices_are_known() -> None:
    (fault,) = setting_faults(GOOD, devices_bytes=2 * GIB - MIB)

    assert fault.startswith("maximum is 2048 MiB: this VM's devices allow at most 2047 MiB")
    assert setting_faults(GOOD, devices_bytes=2 * GIB) == ()


def test_all_faults_are_found_at_once_and_refused_in_one_error() -> None:
    bad = MemorySettings(
        startup_bytes=16 * MIB,
        minimum_bytes=17 * MIB,
        maximum_bytes=15 * MIB,
        buffer_percent=0,
        weight=99_999,
    )

    with pytest.raises(SettingsError, match='settings of VM "web" cannot be used') as caught:
        check(bad, guest="web", devices_bytes=MIB)

    assert len(caught.value.faults) == 6
    assert all(fault in caught.value.message for fault in caught.value.faults)
    assert "nothing was changed" in caught.value.hint


def test_good_settings_pass_the_check() -> None:
    check(GOOD, guest="web", devices_bytes=4 * GIB)


@pytest.mark.parametrize(
    "new",
    [
        GOOD,
        replace(GOOD, minimum_bytes=128 * MIB),
        replace(GOOD, maximum_bytes=3 * GIB),
        replace(GOOD, buffer_percent=5, weight=1, enabled=False),
    ],
)
def test_a_running_vm_may_change_what_gives_its_guest_more_room(new: MemorySettings) -> None:
    assert change_faults(GOOD, new) == ()


@pytest.mark.parametrize(
    ("new", "fault"),
    [
        (
            replace(GOOD, startup_bytes=600 * MIB),
            "startup cannot change while the VM runs: it is 512 MiB",
        ),
        (
            replace(GOOD, minimum_bytes=300 * MIB),
            "minimum can only be lowered while the VM runs: it is 256 MiB, 300 MiB would raise it",
        ),
        (
            replace(GOOD, maximum_bytes=1 * GIB),
            "maximum can only be raised while the VM runs: it is 2048 MiB, 1024 MiB would lower it",
        ),
    ],
)
def test_a_change_that_a_running_vm_cannot_take_is_said(new: MemorySettings, fault: str) -> None:
    assert change_faults(GOOD, new) == (fault,)


def test_every_fault_of_a_change_is_said() -> None:
    new = MemorySettings(startup_bytes=GIB, minimum_bytes=GIB, maximum_bytes=GIB)

    assert len(change_faults(GOOD, new)) == 3
