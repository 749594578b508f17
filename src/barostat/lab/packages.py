"""What the lab needs of the machine, and how to get it.

The lab's tools are Debian packages; they are installed only when they are missing and only for
root. Anyone else is told the one command to run. Libvirt is among them only for who asks for it.
What only guests need, a kernel and busybox, is not: it is unpacked into the lab's cache
(`archives.py`), because nobody wants /boot changed by a demo.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from barostat.errors import LabError, MissingPackagesError

__all__ = [
    "Progress",
    "ensure_packages",
    "find_command",
    "missing_libvirt_packages",
    "missing_packages",
    "missing_userland_packages",
]

Progress = Callable[[str], None]
"""Takes one line of text that says what is being done."""

COMMANDS: Final = {
    "qemu-system-x86_64": "qemu-system-x86",
    "cpio": "cpio",
    "gcc": "gcc",
    "setpriv": "util-linux",
}
"""The command that must be found, and the Debian package that has it."""

LIBVIRT_COMMANDS: Final = {
    "libvirtd": "libvirt-daemon-system",
    "virsh": "libvirt-clients",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "mount": "mount",
}
"""The same for guests that libvirt runs. The first brings QEMU's driver and libvirt's users."""

USERLAND_COMMANDS: Final = {"mke2fs": "e2fsprogs"}
"""The same for guests with a userland. Debian has it from the start, small containers do not."""

STATIC_LIBC: Final = (Path("/usr/lib/x86_64-linux-gnu/libc.a"), "libc6-dev")
"""The guest has no shared libraries: its one program is linked statically."""

APT_TIMEOUT_S: Final = 300
"""All of it takes 25 s on a fast line; beyond this the mirror is down."""


def find_command(command: str) -> str | None:
    """Find a command, also one that only an administrator's path has."""
    path = os.environ.get("PATH", os.defpath)
    return shutil.which(command, path=f"{path}:/usr/sbin:/sbin")


def missing_libvirt_packages(
    *, which: Callable[[str], str | None] = find_command
) -> tuple[str, ...]:
    """Name the Debian packages that a libvirtd of the lab needs and the machine lacks.

    Args:
        which: finds a command's path; the tests have their own.
    """
    return _missing(LIBVIRT_COMMANDS, which)


def missing_userland_packages(
    *, which: Callable[[str], str | None] = find_command
) -> tuple[str, ...]:
    """Name the Debian packages that the image with a userland needs and the machine lacks.

    Args:
        which: finds a command's path; the tests have their own.
    """
    return _missing(USERLAND_COMMANDS, which)


def _missing(commands: Mapping[str, str], which: Callable[[str], str | None]) -> tuple[str, ...]:
    missing = (package for command, package in commands.items() if which(command) is None)
    return tuple(dict.fromkeys(missing))


def missing_packages(
    *,
    which: Callable[[str], str | None] = find_command,
    static_libc: Path = STATIC_LIBC[0],
) -> tuple[str, ...]:
    """Name the Debian packages that the lab needs and the machine lacks.

    Args:
        which: finds a command's path; the tests have their own.
        static_libc: the archive that a static link needs.
    """
    missing = _missing(COMMANDS, which)
    return missing if static_libc.exists() else (*missing, STATIC_LIBC[1])


def ensure_packages(
    *,
    progress: Progress,
    missing: Sequence[str] | None = None,
    root: bool | None = None,
) -> None:
    """Install what is missing, if we may.

    Args:
        progress: is told what happens.
        missing: packages; None looks for them.
        root: whether we may install; None asks the system.

    Raises:
        MissingPackagesError: something is missing and we are not root; the hint is the command.
        LabError: apt-get failed; the message carries its last lines.
    """
    wanted = missing_packages() if missing is None else tuple(missing)
    if not wanted:
        return
    install = ["apt-get", "install", "-y", "--no-install-recommends", *wanted]
    if not (os.geteuid() == 0 if root is None else root):
        raise MissingPackagesError(
            f"the lab needs packages that are not installed: {', '.join(wanted)}",
            hint=f"sudo apt-get update && sudo {' '.join(install)}",
        )
    if shutil.which("apt-get") is None:
        raise MissingPackagesError(
            f"the lab needs {', '.join(wanted)}, and this machine has no apt-get",
            hint="the lab runs on Debian 12 and its kin; elsewhere use `barostat demo --simulated`",
        )
    progress(f"installing {', '.join(wanted)}")
    run_apt(["apt-get", "update"])
    run_apt(install)


def run_apt(command: Sequence[str], *, cwd: Path | None = None) -> str:
    """Run one apt command without questions and return what it printed.

    Raises:
        LabError: it failed or took too long.
    """
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=True,
            timeout=APT_TIMEOUT_S,
            env=environment,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.CalledProcessError as error:
        last = "; ".join((error.stderr or error.stdout).strip().splitlines()[-3:])
        raise LabError(
            f"`{' '.join(command)}` failed: {last}",
            hint="run it by hand to see all it says; is the package mirror reachable?",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise LabError(
            f"`{' '.join(command)}` did not end within {APT_TIMEOUT_S} s",
            hint="is another apt running, or the package mirror unreachable?",
        ) from error
    except OSError as error:
        raise LabError(
            f"`{command[0]}` could not be run: {error.strerror}",
            hint="the lab runs on Debian 12 and its kin",
        ) from error
    return done.stdout
