"""The guest's image: a kernel and an initramfs of busybox, drivers and the workload program.

An image is built once for its inputs and found again by their hash.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from barostat.lab.building import (
    COMPILE,
    build_aside,
    compile_workload,
    hash_of,
    kernel_mark,
    lay_drivers,
    pack,
    sources_of,
)
from barostat.lab.kernel import Kernel, cache_folder, ensure_busybox, ensure_kernel
from barostat.lab.packages import Progress, ensure_packages

__all__ = ["Image", "build_image", "ensure_image"]

MODULES: Final = ("virtio_pci", "virtio_console", "virtio_blk", "virtio_balloon", "virtio_mem")
"""What the guest's devices need; what these need in turn is found in them."""

FORMAT: Final = "1"
"""Part of the hash: raise it when images are built differently from the same inputs."""

SOURCES: Final = "guest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A guest image on disk.

    Attributes:
        folder: holds all of it.
        kernel, initrd: what QEMU gets as -kernel and -initrd.
        disk: the guest's root, read-only and shared by all guests; None where the root is memory.
    """

    folder: Path
    kernel: Path
    initrd: Path
    disk: Path | None = None


def ensure_image(*, progress: Progress, cache: Path | None = None) -> Image:
    """Return the guest image; install, fetch and build whatever it needs and is not there yet.

    Raises:
        MissingPackagesError: tools are missing and we may not install them.
        LabError: the kernel cannot be had or the image cannot be built.
    """
    ensure_packages(progress=progress)
    folder = cache_folder() if cache is None else cache
    kernel = ensure_kernel(folder, progress=progress)
    busybox = ensure_busybox(folder, progress=progress)
    return build_image(kernel, busybox, folder, progress=progress)


def build_image(kernel: Kernel, busybox: Path, cache: Path, *, progress: Progress) -> Image:
    """Build the image of this kernel and this version of the workload, unless it is there.

    Raises:
        LabError: a tool failed; the message carries what it said.
    """
    sources = sources_of(SOURCES)
    parts = (FORMAT.encode(), " ".join((*MODULES, *COMPILE)).encode(), kernel_mark(kernel))
    folder = cache / "image" / hash_of((*parts, busybox.read_bytes(), *sources.values()))
    image = Image(folder=folder, kernel=folder / "vmlinuz", initrd=folder / "initrd")
    if folder.is_dir():
        return image
    progress(f"building the guest image on Linux {kernel.release}")

    def fill(work: Path) -> None:
        _fill_root(work / "root", kernel, busybox, sources)
        pack(work / "root", work / "initrd")
        shutil.copyfile(kernel.image, work / "vmlinuz")

    build_aside(folder, fill)
    return image


def _fill_root(root: Path, kernel: Kernel, busybox: Path, sources: Mapping[str, bytes]) -> None:
    """Lay out the guest's root folder."""
    (root / "bin").mkdir(parents=True)
    shutil.copy(busybox, root / "bin" / "busybox")
    (root / "init").write_bytes(sources["init.sh"])
    (root / "init").chmod(0o755)
    lay_drivers(root, kernel, MODULES)
    compile_workload(sources, root / "workload")
