"""The guest's kernel: an installed Debian cloud kernel if there is one, else an unpacked package.

The package is fetched and unpacked into the lab's cache, never installed: no hook runs and /boot
stays as it is. A kernel once in the cache is used from then on, so that the lab works off line and
measures the same thing every day.
"""

from __future__ import annotations

import lzma
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from barostat.errors import LabError
from barostat.lab.packages import Progress, run_apt

__all__ = ["Kernel", "cache_folder", "ensure_kernel"]

META_PACKAGE: Final = "linux-image-cloud-amd64"
UNPACK_TIMEOUT_S: Final = 120
_DEPENDS: Final = re.compile(r"^Depends:.*?(linux-image-\S+-cloud-amd64) \(= (\S+)\)", re.MULTILINE)
_MODULE_NEEDS: Final = re.compile(rb"(?:^|\0)depends=([^\0]*)\0")
_DIGITS: Final = re.compile(r"(\d+)")


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
    for place in (root, *_newest_first(cache / "kernel")):
        kernel = _kernel_below(place)
        if kernel is not None:
            return kernel
    return _fetch(cache / "kernel", progress=progress)


def _newest_first(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(folder.iterdir(), key=lambda path: _version(path.name), reverse=True)


def _version(text: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in _DIGITS.split(text)]


def _kernel_below(place: Path) -> Kernel | None:
    """Find the newest cloud kernel that can be read, with its modules, below a root."""
    folder = place / "lib" / "modules"
    for modules in _newest_first(folder):
        image = place / "boot" / f"vmlinuz-{modules.name}"
        readable = os.access(image, os.R_OK) and os.access(modules, os.R_OK | os.X_OK)
        if "-cloud-" in modules.name and (modules / "kernel").is_dir() and readable:
            return Kernel(release=modules.name, image=image, modules=modules)
    return None


def _fetch(folder: Path, *, progress: Progress) -> Kernel:
    """Download the package that the meta package depends on, and unpack it."""
    package, version = _newest_package()
    progress(f"fetching the guests' kernel, {package} {version}")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as work_name:
        work = Path(work_name)
        run_apt(["apt-get", "download", f"{package}={version}"], cwd=work)
        [archive] = work.glob("*.deb")
        tree = work / "tree"
        _unpack(archive, tree)
        target = folder / f"{package}_{version}"
        _keep(tree, target)
    kernel = _kernel_below(target)
    if kernel is None:
        raise LabError(
            f"package {package} {version} has no kernel with modules",
            hint=f"remove {target} and try again",
        )
    return kernel


def _newest_package() -> tuple[str, str]:
    """Ask apt which kernel the meta package stands for: its name and version."""
    shown = run_apt(["apt-cache", "show", "--no-all-versions", META_PACKAGE])
    match = _DEPENDS.search(shown)
    if match is None:
        raise LabError(
            f"apt does not know which kernel {META_PACKAGE} stands for",
            hint="run `sudo apt-get update`; the lab's guests boot Debian's amd64 cloud kernel",
        )
    return match[1], match[2]


def _unpack(archive: Path, tree: Path) -> None:
    command = ["dpkg-deb", "-x", str(archive), str(tree)]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=UNPACK_TIMEOUT_S)
    except (OSError, subprocess.SubprocessError) as error:
        raise LabError(
            f"the kernel package {archive.name} could not be unpacked: {error}",
            hint="is the disk full?",
        ) from error


def _keep(tree: Path, target: Path) -> None:
    """Move the parts that are used into the cache, in one step; another run may have been first."""
    modules = tree / ("lib" if (tree / "lib").is_dir() else "usr/lib") / "modules"
    parts = tree / "kept"
    (parts / "lib").mkdir(parents=True)
    shutil.move(tree / "boot", parts / "boot")
    shutil.move(modules, parts / "lib" / "modules")
    try:
        parts.rename(target)
    except OSError:
        if not target.is_dir():
            raise
