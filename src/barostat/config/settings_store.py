"""Where the settings of VMs stand, whatever keeps them: a domain's metadata, or a file a VM.

A store gives and takes what an operator wrote: what was left out stays left out, and has its
default from what the VM is made of. Reading never changes anything, and a write is whole or not at
all. What somebody else wrote meanwhile is never overwritten unseen.
"""

from __future__ import annotations

from typing import Protocol

from barostat.config.settings_file import SettingsFile
from barostat.core.observation import GuestObservation
from barostat.core.settings import MemorySettings

__all__ = ["SettingsStore"]


class SettingsStore(Protocol):
    """Reads and writes the settings of VMs by their names."""

    def settings_of(self, guest: GuestObservation) -> MemorySettings | None:
        """Say what is set for a guest that was just seen, None if nothing is. Waits for nothing.

        Raises:
            SettingsError: something is set that cannot be used.
        """
        ...

    def place_of(self, guest: str) -> str:
        """Say for people where a VM's settings stand: a file's path, or which domain's metadata."""
        ...

    async def read(self, guest: str) -> SettingsFile | None:
        """Read what was written for a VM, running or not; None if nothing was.

        Raises:
            SettingsError: something is written that cannot be used.
            UnknownGuestError, HypervisorError.
        """
        ...

    async def write(
        self, guest: str, settings: SettingsFile | None, *, before: SettingsFile | None
    ) -> None:
        """Write a VM's settings, for now and for its next start; None takes them away.

        Args:
            guest: its name.
            settings: all of them.
            before: what `read` said, and these are made from.

        Raises:
            ConflictError: something else than `before` stands there by now; it was left alone.
            UnknownGuestError, HypervisorError, InputError: nothing was changed.
        """
        ...
