"""What runs a guest: a QEMU of our own, or a domain of libvirt. The guest inside is the same."""

from __future__ import annotations

from typing import Any, Protocol

__all__ = ["Machine"]


class Machine(Protocol):
    """What runs a guest."""

    @property
    def pid(self) -> int | None:
        """QEMU's process id, None before the start."""
        ...

    async def start(self) -> None:
        """Start QEMU; the guest's disks are there.

        Raises:
            LabError: it cannot be started.
        """
        ...

    def ended(self) -> str:
        """Say how it ended, in words; empty while it runs or was not started."""
        ...

    async def wait_ended(self, *, timeout_s: float) -> None:
        """Wait until it has ended; not longer."""
        ...

    async def stop(self) -> None:
        """End it, whatever state it is in. Cancelled or interrupted, kill at once.

        Raises:
            LabError: it cannot be ended.
        """
        ...

    async def qmp(self, command: str, /, **arguments: Any) -> Any:
        """Run a QMP command; "_" in argument names stands for "-".

        Raises:
            LabError: QEMU does not answer or says no.
        """
        ...
