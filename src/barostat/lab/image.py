"""The guest's image: a kernel and an initramfs of busybox, drivers and the workload program.

An image is built once for its inputs and found again by their hash. It is built aside and moved
into place in one step, so that a half-built image is never seen and two builders do not harm each
other.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from barostat.errors import LabError
from barostat.lab.kernel import (
    Kernel,
    cache_folder,
    ensure_busybox,
    ensure_kernel,
    module_bytes,
)
from barostat.lab.packages import Progress, ensure_packages

__all__ = ["Image", "build_image", "ensure_image"]

MODULES: Final = ("virtio_pci", "virtio_console", "virtio_blk", "virtio_balloon", "virtio_mem")
"""What the guest's devices need; what these need in turn is found in them."""

FORMAT: Final = "1"
"""Part of the hash: raise it when images are built differently from the same inputs."""

COMPILE: Final = ("gcc", "-static", "-O2", "-s", "-Wall", "-Wextra", "-Werror")
TOOL_TIMEOUT_S: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A guest image on disk: what QEMU gets as -kernel and -initrd."""

    folder: Path
    kernel: Path
    initrd: Path


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
    sources = _guest_sources()
    folder = cache / "image" / _hash(kernel, busybox, sources)
    image = Image(folder=folder, kernel=folder / "vmlinuz", initrd=folder / "initrd")
    if folder.is_dir():
        return image
    progress(f"building the guest image on Linux {kernel.release}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as work_name:
        work = Path(work_name) / "image"
        work.mkdir()
        _fill_root(work / "root", kernel, busybox, sources)
        _pack(work / "root", work / "initrd")
        shutil.rmtree(work / "root")
        shutil.copyfile(kernel.image, work / "vmlinuz")
        _publish(work, folder)
    return image


def _guest_sources() -> dict[str, bytes]:
    """Read what is ours of the guest: the start script and the workload's C files, by name."""
    files = resources.files("barostat.lab").joinpath("guest").iterdir()
    return {file.name: file.read_bytes() for file in sorted(files, key=lambda file: file.name)}


def _hash(kernel: Kernel, busybox: Path, sources: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    stat = kernel.image.stat()
    for part in (
        FORMAT.encode(),
        " ".join((*MODULES, *COMPILE)).encode(),
        f"{kernel.release} {kernel.image} {stat.st_size} {stat.st_mtime_ns}".encode(),
        busybox.read_bytes(),
        *sources.values(),
    ):
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:16]


def _fill_root(root: Path, kernel: Kernel, busybox: Path, sources: Mapping[str, bytes]) -> None:
    """Lay out the guest's root folder."""
    (root / "bin").mkdir(parents=True)
    shutil.copy(busybox, root / "bin" / "busybox")
    (root / "init").write_bytes(sources["init.sh"])
    (root / "init").chmod(0o755)
    modules = root / "modules"
    modules.mkdir()
    names = []
    for path in kernel.load_order(MODULES):
        name = path.name.removesuffix(".xz")
        (modules / name).write_bytes(module_bytes(path))
        names.append(name)
    (modules / "order").write_text("".join(f"{name}\n" for name in names))
    _compile({name: code for name, code in sources.items() if name != "init.sh"}, root)


def _compile(sources: Mapping[str, bytes], root: Path) -> None:
    """Build the workload program; the guest gets the program alone."""
    with tempfile.TemporaryDirectory() as folder:
        for name, code in sources.items():
            Path(folder, name).write_bytes(code)
        names = [name for name in sources if name.endswith(".c")]
        _run([*COMPILE, "-o", str(root / "workload"), *names], cwd=Path(folder))


def _pack(root: Path, initrd: Path) -> None:
    """Pack the root as cpio, uncompressed: that boots as fast and builds faster."""
    names = sorted(str(path.relative_to(root)) for path in root.rglob("*"))
    packed = _run(
        ["cpio", "--create", "--format=newc", "--quiet", "--owner=0:0"],
        cwd=root,
        stdin="\n".join(names).encode(),
    )
    initrd.write_bytes(packed)


def _run(command: list[str], *, cwd: Path, stdin: bytes = b"") -> bytes:
    try:
        done = subprocess.run(
            command, cwd=cwd, input=stdin, capture_output=True, check=True, timeout=TOOL_TIMEOUT_S
        )
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip()
        raise LabError(
            f"`{command[0]}` failed while the guest image was built: {said}",
            hint="are gcc, libc6-dev and cpio whole? `apt-get install --reinstall` them",
        ) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LabError(
            f"`{command[0]}` could not be run while the guest image was built: {error}",
            hint="check that the disk is not full and the package is installed",
        ) from error
    return done.stdout


def _publish(work: Path, folder: Path) -> None:
    """Move a finished image into place; another builder may have been first, with the same."""
    try:
        work.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
