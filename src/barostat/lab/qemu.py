"""A guest's QEMU as a process of ours: it ends with us, and says how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from barostat.errors import LabError
from barostat.lab import monitor
from barostat.lab.guests import GuestFiles

__all__ = ["QemuProcess"]

QUIT_TIMEOUT_S: Final = 2.0
END_TIMEOUT_S: Final = 5.0


class QemuProcess:
    """A QEMU that runs `command`; a `Machine`."""

    def __init__(self, command: Sequence[str], *, files: GuestFiles) -> None:
        self._command, self._files = tuple(command), files
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """QEMU's process id, None before the start."""
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Start QEMU.

        Raises:
            LabError: it cannot be run.
        """
        try:
            with self._files.log.open("wb") as log:
                self._process = await asyncio.create_subprocess_exec(
                    *("setpriv", "--pdeathsig=KILL", *self._command),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # Ctrl-C at the terminal is ours, not QEMU's
                )
        except OSError as error:
            raise LabError(
                f"QEMU could not be started: {error}", hint="is qemu-system-x86 installed?"
            ) from error

    def ended(self) -> str:
        """Say how it ended, in words; empty while it runs or was not started."""
        code = None if self._process is None else self._process.returncode
        if code is None:
            return ""
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    async def wait_ended(self, *, timeout_s: float) -> None:
        """Wait until it has ended; not longer."""
        if self._process is not None:
            try:
                await asyncio.wait_for(self._process.wait(), timeout_s)
            except TimeoutError:
                return

    async def stop(self) -> None:
        """End it, by QMP if it listens, by its process id otherwise.

        Cancelled or interrupted, it kills at once.

        Raises:
            LabError: it cannot be ended.
        """
        process = self._process
        if process is None:
            return
        try:
            await self._end(process)
        finally:
            if process.returncode is None:
                process.kill()

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        if process.returncode is None:
            try:
                await self.qmp("quit", timeout_s=QUIT_TIMEOUT_S)
                await asyncio.wait_for(process.wait(), QUIT_TIMEOUT_S)
            except (LabError, TimeoutError):
                process.kill()
        try:
            await asyncio.wait_for(process.wait(), END_TIMEOUT_S)
        except TimeoutError as error:
            raise LabError(
                f'QEMU of guest "{self._files.name}" (process {process.pid}) cannot be ended',
                hint="is its disk hung? `ps` shows its state",
            ) from error

    async def qmp(
        self, command: str, /, *, timeout_s: float = monitor.TIMEOUT_S, **arguments: Any
    ) -> Any:
        """Run a QMP command on the lab's own monitor; "_" in argument names stands for "-".

        Raises:
            LabError: QEMU does not answer or says no.
        """
        return await monitor.execute(self._files.lab_qmp, command, timeout_s=timeout_s, **arguments)
