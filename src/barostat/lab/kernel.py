"""The guest's kernel and its shell: Debian's cloud kernel with its modules, and a static busybox.

The kernel is an installed one if there is one, else a package in the lab's cache. Nothing is
installed: /boot stays as it is, and a machine's own busybox is not swapped for the static one.
"""

from __future__ import annotations

import lzma
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from barostat.errors import LabError
from barostat.lab.archives import asking_apt, newest_first, unpacked
from barostat.lab.packages import Progress, run_apt

__all__ = ["Kernel", "cache_folder", "ensure_busybox", "ensure_kernel", "module_bytes"]

META_PACKAGE: Final = "linux-image-cloud-amd64"
_DEPENDS: Final = re.compile(r"^Depends:.*?(linux-image-\S+-cloud-amd64) \(=", re.MULTILINE)
_MODULE_NEEDS: Final = re.compile(rb"(?:^|\0)depends=([^\0]*)\0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """A kernel to boot: its release, its bzImage and the folder of its modules."""

    release: str
    image: Path
    modules: Path

    def load_order(self, wanted: Sequence[str]) -> tuple[Path, ...]:
        """Resolve module names to files, each after those that it needs.

        A module without a file is built into the kernel and left out.
        """
        files = {_module_name(path): path for path in self.modules.rglob("*.ko*")}
        return tuple(dict.fromkeys(_in_order(wanted, files)))


def _module_name(path: Path) -> str:
    return path.name.split(".ko")[0].replace("-", "_")


def _in_order(wanted: Sequence[str], files: dict[str, Path]) -> Iterator[Path]:
    for name in wanted:
        path = files.get(name.replace("-", "_"))
        if path is None:
            continue
        needs = _MODULE_NEEDS.search(module_bytes(path))
        yield from _in_order([] if needs is None else needs[1].decode().split(","), files)
        yield path


def module_bytes(path: Path) -> bytes:
    """Read a module, unpacked if it is packed (Debian 13 has .ko.xz)."""
    packed = path.read_bytes()
    return lzma.decompress(packed) if path.suffix == ".xz" else packed


def cache_folder() -> Path:
    """Say where the lab keeps what it built: $XDG_CACHE_HOME or ~/.cache, barostat/lab."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "barostat" / "lab"


def ensure_kernel(cache: Path, *, progress: Progress, root: Path = Path("/")) -> Kernel:
    """Find a kernel, or fetch one into the cache.

    Args:
        cache: the lab's cache folder.
        progress: is told what happens.
        root: where an installed kernel is looked for.

    Raises:
        LabError: there is none, and the package cannot be fetched or unpacked.
    """
    folder = cache / "packages"
    for place in (root, *newest_first(folder, "linux-image-*")):
        kernel = _kernel_below(place)
        if kernel is not None:
            return kernel
    place = unpacked(asking_apt(_newest_package), folder, progress=progress)
    kernel = _kernel_below(place)
    if kernel is None:
        raise LabError(f"{place} has no kernel with modules", hint="remove it and try again")
    return kernel


def _kernel_below(place: Path) -> Kernel | None:
    """Find the newest cloud kernel that can be read, with its modules, below a root."""
    folders = [place / "lib" / "modules", place / "usr" / "lib" / "modules"]
    for modules in (modules for folder in folders for modules in newest_first(folder)):
        image = place / "boot" / f"vmlinuz-{modules.name}"
        readable = os.access(image, os.R_OK) and os.access(modules, os.R_OK | os.X_OK)
        if "-cloud-" in modules.name and (modules / "kernel").is_dir() and readable:
            return Kernel(release=modules.name, image=image, modules=modules)
    return None


def _newest_package() -> str:
    """Ask apt which kernel package the meta package stands for."""
    shown = run_apt(["apt-cache", "show", "--no-all-versions", META_PACKAGE])
    match = _DEPENDS.search(shown)
    if match is None:
        raise LabError(
            f"apt does not know which kernel {META_PACKAGE} stands for",
            hint="the lab's guests boot Debian's amd64 cloud kernel",
        )
    return match[1]


def ensure_busybox(cache: Path, *, progress: Progress) -> Path:
    """Find the static busybox in the cache, or fetch it.

    Raises:
        LabError: the package cannot be fetched or unpacked.
    """
    place = unpacked("busybox-static", cache / "packages", progress=progress)
    for path in (place / "bin" / "busybox", place / "usr" / "bin" / "busybox"):
        if path.is_file():
            return path
    raise LabError(f"{place} has no busybox", hint="remove it and try again")
