"""What is known of labs that stay: a folder each, and in it `lab.json` with the processes.

The folder of all labs must be its user's own: what stands in it is believed. A lab counts while at
least one of its guests runs.
"""

from __future__ import annotations

import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from barostat.errors import LabError
from barostat.lab.guests import GuestFiles
from barostat.lab.processes import ProcessIdentity

__all__ = [
    "KeptGuest",
    "KeptLab",
    "check_ours",
    "labs_folder",
    "read_lab",
    "running_labs",
    "write_lab",
]

STATE: Final = "lab.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptGuest:
    """One guest of a kept lab, and the QEMU process that is it."""

    name: str
    process: ProcessIdentity


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptLab:
    """A lab that stays. `capacity_bytes` is what its scenario lets Barostat hand out."""

    name: str
    folder: Path
    capacity_bytes: int
    guests: tuple[KeptGuest, ...] = ()

    @property
    def runs(self) -> bool:
        """Whether at least one of its guests runs."""
        return any(guest.process.runs() for guest in self.guests)

    def files(self, guest: str) -> GuestFiles:
        """Say where a guest's sockets and logs are."""
        return GuestFiles(folder=self.folder, name=guest)


def labs_folder() -> Path:
    """Say where this user's kept labs are; the folder may not be there."""
    base = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    return Path(base) / f"barostat-lab-{os.getuid()}"


def check_ours(folder: Path) -> None:
    """Refuse a folder in which somebody else could put what we then believe."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise LabError(
            f"{folder} is not ours alone", hint="remove it, or set XDG_RUNTIME_DIR to a safe folder"
        )


def running_labs() -> tuple[KeptLab, ...]:
    """Name the kept labs of which at least one guest runs, in the order of their names.

    Raises:
        LabError: others may write to the folder of labs.
    """
    folder = labs_folder()
    if not folder.exists():
        return ()
    check_ours(folder)
    labs = (read_lab(lab) for lab in sorted(folder.iterdir()))
    return tuple(lab for lab in labs if lab is not None and lab.runs)


def read_lab(folder: Path) -> KeptLab | None:
    """Read a lab's state; None if there is none that can be read."""
    try:
        lab = msgspec.json.decode((folder / STATE).read_bytes(), type=_State)
    except (OSError, msgspec.MsgspecError):
        return None
    return KeptLab(
        name=folder.name, folder=folder, capacity_bytes=lab.capacity_bytes, guests=lab.guests
    )


def write_lab(lab: KeptLab) -> None:
    """Write a lab's state in one step."""
    state = _State(capacity_bytes=lab.capacity_bytes, guests=lab.guests)
    new = lab.folder / f"{STATE}.new"
    new.write_bytes(msgspec.json.encode(state))
    new.replace(lab.folder / STATE)


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    """What `lab.json` holds."""

    capacity_bytes: int
    guests: tuple[KeptGuest, ...]
