"""What systemd is told of us, by the protocol of sd_notify(3), and how often it wants to hear.

Not under systemd nothing is told and nothing is missed. A message that cannot be sent is dropped:
the next one says more than a late one. Nothing here waits.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Mapping
from typing import Final

__all__ = ["Systemd"]

STATUS_EVERY_S: Final = 10.0
"""A status line is for people; each one wakes everybody who watches the unit."""

FEEDS_A_WATCHDOG: Final = 4
"""sd_watchdog_enabled(3) advises half of its time; at a quarter a slow tick is no danger yet."""

_log = logging.getLogger(__name__)


class Systemd:
    """The service manager that started us, if one did.

    Args:
        address: of its socket: a path, or "@" and a name of the abstract kind; None: there is none.
        watchdog_s: it expects a sign of health within each of these; None: it does not.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        watchdog_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = address
        self._clock = clock
        self._every_s = STATUS_EVERY_S
        if watchdog_s is not None:
            self._every_s = min(STATUS_EVERY_S, watchdog_s / FEEDS_A_WATCHDOG)
        self._told_s: float | None = None
        self._failed = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Systemd:
        """Find out who started us; a watchdog that waits for another process is not ours."""
        microseconds = environment.get("WATCHDOG_USEC", "")
        ours = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        watched = ours and microseconds.isdecimal() and int(microseconds) > 0
        return cls(
            environment.get("NOTIFY_SOCKET") or None,
            watchdog_s=int(microseconds) / 1e6 if watched else None,
        )

    def ready(self, status: str) -> None:
        """Say that we work, for the first time or after a reload."""
        self._send("READY=1", f"STATUS={status}")

    def healthy(self, status: str) -> None:
        """Say that we still do; most calls come too early to be worth a message."""
        now_s = self._clock()
        if self._told_s is not None and now_s - self._told_s < self._every_s:
            return
        self._told_s = now_s
        self._send("WATCHDOG=1", f"STATUS={status}")

    def unhealthy(self, status: str) -> None:
        """Say what is wrong. The watchdog is not fed."""
        self._send(f"STATUS={status}")

    def reloading(self) -> None:
        """Say that the configuration is read anew; `ready` ends it."""
        microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send("RELOADING=1", f"MONOTONIC_USEC={microseconds}")

    def stopping(self) -> None:
        """Say that we end."""
        self._send("STOPPING=1", "STATUS=stopping: guests keep what they have")

    def _send(self, *lines: str) -> None:
        if self._address is None:
            return
        address = self._address
        if address.startswith("@"):
            address = "\0" + address[1:]
        message = "\n".join(line.replace("\n", " ") for line in lines)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
                sender.sendto(message.encode(), address)
        except OSError as error:
            if not self._failed:
                _log.warning("systemd cannot be told of our state: %s", error)
            self._failed = True
        else:
            self._failed = False
