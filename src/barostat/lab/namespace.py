"""A corner of the machine of our own: processes, mounts and network that nobody else sees.

What is bound inside is bound nowhere else, and every process inside ends with the corner's first
one, which ends with us. The first process lets its orphans go unread: who waits for one waits for
a moment, not for a zombie.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from barostat.errors import LabError
from barostat.lab.processes import identify

__all__ = ["Namespace"]

OPEN_TIMEOUT_S: Final = 10.0
CLOSE_TIMEOUT_S: Final = 10.0
"""Of emulated guests that are killed; beyond this one hangs in the kernel."""
SHOWN_BYTES: Final = 1000

# Its arguments: pairs of a source and a place. A file is bound read-only: not even root may then
# open it for writing.
FIRST: Final = """
set -e
while [ $# -gt 0 ]; do
    mount --bind "$1" "$2"
    [ -d "$2" ] || mount -o remount,bind,ro "$2"
    shift 2
done
echo open
exec env --ignore-signal=CHLD sleep infinity
"""


class Namespace:
    """Processes with mounts, network and process ids of their own.

    Args:
        binds: what is seen inside instead of what the machine has there, by place: folders, and
            files, which cannot be written to; places and sources exist.
    """

    def __init__(self, binds: Mapping[str, Path]) -> None:
        self._binds = dict(binds)
        self._unshare: asyncio.subprocess.Process | None = None

    @property
    def is_open(self) -> bool:
        """Whether processes can be started inside."""
        return self._unshare is not None and self._unshare.returncode is None

    async def open(self) -> None:
        """Make it; its processes end with the thread that called this.

        Raises:
            LabError: the machine does not let us.
        """
        pairs = (word for place, source in self._binds.items() for word in (str(source), place))
        self._unshare = await asyncio.create_subprocess_exec(
            *("setpriv", "--pdeathsig=KILL"),
            *("unshare", "--mount", "--net", "--pid", "--mount-proc", "--fork"),
            *("--kill-child=KILL", "sh", "-c", FIRST, "sh", *pairs),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C at the terminal is ours
        )
        said = b""
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                said = await _first_line(self._unshare)
        except TimeoutError:
            said = b"nothing happened"
        if said != b"open\n":
            await self.close()
            raise LabError(
                "this machine gives us no mounts and processes of our own: "
                + said[:SHOWN_BYTES].decode(errors="replace").strip(),
                hint="in a container it takes CAP_SYS_ADMIN; `barostat demo` without libvirt "
                "does not need it",
            )

    def entering(self, command: Sequence[str]) -> list[str]:
        """Write the command that runs another one inside."""
        if self._unshare is None:
            raise LabError("the namespace was not opened")
        pid = self._unshare.pid
        # Our own root is not the mounts' first one where we were put into a folder.
        inside = ("--mount", "--root", "--net", f"--pid=/proc/{pid}/ns/pid_for_children")
        return ["nsenter", f"--target={pid}", *inside, *command]

    def outside(self, pid: int) -> int | None:
        """Say which process of the machine has this id inside; None if none has."""
        if self._unshare is None:
            return None
        try:
            ours = Path(f"/proc/{self._unshare.pid}/ns/pid_for_children").readlink()
        except OSError:
            return None
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if (folder / "ns" / "pid").readlink() == ours and _inner_id(folder) == pid:
                    return int(folder.name)
            except OSError:  # it ended meanwhile
                continue
        return None

    async def close(self) -> None:
        """End every process inside, and with them all that was bound.

        Cancelled or interrupted, it kills at once.

        Raises:
            LabError: a process inside cannot be ended.
        """
        unshare = self._unshare
        if unshare is None:
            return
        first = self.outside(1)
        process = None if first is None else identify(first)
        try:
            if process is None:
                unshare.kill()
            else:
                process.kill()  # its parent ends when all that is inside has ended
            await asyncio.wait_for(unshare.communicate(), CLOSE_TIMEOUT_S)
        except ProcessLookupError:
            await unshare.wait()
        except TimeoutError as error:
            raise LabError(
                "a process of our own libvirtd or one of its guests cannot be ended",
                hint="`ps` shows the state of what is below process "
                f"{unshare.pid}; a guest that hangs in KVM cannot be ended by anybody",
            ) from error
        finally:
            if unshare.returncode is None:
                unshare.kill()


async def _first_line(process: asyncio.subprocess.Process) -> bytes:
    return b"" if process.stdout is None else await process.stdout.readline()


def _inner_id(folder: Path) -> int | None:
    """Read a process's innermost id."""
    for line in (folder / "status").read_text().splitlines():
        if line.startswith("NSpid:"):
            return int(line.split()[-1])
    return None
