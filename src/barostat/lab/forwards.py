"""Ports of the host's loopback that lead into a guest, through QEMU's user network.

QEMU binds each to a free port, so that nobody can take it between the choice and the use; which one
it is, QEMU says. Nothing listens anywhere but on the loopback.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

from barostat.errors import LabError

__all__ = ["LOOPBACK", "open_forward"]

LOOPBACK: Final = "127.0.0.1"
_ROW: Final = re.compile(
    r"TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(?P<host>\d+)\s+\S+\s+(?P<guest>\d+)\s"
)
"""In `info usernet`: protocol, descriptor, source, its port, destination, its port."""


async def open_forward(monitor: Callable[..., Awaitable[Any]], port: int) -> int:
    """Have QEMU forward a free port of the loopback to a port of the guest, and return it.

    Args:
        monitor: runs a QMP command.
        port: the guest's.

    Raises:
        LabError: QEMU does not.
    """
    said = await monitor(
        "human-monitor-command", command_line=f"hostfwd_add tcp:{LOOPBACK}:0-:{port}"
    )
    rows = await monitor("human-monitor-command", command_line="info usernet")
    found = {int(row["guest"]): int(row["host"]) for row in _ROW.finditer(str(rows))}
    if port not in found:
        raise LabError(
            f"QEMU does not forward a port to the guest's port {port}: {str(said).strip()}",
            hint="is QEMU built with user networking (slirp)?",
        )
    return found[port]
