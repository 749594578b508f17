"""Guests of QEMU itself, each behind its own QMP socket: found in a folder, or named one by one.

In the folder every socket `NAME.qmp` is the VM NAME; `*.lab.qmp` is the lab's own line to its
guests and left alone. The folder is read at every look, so that guests may come and go. A socket
that answers no QMP is told of once and hinders no other.
"""

from __future__ import annotations

import asyncio
import difflib
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from barostat.core.observation import Devices, GuestObservation
from barostat.errors import (
    GuestGoneError,
    HypervisorError,
    UnknownGuestError,
    UnreachableError,
)
from barostat.hypervisors.base import Wish
from barostat.hypervisors.qmp_guest import QmpGuest
from barostat.hypervisors.qmp_socket import QmpSocket, SocketFile

__all__ = ["QmpHypervisor"]

SUFFIX: Final = ".qmp"
LAB_SUFFIX: Final = ".lab.qmp"
AGENT_SUFFIX: Final = ".agent"

LOOKS_AT_ONCE: Final = 64
"""So many guests are looked at side by side: the deadline of each then measures the guest, not
how long our own processor takes for a thousand of them."""


class QmpHypervisor:
    """The guests behind QMP sockets.

    Args:
        directory: the folder whose sockets `*.qmp` are guests, if there is one.
        sockets: sockets by VM name, beside those in the folder; these win.
    """

    def __init__(
        self, *, directory: Path | None = None, sockets: Mapping[str, Path] | None = None
    ) -> None:
        self._directory = directory
        self._named = dict(sockets or {})
        self._sockets: dict[str, QmpSocket] = {}
        self._looks = asyncio.Semaphore(LOOKS_AT_ONCE)
        self._ahead_s: float | None = None
        self._agents: Mapping[str, Path] = {}

    @property
    def faults(self) -> Mapping[str, HypervisorError]:
        """Why a socket shows no guest, or one that does not answer, by name, as of the last look.

        A GuestGoneError is a file that a guest left behind, or one named that is not there.
        """
        return {
            name: socket.fault for name, socket in self._sockets.items() if socket.fault is not None
        }

    async def observe(self, *, now_s: float) -> Sequence[GuestObservation]:
        """Look at every guest at once, each within its own deadline.

        Raises:
            UnreachableError: the folder cannot be read, and never could be.
        """
        if self._ahead_s is None:  # measured once: two monotonic clocks stay as far apart
            self._ahead_s = now_s - asyncio.get_running_loop().time()
        await self._find_sockets()
        async with asyncio.TaskGroup() as tasks:
            looks = [
                tasks.create_task(self._look(socket, self._ahead_s))
                for _, socket in sorted(self._sockets.items())
            ]
        return [seen for look in looks if (seen := look.result()) is not None]

    async def _look(self, socket: QmpSocket, ahead_s: float) -> GuestObservation | None:
        async with self._looks:
            return await socket.look(ahead_s=ahead_s)

    async def _find_sockets(self) -> None:
        """Bring the sockets that are known in line with those that are there."""
        try:
            files = await asyncio.to_thread(_find, self._directory, self._named)
            self._agents = await asyncio.to_thread(_find_agents, files)
        except OSError as error:
            if not self._sockets:
                raise UnreachableError(
                    f"the folder of QMP sockets cannot be read: {error}",
                    hint="give the folder in which the VMs' sockets NAME.qmp are",
                ) from error
            files = {}
        for name, file in files.items():
            if name in self._sockets:
                self._sockets[name].found(file)
            else:
                self._sockets[name] = QmpSocket(name, file)
        gone = [n for n, s in self._sockets.items() if n not in files and not s.answering]
        for name in gone:
            await self._sockets.pop(name).close()

    async def look(self, guest: str, *, now_s: float) -> GuestObservation:
        """Look at one guest that was observed before, now, and have it say what it needs.

        Raises:
            UnknownGuestError, UnreachableError, DeadlineError, RefusedError, GuestGoneError.
        """
        found, socket = self._guest(guest), self._sockets[guest]
        ahead_s = now_s - asyncio.get_running_loop().time()
        seen = await found.look(ahead_s=ahead_s if self._ahead_s is None else self._ahead_s)
        if socket.guest is found:
            socket.saw(seen)
        return seen

    @property
    def agents(self) -> Mapping[str, Path]:
        """Where Barostat's agents in guests are spoken to: the sockets NAME.agent beside NAME.qmp.

        As of the last look.
        """
        return self._agents

    async def devices(self, guest: str) -> Devices:
        """Ask for one guest's sizes now.

        Raises:
            UnknownGuestError, UnreachableError, DeadlineError, GuestGoneError.
        """
        return await self._guest(guest).devices()

    async def request(self, guest: str, wish: Wish) -> None:
        """Note a wish with the guest's device. The same wish again is a nudge.

        Raises:
            UnknownGuestError, UnreachableError, DeadlineError, RefusedError, GuestGoneError.
        """
        await self._guest(guest).request(wish)

    async def ask_guest_agent(
        self, guest: str, command: str, arguments: Mapping[str, object], *, timeout_s: float
    ) -> object:
        """Have qemu-guest-agent in a guest run one command: at the socket NAME.qga by NAME.qmp.

        Raises:
            RefusedError: there is no agent, or it does not allow that.
            UnknownGuestError, UnreachableError, DeadlineError, GuestGoneError.
        """
        self._guest(guest)
        return await self._sockets[guest].guest_agent.ask(command, arguments, timeout_s=timeout_s)

    async def changed(self, guest: str, *, timeout_s: float) -> bool:
        """Wait until one of the guest's sizes changed, or the guest ended; False on time-out.

        A change counts from when the sizes were last asked for with `devices` or `observe`.

        Raises:
            UnknownGuestError, UnreachableError.
        """
        return await self._guest(guest).changed(timeout_s=timeout_s)

    def _guest(self, name: str) -> QmpGuest:
        socket = self._sockets.get(name)
        if socket is not None and socket.guest is not None:
            return socket.guest
        fault = None if socket is None else socket.fault
        if fault is not None and not isinstance(fault, GuestGoneError):
            raise type(fault)(fault.message, hint=fault.hint) from fault
        known = [known for known, other in self._sockets.items() if other.guest is not None]
        near = difflib.get_close_matches(name, known, n=1)
        raise UnknownGuestError(
            f'no VM "{name}" is known',
            hint=f'did you mean "{near[0]}"?' if near else "`barostat list` shows those that are",
        )

    async def close(self) -> None:
        """Let go of every guest. Guests keep what they have."""
        sockets, self._sockets = self._sockets, {}
        await asyncio.gather(*(socket.close() for socket in sockets.values()))


def _find(directory: Path | None, named: Mapping[str, Path]) -> dict[str, SocketFile]:
    """Find the sockets; one that is named counts even while it is not there."""
    files = {}
    for path in () if directory is None else sorted(directory.iterdir()):
        is_guest = path.name.endswith(SUFFIX) and not path.name.endswith(LAB_SUFFIX)
        if is_guest and (file := _socket_file(path)) is not None:
            files[path.name.removesuffix(SUFFIX)] = file
    for name, path in named.items():
        files[name] = _socket_file(path) or SocketFile(path=path, identity=())
    return files


def _find_agents(files: Mapping[str, SocketFile]) -> dict[str, Path]:
    """Find the sockets of agents, each beside its guest's."""
    beside = {name: file.path.with_suffix(AGENT_SUFFIX) for name, file in files.items()}
    return {name: path for name, path in beside.items() if _socket_file(path) is not None}


def _socket_file(path: Path) -> SocketFile | None:
    """Say which socket this is, None if it is none or is gone again."""
    try:
        status = path.stat()
    except OSError:
        return None
    identity = (status.st_dev, status.st_ino, status.st_ctime_ns)
    return SocketFile(path=path, identity=identity) if stat.S_ISSOCK(status.st_mode) else None
