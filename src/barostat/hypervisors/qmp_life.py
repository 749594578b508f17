"""What a QEMU guest is doing, from its events and answers. No I/O; times are the caller's.

Everything that decides a guest's `RunState` while its QEMU answers lives here, and everything that
disturbs it: boot, reset, resume, a panic, the end of a migration, and being seen first. What a
peer sends is not trusted to have the right shape.
"""

from __future__ import annotations

from typing import Final

from barostat.core.observation import RunState

__all__ = ["Life"]

MIGRATION_OVER: Final = frozenset({"", "none", "cancelled", "completed", "failed"})
MOVING_STATUSES: Final = frozenset({"inmigrate", "finish-migrate", "save-vm", "restore-vm"})
"""QEMU's run states that belong to a migration, a save or a restore."""


class Life:
    """One guest's run state.

    Attributes:
        has_balloon: there is a balloon device, whose driver is waited for.
        loaded: the balloon driver has spoken since boot or the last reset.
        disturbed_s: when the guest was last disturbed.
    """

    def __init__(self, *, now_s: float) -> None:
        self.has_balloon = True
        self.loaded = False
        self.disturbed_s = now_s
        self._status = "running"
        self._migration = ""

    @property
    def run_state(self) -> RunState:
        """What the guest is doing."""
        if self._migration not in MIGRATION_OVER or self._status in MOVING_STATUSES:
            return RunState.MIGRATING
        if not self.ticking:
            return RunState.PAUSED
        return RunState.RUNNING if self.loaded or not self.has_balloon else RunState.BOOTING

    @property
    def ticking(self) -> bool:
        """Whether the guest's processors run: only then can it answer."""
        return self._status == "running"

    def told(self, *, status: str, migration: str, now_s: float) -> None:
        """Take in what `query-status` and `query-migrate` answered."""
        self._set_status(status, now_s)
        self._set_migration(migration, now_s)

    def hear(self, event: str, data: object, now_s: float) -> None:
        """Take in an event, in any shape."""
        match event:
            case "RESET":
                self.loaded = False
                self.disturbed_s = now_s
            case "STOP":
                self._set_status("paused", now_s)
            case "SUSPEND":
                self._set_status("suspended", now_s)
            case "SHUTDOWN":
                self._set_status("shutdown", now_s)
            case "RESUME" | "WAKEUP":
                self._set_status("running", now_s)
            case "GUEST_PANICKED":
                self.disturbed_s = now_s
            case "MIGRATION":
                status = data.get("status") if isinstance(data, dict) else None
                self._set_migration(status if isinstance(status, str) else "", now_s)
            case _:
                pass

    def _set_status(self, status: str, now_s: float) -> None:
        if status == "running" and not self.ticking:
            self.disturbed_s = now_s
        self._status = status

    def _set_migration(self, migration: str, now_s: float) -> None:
        if migration in MIGRATION_OVER and self._migration not in MIGRATION_OVER:
            self.disturbed_s = now_s
        self._migration = migration
