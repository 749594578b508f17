"""Debian packages used without being installed: fetched with apt, unpacked into the lab's cache.

No maintainer script runs and nothing of the machine changes. What is in the cache is used from
then on, so that the lab works off line and measures the same thing every day.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from barostat.errors import LabError
from barostat.lab.packages import Progress, run_apt

__all__ = ["asking_apt", "newest_first", "unpack", "unpacked"]

UNPACK_TIMEOUT_S: Final = 120
_DIGITS: Final = re.compile(r"(\d+)")
_T = TypeVar("_T")


def unpacked(package: str, folder: Path, *, progress: Progress) -> Path:
    """Return the folder of a package's files; fetch the package if it is not there.

    Args:
        package: its name.
        folder: where packages are kept, each in a folder NAME_VERSION.
        progress: is told what happens.

    Raises:
        LabError: it cannot be fetched or unpacked.
    """
    for place in newest_first(folder, f"{package}_*"):
        return place
    progress(f"fetching {package}")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as work_name:
        work = Path(work_name)
        asking_apt(lambda: run_apt(["apt-get", "download", package], cwd=work))
        [archive] = work.glob("*.deb")
        unpack(archive, work / "tree")
        target = folder / archive.stem
        try:
            (work / "tree").rename(target)
        except OSError:
            if not target.is_dir():  # another run may have been first, with the same
                raise
    return target


def newest_first(folder: Path, pattern: str = "*") -> list[Path]:
    """List what is in a folder, the highest version first."""
    return sorted(folder.glob(pattern), key=lambda path: _version(path.name), reverse=True)


def _version(text: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in _DIGITS.split(text)]


def asking_apt(question: Callable[[], _T], *, root: bool | None = None) -> _T:
    """Ask apt; where its lists are missing or stale, bring them up to date and ask once more.

    Args:
        question: asks; its LabError is taken for a sign of old lists.
        root: whether we may update them; None asks the system.

    Raises:
        LabError: apt does not know, and we may not update its lists or that did not help.
    """
    try:
        return question()
    except LabError as error:
        if not (os.geteuid() == 0 if root is None else root):
            raise LabError(error.message, hint="run `sudo apt-get update` and try again") from error
    run_apt(["apt-get", "update"])
    return question()


def unpack(archive: Path, tree: Path) -> None:
    """Unpack a package's files into a folder, over what is there.

    Raises:
        LabError: it cannot be unpacked.
    """
    command = ["dpkg-deb", "-x", str(archive), str(tree)]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=UNPACK_TIMEOUT_S)
    except (OSError, subprocess.SubprocessError) as error:
        raise LabError(
            f"package {archive.name} could not be unpacked: {error}", hint="is the disk full?"
        ) from error
