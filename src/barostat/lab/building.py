"""The steps that guest images are built of: tools, drivers, the workload, a packed start image.

What is built stands in a folder named by the hash of all that it was built from. It is built aside
and moved into place in one step, so that a half-built image is never seen and two builders do not
harm each other.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Final

from barostat.errors import LabError
from barostat.lab.kernel import Kernel, module_bytes

__all__ = [
    "COMPILE",
    "build_aside",
    "compile_workload",
    "hash_of",
    "kernel_mark",
    "lay_drivers",
    "pack",
    "run_tool",
    "sources_of",
]

COMPILE: Final = ("gcc", "-static", "-O2", "-s", "-Wall", "-Wextra", "-Werror")
TOOL_TIMEOUT_S: Final = 60


def sources_of(folder: str) -> dict[str, bytes]:
    """Read what is ours of a guest, from a folder beside this module: files by name."""
    files = resources.files("barostat.lab").joinpath(folder).iterdir()
    return {file.name: file.read_bytes() for file in sorted(files, key=lambda file: file.name)}


def kernel_mark(kernel: Kernel) -> bytes:
    """Say which kernel this is, for the hash."""
    stat = kernel.image.stat()
    return f"{kernel.release} {kernel.image} {stat.st_size} {stat.st_mtime_ns}".encode()


def hash_of(parts: Iterable[bytes]) -> str:
    """Name what is built of these parts."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:16]


def build_aside(folder: Path, fill: Callable[[Path], None]) -> None:
    """Have a new folder filled beside `folder`, and move it there whole.

    Another builder may have been first, with the same.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as work_name:
        work = Path(work_name) / "built"
        work.mkdir()
        fill(work)
        try:
            work.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise


def lay_drivers(root: Path, kernel: Kernel, wanted: Sequence[str]) -> None:
    """Lay modules into a guest's /modules, and beside them the order in which they go in."""
    modules = root / "modules"
    modules.mkdir()
    names = []
    for path in kernel.load_order(wanted):
        name = path.name.removesuffix(".xz")
        (modules / name).write_bytes(module_bytes(path))
        names.append(name)
    (modules / "order").write_text("".join(f"{name}\n" for name in names))


def compile_workload(sources: Mapping[str, bytes], program: Path) -> None:
    """Build the workload program of those sources that are C; the guest gets the program alone."""
    with tempfile.TemporaryDirectory() as folder:
        for name, code in sources.items():
            Path(folder, name).write_bytes(code)
        names = [name for name in sources if name.endswith(".c")]
        run_tool([*COMPILE, "-o", str(program.absolute()), *names], cwd=Path(folder))


def pack(root: Path, initrd: Path) -> None:
    """Pack a root as cpio and remove it. Uncompressed, it boots as fast and builds faster."""
    names = sorted(str(path.relative_to(root)) for path in root.rglob("*"))
    packed = run_tool(
        ["cpio", "--create", "--format=newc", "--quiet", "--owner=0:0"],
        cwd=root,
        stdin="\n".join(names).encode(),
    )
    initrd.write_bytes(packed)
    shutil.rmtree(root)


def run_tool(command: Sequence[str], *, cwd: Path, stdin: bytes = b"") -> bytes:
    """Run one tool of the build and return what it printed.

    Raises:
        LabError: it failed, with what it said, or could not be run.
    """
    name = Path(command[0]).name
    try:
        done = subprocess.run(
            command, cwd=cwd, input=stdin, capture_output=True, check=True, timeout=TOOL_TIMEOUT_S
        )
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip()
        raise LabError(
            f"`{name}` failed while the guest image was built: {said}",
            hint="are gcc, libc6-dev, cpio and e2fsprogs whole? `apt-get install --reinstall` them",
        ) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LabError(
            f"`{name}` could not be run while the guest image was built: {error}",
            hint="check that the disk is not full and the package is installed",
        ) from error
    return done.stdout
