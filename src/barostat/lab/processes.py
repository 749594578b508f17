"""Processes that we did not leave as our children: known by id and start time, never by name.

A process id is used again after its process has ended; with its start time it is unique since the
machine's boot. Signals go through a pidfd, so that between the look and the signal nothing can
take the id's place.
"""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ProcessIdentity", "identify"]

_STATE, _START_TICKS = 0, 19  # fields 3 and 22 of /proc/PID/stat, counted behind the name


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessIdentity:
    """One process, for as long as the machine runs."""

    pid: int
    start_ticks: int

    def runs(self) -> bool:
        """Say whether it still runs."""
        return identify(self.pid) == self

    def kill(self) -> None:
        """End it at once, if it is still the one that is meant."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            if self.runs():
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        except ProcessLookupError:
            return
        finally:
            os.close(handle)

    async def ended(self, *, timeout_s: float) -> bool:
        """Wait until it has ended; False if it has not in time."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        loop, seen = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(handle, seen.set)  # a pidfd can be read when its process has ended
        try:
            if self.runs():
                await asyncio.wait_for(seen.wait(), timeout_s)
        except TimeoutError:
            return False
        finally:
            loop.remove_reader(handle)
            os.close(handle)
        return True


def identify(pid: int) -> ProcessIdentity | None:
    """Say which process has this id now; None if none has, or it has ended and is not reaped."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    if fields[_STATE] in ("Z", "X"):
        return None
    return ProcessIdentity(pid=pid, start_ticks=int(fields[_START_TICKS]))
