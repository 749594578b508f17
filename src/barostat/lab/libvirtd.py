"""A libvirtd of our own, beside the machine's, which never notices.

It runs in a namespace (`namespace.py`) in which /etc/libvirt, /run and libvirt's folders in /var
are folders of the run; clients outside reach it by `uri`. It can be killed and started again while
its guests go on, and when the namespace ends, its guests do. It needs root.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from barostat.errors import LabError, MissingPackagesError
from barostat.lab.guests import SOCKET_PATH_LIMIT, Accelerator
from barostat.lab.namespace import Namespace
from barostat.lab.packages import find_command, missing_libvirt_packages
from barostat.lab.processes import identify
from barostat.lab.virsh import virsh

__all__ = ["PrivateLibvirtd"]

START_TIMEOUT_S: Final = 60.0
"""0.2 s; where it must first ask every QEMU of the machine what that can do, some seconds."""
TRY_EVERY_S: Final = 0.05
END_TIMEOUT_S: Final = 5.0
SHOWN_LINES: Final = 8

PLACES: Final = {
    "/etc/libvirt": "etc",
    "/var/lib/libvirt": "lib",
    "/var/log/libvirt": "log",
    "/var/cache/libvirt": "cache",
    "/run": "run",
}
"""What libvirt reads and writes, by the folder of the run that it sees there."""

NO_KVM: Final = "no-kvm"

LIBVIRTD_CONF: Final = """\
unix_sock_dir = "{sockets}"
unix_sock_rw_perms = "0700"
auth_unix_rw = "none"
auth_unix_ro = "none"
log_outputs = "3:stderr"
audit_level = 0
"""

# Guests are root's like the lab that boots them, and nothing of the machine is set up for them:
# no owners, labels, cgroups or mounts, and no second daemon for their logs.
QEMU_CONF: Final = """\
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
cgroup_controllers = [ ]
namespaces = [ ]
seccomp_sandbox = 0
stdio_handler = "file"
"""


class PrivateLibvirtd:
    """A libvirtd whose files and sockets are all in `folder`, which it makes and removes.

    Args:
        folder: where; it must not be there yet.
        accelerator: KVM leaves /dev/kvm to the guests; without, libvirt is kept from trying it.
    """

    def __init__(self, folder: Path, *, accelerator: Accelerator = Accelerator.TCG) -> None:
        self.folder = folder
        binds = {place: folder / name for place, name in PLACES.items()}
        kvm = Path("/dev/kvm")
        if accelerator is Accelerator.TCG and kvm.exists():
            # libvirt asks QEMU what KVM can do; where KVM hangs, so does the asking, for ever. It
            # must look unusable: where it looks as if it had come back, every guest asks anew.
            binds[str(kvm)] = folder / NO_KVM
        self._namespace = Namespace(binds)
        self._daemon: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    @property
    def socket(self) -> Path:
        """Where clients connect."""
        return self.folder / "libvirt-sock"

    @property
    def uri(self) -> str:
        """What clients open."""
        return f"qemu:///system?socket={self.socket}"

    @property
    def log(self) -> Path:
        """What it printed, over all its starts."""
        return self.folder / "libvirtd.log"

    @property
    def pid(self) -> int | None:
        """The process id of libvirtd itself; None while it does not run."""
        if self._daemon is None or self._daemon.returncode is not None:
            return None
        return self._outside(self.folder / "run" / "libvirtd.pid")

    def qemu_pid(self, domain: str) -> int | None:
        """Say which process of the machine is a domain's QEMU; None if it has none."""
        return self._outside(self.folder / "run" / "libvirt" / "qemu" / f"{domain}.pid")

    def qemu_log(self, domain: str) -> Path:
        """Say where libvirt keeps what a domain's QEMU prints."""
        return self.folder / "log" / "qemu" / f"{domain}.log"

    def _outside(self, pid_file: Path) -> int | None:
        """Follow a pid file that was written inside."""
        try:
            return self._namespace.outside(int(pid_file.read_text()))
        except (OSError, ValueError):
            return None

    async def start(self) -> None:
        """Start it, for the first time or again, and wait until it answers.

        Raises:
            MissingPackagesError: libvirt is not installed.
            LabError: we are not root, it runs already, or it does not come up; the message
                carries the last that it said.
        """
        if not self._namespace.is_open:
            self._check()
            self._prepare()
            await self._namespace.open()
        if self._daemon is not None and self._daemon.returncode is None:
            raise LabError("the lab's libvirtd runs already", hint="stop or kill it first")
        libvirtd = find_command("libvirtd") or "libvirtd"
        words = ("-f", "/etc/libvirt/libvirtd.conf", "-p", "/run/libvirtd.pid")
        with self.log.open("ab") as log:
            self._daemon = await asyncio.create_subprocess_exec(
                *self._namespace.entering([libvirtd, *words]),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        await self._wait_ready(self._daemon)

    def _check(self) -> None:
        if os.geteuid() != 0:
            raise LabError(
                "a libvirtd of the lab's own needs root, for mounts of its own",
                hint="run it as root; `barostat demo` without libvirt does not need root",
            )
        missing = missing_libvirt_packages()
        if missing:
            raise MissingPackagesError(
                f"the lab needs packages that are not installed: {', '.join(missing)}",
                hint=f"apt-get install --no-install-recommends {' '.join(missing)}",
            )
        longest = len(str(self.folder / "libvirt-admin-sock").encode())
        if longest > SOCKET_PATH_LIMIT or self.folder.resolve().is_relative_to("/run"):
            raise LabError(
                f"{self.folder} cannot hold libvirt's sockets: a path has at most "
                f"{SOCKET_PATH_LIMIT} bytes, and must not be below /run",
                hint="set TMPDIR to another folder, with a short path",
            )

    def _prepare(self) -> None:
        self.folder.mkdir(mode=0o700)
        for name in PLACES.values():
            (self.folder / name).mkdir()
        conf = LIBVIRTD_CONF.format(sockets=self.folder)
        (self.folder / NO_KVM).touch()
        (self.folder / "etc" / "libvirtd.conf").write_text(conf)
        (self.folder / "etc" / "qemu.conf").write_text(QEMU_CONF)

    async def _wait_ready(self, daemon: asyncio.subprocess.Process) -> None:
        """Ask until it answers; one that listens lets its clients wait until it is ready."""
        why = ""
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                while daemon.returncode is None:
                    try:
                        await self.virsh("uri")
                    except LabError as error:
                        why = error.message
                        await asyncio.sleep(TRY_EVERY_S)
                    else:
                        return
        except TimeoutError as error:
            raise self._silent(f"is not ready after {START_TIMEOUT_S:g} s ({why})") from error
        raise self._silent(f"ended (exit code {daemon.returncode})")

    def _silent(self, how: str) -> LabError:
        lines = self.log.read_text(errors="replace").splitlines()[-SHOWN_LINES:]
        last = "\n".join(f"  {line[:200]}" for line in lines) or "  (nothing)"
        return LabError(
            f"the lab's libvirtd {how}; the last it said:\n{last}",
            hint="does `libvirtd --version` work, and is this a machine that lets root mount?",
        )

    async def virsh(self, *words: str) -> str:
        """Run one virsh command here and return what it printed.

        Raises:
            LabError: libvirt said no, or nothing in time.
        """
        return await virsh(self.uri, *words)

    async def kill(self) -> None:
        """Kill libvirtd alone, as a crash would; guests go on, `start` finds them again.

        Raises:
            LabError: it does not end.
        """
        pid, daemon = self.pid, self._daemon
        process = None if pid is None else identify(pid)
        if process is None or daemon is None:
            raise LabError("the lab's libvirtd does not run", hint="start it first")
        process.kill()
        try:
            await asyncio.wait_for(daemon.wait(), END_TIMEOUT_S)
        except TimeoutError as error:
            raise self._silent("cannot be ended") from error

    async def stop(self) -> None:
        """End it and all its guests, and remove its folder.

        Raises:
            LabError: a process cannot be ended.
        """
        try:
            await self._namespace.close()
            if self._daemon is not None:
                await asyncio.wait_for(self._daemon.wait(), END_TIMEOUT_S)
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
