"""The second image: a guest with a real userland, of Debian's packages and our own first process.

Its root is a disk, because a root in memory takes the guest's memory; all guests share that disk,
read-only. Packages are unpacked and never configured: what a program needs to be configured for
does not run here.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from barostat.lab.archives import unpack
from barostat.lab.building import (
    COMPILE,
    build_aside,
    compile_workload,
    hash_of,
    kernel_mark,
    lay_drivers,
    pack,
    run_tool,
    sources_of,
)
from barostat.lab.dependencies import fetched
from barostat.lab.image import MODULES, SOURCES, Image
from barostat.lab.kernel import Kernel, cache_folder, ensure_busybox, ensure_kernel
from barostat.lab.packages import Progress, ensure_packages, missing_userland_packages
from barostat.units import KIB, MIB

__all__ = ["build_userland", "ensure_userland"]

ROOTS: Final = (
    *("python3-minimal", "libpython3-stdlib"),
    *("qemu-guest-agent", "redis-server", "stress-ng"),
)
_PROGRAMS: Final = re.compile(
    r"(lib|zlib|python3|redis|stress-ng|qemu-guest-agent)(?!.*(perl|elogind))"
)
"""What runs, by the beginning of its name. What only installs and configures does not belong, and
of two that stand in for each other one must go."""

FORMAT: Final = "1"
"""Part of the hash: raise it when images are built differently from the same inputs."""

NETWORK_MODULES: Final = ("virtio_net",)
USERLAND_SOURCES: Final = "guest_userland"
SCRIPTS: Final = {"begin.sh": "lab-begin", "shell.sh": "lab-shell"}
ROOT_FOLDERS: Final = ("dev", "proc", "run", "sys", "tmp", "var")
SPARE_BYTES: Final = 16 * MIB
"""For what the file system needs itself."""
KEPT: Final = 3
"""An image has 130 MiB, and each change to the agent makes a new one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a userland is built of; all that counts is in the hash.

    Attributes:
        kernel: what it boots.
        busybox: the start image's only program, and the userland's shell.
        archives: Debian packages.
        workload: the sources of the witness, by name.
        scripts: our own, by name.
        agent: Barostat's guest agent; empty where there is none.
    """

    kernel: Kernel
    busybox: Path
    archives: tuple[Path, ...]
    workload: Mapping[str, bytes]
    scripts: Mapping[str, bytes]
    agent: bytes

    @property
    def hash(self) -> str:
        """The name of what is built of them."""
        modules = (*MODULES, *NETWORK_MODULES)
        archives = "\n".join(archive.name for archive in self.archives)
        fixed = (FORMAT, " ".join((*modules, *COMPILE)), archives)
        return hash_of(
            (
                *(text.encode() for text in fixed),
                kernel_mark(self.kernel),
                self.busybox.read_bytes(),
                *self.workload.values(),
                *self.scripts.values(),
                self.agent,
            )
        )


def ensure_userland(*, progress: Progress, cache: Path | None = None) -> Image:
    """Return the image with a userland; install, fetch and build what it needs and is not there.

    Raises:
        MissingPackagesError: tools are missing and we may not install them.
        LabError: the packages cannot be had or the image cannot be built.
    """
    ensure_packages(progress=progress)
    ensure_packages(progress=progress, missing=missing_userland_packages())
    folder = cache_folder() if cache is None else cache
    kept = (
        folder
        / "userland-packages"
        / hash_of(text.encode() for text in (*ROOTS, _PROGRAMS.pattern))
    )
    agent = resources.files("barostat.guest").joinpath("agent.py")
    parts = Parts(
        kernel=ensure_kernel(folder, progress=progress),
        busybox=ensure_busybox(folder, progress=progress),
        archives=fetched(ROOTS, kept, belongs=_belongs, progress=progress),
        workload=sources_of(SOURCES),
        scripts=sources_of(USERLAND_SOURCES),
        agent=agent.read_bytes() if agent.is_file() else b"",
    )
    return build_userland(parts, folder, progress=progress)


def _belongs(package: str) -> bool:
    return _PROGRAMS.match(package) is not None


def build_userland(parts: Parts, cache: Path, *, progress: Progress) -> Image:
    """Build the image of these parts, unless it is there.

    Raises:
        LabError: a tool failed; the message carries what it said.
    """
    folder = cache / "userland" / parts.hash
    image = Image(
        folder=folder,
        kernel=folder / "vmlinuz",
        initrd=folder / "initrd",
        disk=folder / "root.disk",
    )
    if folder.is_dir():
        os.utime(folder)  # the newest are kept
        return image
    progress("building the guest image with a userland")
    began_s = time.monotonic()

    def fill(work: Path) -> None:
        _fill_start(work / "start", parts)
        pack(work / "start", work / "initrd")
        _fill_root(work / "root", parts)
        size_bytes = _make_disk(work / "root", work / "root.disk")
        shutil.copyfile(parts.kernel.image, work / "vmlinuz")
        took_s = time.monotonic() - began_s
        progress(f"the userland's disk has {size_bytes // MIB} MiB, built in {took_s:.1f} s")

    build_aside(folder, fill)
    _forget_oldest(folder.parent)
    return image


def _forget_oldest(folder: Path) -> None:
    """Keep the newest images; guests that run from another one keep what they have open."""
    images = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for image in images[KEPT:]:
        shutil.rmtree(image, ignore_errors=True)


def _fill_start(root: Path, parts: Parts) -> None:
    """Lay out the start image: busybox, drivers, and the way to the disk."""
    (root / "bin").mkdir(parents=True)
    shutil.copy(parts.busybox, root / "bin" / "busybox")
    (root / "init").write_bytes(parts.scripts["start.sh"])
    (root / "init").chmod(0o755)
    lay_drivers(root, parts.kernel, (*MODULES, *NETWORK_MODULES))


def _fill_root(root: Path, parts: Parts) -> None:
    """Lay out the disk's root: packages, busybox for what they lack, our own programs."""
    root.mkdir()
    for archive in parts.archives:
        unpack(archive, root)
    _merge_usr(root)
    shutil.rmtree(root / "usr" / "share")
    _compile_python(root)
    _link_busybox(root, parts.busybox)
    for name in ROOT_FOLDERS:
        (root / name).mkdir(exist_ok=True)
    (root / "etc" / "passwd").write_text("root:x:0:0:root:/tmp:/bin/sh\n")
    (root / "etc" / "group").write_text("root:x:0:\n")
    ours = root / "usr" / "local" / "sbin"
    ours.mkdir(parents=True)
    compile_workload(parts.workload, ours / "lab-workload")
    programs = {SCRIPTS[name]: text for name, text in parts.scripts.items() if name in SCRIPTS}
    if parts.agent:
        programs["barostat-agent"] = parts.agent
    for name, text in programs.items():
        (ours / name).write_bytes(text)
        (ours / name).chmod(0o755)


def _merge_usr(root: Path) -> None:
    """Have all programs and libraries below /usr, as Debian has it once it is installed."""
    for name in ("bin", "sbin", "lib", "lib64"):
        merged = root / "usr" / name
        merged.mkdir(exist_ok=True)
        if (root / name).is_dir():
            shutil.copytree(root / name, merged, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(root / name)
        (root / name).symlink_to(f"usr/{name}")


def _compile_python(root: Path) -> None:
    """Compile Python's library, as its packages do when they are installed.

    It is the root's own Python that does: nothing says that the machine has the same.
    """
    libraries = root / "usr" / "lib"
    linker = root / "lib64" / "ld-linux-x86-64.so.2"
    found = ":".join(str(path) for path in libraries.glob("*-linux-gnu"))
    python = (f"PYTHONHOME={root / 'usr'}", linker, "--library-path", found, root / "bin/python3")
    how = ("-m", "compileall", "-q", "-s", root, "-p", "/", "--invalidation-mode", "unchecked-hash")
    where = [str(path) for path in libraries.glob("python3*") if (path / "os.py").is_file()]
    run_tool(["env", *map(str, (*python, "-S", "-s", *how)), *where], cwd=root)


def _link_busybox(root: Path, busybox: Path) -> None:
    """Give the root every one of busybox's commands that no package has brought."""
    places = (root / "usr" / "bin", root / "usr" / "sbin")
    shutil.copy(busybox, places[0] / "busybox")
    for name in run_tool([str(busybox), "--list"], cwd=root).decode().split():
        if not any(
            place.joinpath(name).is_symlink() or (place / name).exists() for place in places
        ):
            (places[0] / name).symlink_to("busybox")


def _make_disk(root: Path, disk: Path) -> int:
    """Make a disk of a root, remove that, and return the disk's size in bytes."""
    sizes = (path.lstat().st_size for path in root.rglob("*"))
    size = sum(-(-size // (4 * KIB)) * 4 * KIB for size in sizes) + SPARE_BYTES
    how = ("-q", "-F", "-t", "ext4", "-O", "^has_journal,^resize_inode", "-m", "0", "-b", "4096")
    run_tool(["mke2fs", *how, "-d", str(root), str(disk), f"{size // KIB}k"], cwd=root)
    shutil.rmtree(root)
    return size
