"""A VM's settings file: defaults, edits, faults."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from barostat.config import settings_edit
from barostat.config.settings_file import (
    SettingsFile,
    SettingsFolder,
    SettingsPatch,
    write_settings,
)
from barostat.core.observation import Devices, GuestObservation, PlugDevice, RunState
from barostat.core.settings import MemorySettings
from barostat.errors import ConflictError, InputError, SettingsError, UnknownGuestError
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


WEIGHT_2 = SettingsFile(weight=2)


async def test_a_write_keeps_comments_order_and_spelling(tmp_path: Path) -> None:
    folder, path = SettingsFolder(tmp_path), tmp_path / "web.toml"
    path.write_text('# of the shop\nmaximum = "2GiB"  # until May\nweight = 1\n\nbuffer = 30\n')
    before = await folder.read("web")
    assert before is not None

    patch = SettingsPatch(weight=2, minimum_bytes=GIB, buffer_percent=25)
    await folder.write("web", patch.applied_to(before), before=before)

    after = '# of the shop\nmaximum = "2GiB"  # until May\nweight = 2\n\nbuffer = 25\n'
    assert path.read_text() == after + 'minimum = "1GiB"\n'


async def test_a_write_keeps_the_rights_of_the_file_and_leaves_nothing_beside_it(
    tmp_path: Path,
) -> None:
    folder, path = SettingsFolder(tmp_path), tmp_path / "web.toml"
    path.write_text("weight = 1\n")
    path.chmod(0o640)

    await folder.write("web", WEIGHT_2, before=SettingsFile(weight=1))

    assert path.stat().st_mode & 0o777 == 0o640
    assert [item.name for item in tmp_path.iterdir()] == ["web.toml"]


async def test_a_first_write_makes_the_file_and_none_removes_it(tmp_path: Path) -> None:
    folder, path = SettingsFolder(tmp_path), tmp_path / "web.toml"
    (tmp_path / "web.qmp").touch()

    await folder.write("web", WEIGHT_2, before=await folder.read("web"))
    written = path.read_text()
    await folder.write("web", None, before=WEIGHT_2)

    assert written == "weight = 2\nenabled = true\n"
    assert not path.exists()


async def test_a_file_behind_a_link_is_written_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "settings.toml").write_text("weight = 1\n")
    (tmp_path / "web.toml").symlink_to("real/settings.toml")

    await SettingsFolder(tmp_path).write("web", WEIGHT_2, before=SettingsFile(weight=1))

    assert (tmp_path / "web.toml").is_symlink()
    assert (tmp_path / "real" / "settings.toml").read_text() == "weight = 2\n"


async def test_what_was_written_meanwhile_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "web.toml"
    path.write_text("weight = 77\n")

    with pytest.raises(ConflictError, match="meanwhile"):
        await SettingsFolder(tmp_path).write("web", WEIGHT_2, before=SettingsFile(weight=1))
    with pytest.raises(ConflictError):
        await SettingsFolder(tmp_path).write("web", WEIGHT_2, before=None)

    assert path.read_text() == "weight = 77\n"


async def test_two_of_us_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings_edit, "TURN_DEADLINE_S", 0.0)
    (tmp_path / "web.toml").write_text("weight = 1\n")

    with (
        settings_edit.turn(tmp_path),
        pytest.raises(ConflictError, match="somebody else has been writing"),
    ):
        await SettingsFolder(tmp_path).write("web", WEIGHT_2, before=SettingsFile(weight=1))

    assert (tmp_path / "web.toml").read_text() == "weight = 1\n"


async def test_a_write_that_fails_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "web.toml").write_text("weight = 1\n")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match="No space left on device") as caught:
        await SettingsFolder(tmp_path).write("web", WEIGHT_2, before=SettingsFile(weight=1))

    assert "nothing was changed" in caught.value.hint
    assert (tmp_path / "web.toml").read_text() == "weight = 1\n"
    assert [item.name for item in tmp_path.iterdir()] == ["web.toml"]


async def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        await SettingsFolder(tmp_path / "absent").write("web", WEIGHT_2, before=None)


async def test_a_vm_is_known_by_its_file_or_its_socket(tmp_path: Path) -> None:
    folder = SettingsFolder(tmp_path)
    (tmp_path / "web.toml").touch()
    (tmp_path / "db.qmp").touch()

    assert await folder.read("web") == SettingsFile()
    assert await folder.read("db") is None
    assert folder.place_of("web") == str(tmp_path / "web.toml")
    with pytest.raises(UnknownGuestError):
        await folder.read("mail")


async def test_a_name_too_long_for_a_file_is_nobodys(tmp_path: Path) -> None:
    with pytest.raises(UnknownGuestError, match="too long") as caught:
        await SettingsFolder(tmp_path).read("w" * 300)

    assert "the name" in caught.value.hint
