"""One real guest: its witness, the commands that run in it, its end.

A guest is started and stopped by its owner; one that ends by itself is an error that names its
kept console. Every wait has a deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from barostat.errors import GuestDiedError, LabError
from barostat.lab.consoles import died
from barostat.lab.disks import make_swap_disk
from barostat.lab.forwards import LOOPBACK, open_forward
from barostat.lab.guests import GuestFiles, GuestSpec
from barostat.lab.hardware import Machine
from barostat.lab.shell import GRACE_S, GuestShell, Ran
from barostat.lab.witness import ControlPort, Witness

__all__ = ["LabGuest"]

ANSWER_TIMEOUT_S: Final = 30.0
"""The witness answers in 10 ms, in seconds where 16 busy guests share a core."""
BOOT_TIMEOUT_S: Final = 60.0
"""2 s alone, 23 s with 16 guests at once on two cores."""
CONNECT_EVERY_S: Final = 0.02
END_TIMEOUT_S: Final = 5.0

_T = TypeVar("_T")


class LabGuest:
    """A guest of a lab, on `machine`; all its paths are `files`, beside the data disk."""

    def __init__(self, spec: GuestSpec, *, files: GuestFiles, machine: Machine) -> None:
        self.spec, self.files = spec, files
        self._machine = machine
        self._port: ControlPort | None = None
        self._shell: GuestShell | None = None
        self._forwards: dict[int, int] = {}
        self._stopped = False
        self._death: GuestDiedError | None = None

    @property
    def witness(self) -> Witness | None:
        """The newest report, None before the first."""
        return None if self._port is None else self._port.witness

    @property
    def bad_lines(self) -> int:
        """How many lines came that were no reports."""
        return 0 if self._port is None else self._port.bad_lines

    @property
    def pid(self) -> int | None:
        """QEMU's process id, None before the start."""
        return self._machine.pid

    @property
    def qmp_path(self) -> Path:
        """The socket on which Barostat finds the guest."""
        return self.files.qmp

    async def start(self) -> None:
        """Start it and connect to its ports; the guest boots from here on.

        Raises:
            LabError: it cannot be run, or the folder's path is too long for a socket.
            GuestDiedError: it ended at once.
        """
        self.files.check()
        if self.spec.swap_bytes:
            make_swap_disk(self.files.swap, size_bytes=self.spec.swap_bytes)
        await self._machine.start()
        self._port = await self._in_time(self._connect(), "open its control port", BOOT_TIMEOUT_S)
        if self.spec.userland:
            self._shell = await GuestShell.connect(self.files.shell)
        for port in self.spec.forwards:
            self._forwards[port] = await open_forward(self._machine.qmp, port)

    async def _connect(self) -> ControlPort:
        while True:
            self.check()
            try:
                return await ControlPort.connect(self.files.port)
            except OSError:
                await asyncio.sleep(CONNECT_EVERY_S)

    async def wait_ready(self, *, timeout_s: float = BOOT_TIMEOUT_S) -> Witness:
        """Wait for the first report: the guest has booted and its workload listens.

        Raises:
            GuestDiedError: it ended instead.
            LabError: it did not report in time.
        """
        return await self.until(lambda _: True, "boot", timeout_s=timeout_s)

    async def hold(self, size_bytes: int, *, hot: float = 1.0) -> Witness:
        """Tell the workload to hold so much, and to keep touching a share of it.

        Returns when the workload has heard; `wait_held` waits until it is done.

        Raises:
            GuestDiedError, LabError: the guest ended or does not answer.
        """
        return await self._tell(f"hold {size_bytes} {round(hot * 1000)}")

    async def cache(self, size_bytes: int) -> Witness:
        """Tell the workload to read so much through the page cache; 0 drops the cache.

        Returns when the workload has heard; `cache_read_bytes` of its reports says how far it is.

        Raises:
            GuestDiedError, LabError: the guest ended or does not answer.
        """
        return await self._tell(f"cache {size_bytes}")

    async def ping(self) -> Witness:
        """Have the workload report now.

        Raises:
            GuestDiedError, LabError: the guest ended or does not answer.
        """
        return await self._tell("ping")

    async def run(self, argv: Sequence[str], *, timeout_s: float) -> Ran:
        """Run a command in the guest's userland and say how it ended. What runs on, goes on.

        Raises:
            GuestDiedError: the guest ended.
            LabError: the command did not end in time and was killed, or there is no userland.
        """
        if self._shell is None:
            raise LabError(
                f'guest "{self.spec.name}" has no userland to run `{argv[0]}` in',
                hint="boot it with `userland=True`",
            )
        run = self._shell.run(argv, timeout_s=timeout_s)
        ran = await self._in_time(run, f"run `{argv[0]}`", timeout_s + 2 * GRACE_S)
        if ran is None:
            raise LabError(
                f'`{argv[0]}` in guest "{self.spec.name}" did not end within {timeout_s:g} s and '
                "was killed",
                hint="give it more time, or have it run on behind the shell",
            )
        return ran

    def forward(self, port: int) -> tuple[str, int]:
        """Say which address of the host leads to a port of the guest.

        Raises:
            LabError: the port is not forwarded.
        """
        if port not in self._forwards:
            raise LabError(
                f'no port of the host leads to port {port} of guest "{self.spec.name}"',
                hint="name it in the `forwards` of the guest's GuestSpec",
            )
        return LOOPBACK, self._forwards[port]

    async def wait_held(self, *, timeout_s: float = ANSWER_TIMEOUT_S) -> Witness:
        """Wait until the workload holds what it was told to.

        Raises:
            GuestDiedError, LabError: the guest ended, or the time did.
        """
        return await self.until(
            lambda witness: witness.held_bytes == witness.wished_bytes,
            "hold what it was told to",
            timeout_s=timeout_s,
        )

    async def until(
        self, fits: Callable[[Witness], bool], what: str, *, timeout_s: float = ANSWER_TIMEOUT_S
    ) -> Witness:
        """Wait for a report that fits. `what` completes "guest X did not ... in time".

        Raises:
            GuestDiedError, LabError: the guest ended, or the time did.
        """
        return await self._in_time(
            self._open_port().until(fits, timeout_s=timeout_s), what, timeout_s
        )

    async def qmp(self, command: str, /, **arguments: Any) -> Any:
        """Run a QMP command; "_" in argument names stands for "-".

        Raises:
            LabError: QEMU does not answer or says no.
        """
        return await self._machine.qmp(command, **arguments)

    def check(self) -> None:
        """See whether the guest still runs.

        Raises:
            GuestDiedError: it ended by itself; its console has been kept.
        """
        if self._death is None and not self._stopped:
            how = self._machine.ended()
            if how:
                self._death = died(self.files, how=how)
        if self._death is not None:
            raise self._death

    async def stop(self) -> None:
        """End the guest and remove its files. Cancelled or interrupted, kill at once.

        Raises:
            LabError: it cannot be ended.
        """
        self._stopped = True
        for port in (self._port, self._shell):
            if port is not None:
                port.close()
        try:
            await self._machine.stop()
        finally:
            self.files.remove()

    async def _tell(self, command: str) -> Witness:
        told = self._open_port().tell(command, timeout_s=ANSWER_TIMEOUT_S)
        return await self._in_time(told, f'hear "{command}"', ANSWER_TIMEOUT_S)

    def _open_port(self) -> ControlPort:
        if self._port is None:
            raise LabError(f'guest "{self.spec.name}" was not started')
        return self._port

    async def _in_time(self, awaited: Awaitable[_T], what: str, timeout_s: float) -> _T:
        """Await; say of a guest that ended that it did, and of one that is late what it owes."""
        try:
            async with asyncio.timeout(timeout_s):
                return await awaited
        except TimeoutError as error:
            self.check()
            raise LabError(
                f'guest "{self.spec.name}" did not {what} within {timeout_s:g} s',
                hint=f"its console is in {self.files.console}, its last report: {self.witness}",
            ) from error
        except GuestDiedError:
            raise
        except LabError:
            await self._see_end()
            raise

    async def _see_end(self) -> None:
        """After the port was closed: QEMU ends a moment later; then that is what happened."""
        if not self._stopped:
            await self._machine.wait_ended(timeout_s=END_TIMEOUT_S)
            self.check()
