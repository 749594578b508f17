"""Labs that stay: guests outlive the command that booted them, until they are ended."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from barostat.config.settings_file import SettingsFile
from barostat.config.toml_file import read_toml
from barostat.core.settings import MemorySettings
from barostat.errors import LabError, UnknownGuestError
from barostat.lab import keep
from barostat.lab.fleet import Kit
from barostat.lab.kept import KeptGuest, KeptLab, labs_folder
from barostat.lab.processes import identify
from barostat.lab.scenario import Scenario, ScenarioGuest
from barostat.units import MIB

SCENARIO = Scenario(
    name="play",
    capacity_bytes=300 * MIB,
    guests=tuple(
        ScenarioGuest(
            name=name,
            settings=MemorySettings(
                startup_bytes=128 * MIB, minimum_bytes=96 * MIB, maximum_bytes=256 * MIB
            ),
            swap_bytes=0,
            boot_at_s=0,
        )
        for name in ("db", "web")
    ),
    steps=(),
)


@pytest.fixture(autouse=True)
def _runtime_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep this test's labs apart from the user's."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


@pytest.mark.lab
async def test_a_kept_lab_is_found_spoken_to_and_ended(kit: Kit) -> None:
    lab = await keep.up(SCENARIO, kit=kit)
    try:
        assert keep.running_labs() == (lab,)
        assert [guest.name for guest in lab.guests] == ["db", "web"]
        settings, faults = read_toml(lab.folder / "web.toml", SettingsFile)
        assert faults == ()
        assert settings is not None
        assert (settings.minimum, settings.maximum) == (96 * MIB, 256 * MIB)
        assert (await keep.hold(lab, "web", 8 * MIB)).wished_bytes == 8 * MIB
        assert (await keep.witness(lab, "db")).wished_bytes == 0
        with pytest.raises(UnknownGuestError) as caught:
            await keep.hold(lab, "wep", 0)
        assert "web" in caught.value.hint
        with pytest.raises(LabError, match="up already"):
            await keep.up(SCENARIO, kit=kit)
    finally:
        await keep.down(lab)

    assert keep.running_labs() == ()
    assert not any(guest.process.runs() for guest in lab.guests)
    assert not lab.folder.exists()


@pytest.mark.lab
async def test_where_one_guest_cannot_boot_none_stays(kit: Kit, tmp_path: Path) -> None:
    broken = replace(kit, image=replace(kit.image, initrd=tmp_path / "none"))

    with pytest.raises(LabError, match='"db"'):
        await keep.up(SCENARIO, kit=broken)

    assert keep.running_labs() == ()
    assert list(labs_folder().iterdir()) == []


async def test_a_process_that_took_over_a_guests_id_is_never_ended(tmp_path: Path) -> None:
    ours = identify(1)
    assert ours is not None
    reused = replace(ours, start_ticks=ours.start_ticks + 1)
    folder = labs_folder() / "old"
    folder.mkdir(mode=0o700, parents=True)
    lab = KeptLab(
        name="old",
        folder=folder,
        capacity_bytes=0,
        guests=(KeptGuest(name="web", process=reused),),
    )

    assert keep.running_labs() == ()
    await keep.down(lab)

    assert ours.runs()
    assert not folder.exists()


def test_a_folder_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    labs_folder().mkdir()
    labs_folder().chmod(0o777)

    with pytest.raises(LabError, match="not ours alone"):
        keep.running_labs()


def test_a_lab_whose_state_cannot_be_read_is_no_lab(tmp_path: Path) -> None:
    folder = labs_folder() / "odd"
    folder.mkdir(mode=0o700, parents=True)
    (folder / "lab.json").write_text('{"capacity_bytes": "much"}')

    assert keep.running_labs() == ()
