"""A VM's settings file: defaults, edits, faults."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from barostat.config.settings_file import SettingsFolder, write_settings
from barostat.core.observation import Devices, GuestObservation, PlugDevice, RunState
from barostat.core.settings import MemorySettings
from barostat.errors import SettingsError
from barostat.units import GIB, MIB


def guest(name: str = "web") -> GuestObservation:
    plug = PlugDevice(
        name="vm0",
        requested_bytes=0,
        size_bytes=0,
        maximum_bytes=3 * GIB,
        block_bytes=2 * MIB,
    )
    return GuestObservation(
        name=name,
        run_state=RunState.RUNNING,
        devices=Devices(boot_bytes=GIB, balloon_actual_bytes=GIB, plugs=(plug,)),
        statistics=None,
        seen_at_s=0.0,
        statistics_at_s=0.0,
        disturbed_at_s=0.0,
    )


def test_a_guest_without_a_file_has_no_settings(tmp_path: Path) -> None:
    assert SettingsFolder(tmp_path).settings_of(guest()) is None


def test_an_empty_file_means_the_defaults_of_what_the_guest_is_made_of(tmp_path: Path) -> None:
    (tmp_path / "web.toml").write_text("")

    assert SettingsFolder(tmp_path).settings_of(guest()) == MemorySettings(
        startup_bytes=GIB, minimum_bytes=GIB, maximum_bytes=4 * GIB
    )


def test_what_is_written_is_read_back_to_the_byte(tmp_path: Path) -> None:
    settings = MemorySettings(
        startup_bytes=GIB,
        minimum_bytes=33 * MIB + 1,
        maximum_bytes=20 * GIB,
        buffer_percent=35,
        weight=1,
        enabled=False,
    )

    write_settings(tmp_path / "web.toml", settings)

    assert SettingsFolder(tmp_path).settings_of(guest()) == settings


def test_an_edit_is_noticed_at_the_next_look(tmp_path: Path) -> None:
    folder, path = SettingsFolder(tmp_path), tmp_path / "web.toml"
    path.write_text("weight = 1")
    first = folder.settings_of(guest())
    path.write_text("weight = 2")
    os.utime(path, ns=(1, 1))
    second = folder.settings_of(guest())
    path.unlink()

    assert first is not None
    assert second is not None
    assert (first.weight, second.weight) == (1, 2)
    assert folder.settings_of(guest()) is None


def test_a_file_that_cannot_be_used_says_why_at_every_look(tmp_path: Path) -> None:
    (tmp_path / "web.toml").write_text("wieght = 1\nminimum = 5")
    folder = SettingsFolder(tmp_path)

    for _ in range(2):
        with pytest.raises(SettingsError, match='did you mean "weight"') as caught:
            folder.settings_of(guest())
        assert len(caught.value.faults) == 2


def test_a_file_that_cannot_be_looked_at_is_a_fault_of_that_guest(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("")

    with pytest.raises(SettingsError, match="cannot look at"):
        SettingsFolder(tmp_path / "folder").settings_of(guest())
