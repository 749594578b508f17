"""Packages with all that they need, for a guest's root: archives in the lab's cache.

What they depend on is asked of apt once. The archives that came of it are used from then on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from barostat.lab.archives import asking_apt
from barostat.lab.building import build_aside
from barostat.lab.packages import Progress, run_apt

__all__ = ["fetched"]

DEPENDS: Final = (
    *("apt-cache", "depends", "--recurse", "--no-recommends", "--no-suggests", "--no-enhances"),
    *("--no-conflicts", "--no-breaks", "--no-replaces"),
)
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9.+-]+")
"""A line of its own; what is virtual stands in angle brackets, another architecture behind ":"."""


def fetched(
    roots: Sequence[str], folder: Path, *, belongs: Callable[[str], bool], progress: Progress
) -> tuple[Path, ...]:
    """Return the archives of packages and of what they need; fetch them if they are not there.

    Args:
        roots: their names.
        folder: keeps these archives and nothing else.
        belongs: says by its name which of all that they depend on is wanted.
        progress: is told what happens.

    Raises:
        LabError: they cannot be fetched.
    """
    if not folder.is_dir():
        names = asking_apt(lambda: _needed(roots, belongs))
        progress(f"fetching {', '.join(roots)}: {len(names)} packages")
        build_aside(folder, lambda work: _download(names, work))
    return tuple(sorted(folder.glob("*.deb")))


def _needed(roots: Sequence[str], belongs: Callable[[str], bool]) -> tuple[str, ...]:
    lines = run_apt([*DEPENDS, *roots]).splitlines()
    return tuple(sorted({line for line in lines if _NAME.fullmatch(line) and belongs(line)}))


def _download(names: Sequence[str], work: Path) -> None:
    asking_apt(lambda: run_apt(["apt-get", "download", *names], cwd=work))
