"""A dead guest's console is kept where it can be read."""

from __future__ import annotations

from pathlib import Path

from barostat.lab.consoles import died
from barostat.lab.guests import GuestFiles


def test_the_error_names_a_copy_that_outlives_the_run(tmp_path: Path) -> None:
    files = GuestFiles(folder=tmp_path, name="web")
    files.console.write_text("one\ntwo\nKernel panic - not syncing\n")
    files.log.write_text("qemu: bye\n")

    error = died(files, how="exit code 1", folder=tmp_path / "kept")
    files.remove()

    kept = Path(error.console).read_text()
    assert "Kernel panic - not syncing" in kept
    assert "qemu: bye" in kept
    assert '"web"' in error.message
    assert "exit code 1" in error.message
    assert "Kernel panic - not syncing" in error.message
    assert error.console in error.hint


def test_a_guest_that_never_spoke_has_an_error_too(tmp_path: Path) -> None:
    files = GuestFiles(folder=tmp_path / "gone", name="web")

    error = died(files, how="signal 9", folder=tmp_path)

    assert Path(error.console).exists()
    assert "No such file" in error.message


def test_only_the_newest_consoles_are_kept(tmp_path: Path) -> None:
    files = GuestFiles(folder=tmp_path, name="web")
    files.console.write_text("x")

    errors = [died(files, how="signal 9", folder=tmp_path / "kept") for _ in range(25)]

    assert len(list((tmp_path / "kept").iterdir())) == 20
    assert Path(errors[-1].console).exists()
