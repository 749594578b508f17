"""What a VM is called decides nothing but what it is called."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.builders import guest

from barostat.config.settings_file import SettingsFile, SettingsFolder
from barostat.errors import InputError


@pytest.mark.trust("input", "a VM's name leads out of its folder")
@pytest.mark.parametrize("name", ["../web", "/etc/passwd", "a/b", ".hidden", "..", "a\0b"])
async def test_a_name_leads_to_no_file_outside_its_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "vms"
    folder.mkdir()
    outside = tmp_path / "web.toml"
    outside.write_text("weight = 1\n")
    settings = SettingsFolder(folder)

    with pytest.raises(InputError):
        await settings.write(name, SettingsFile(weight=9), before=None)
    with pytest.raises(InputError):
        assert settings.settings_of(guest(name)) is not None

    assert outside.read_text() == "weight = 1\n"
    assert list(folder.iterdir()) == []


@pytest.mark.trust("input", "two VMs' names only look alike")
def test_names_that_only_look_alike_are_two_vms(tmp_path: Path) -> None:
    (tmp_path / "web.toml").write_text("weight = 9\n")
    settings = SettingsFolder(tmp_path)

    assert settings.settings_of(guest("web")) is not None
    assert settings.settings_of(guest("wеb")) is None  # noqa: RUF001 - a Cyrillic letter
