"""Who changed what: told to the log always, and to the history where it is kept.

A change that found nothing to do is none. What somebody was refused is told as well, but only of
those who showed who they are: others could fill the log.
"""

from __future__ import annotations

import asyncio
import logging
import pwd
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import structlog

from barostat.history.values import AuditEntry
from barostat.service.access import Caller, Way

__all__ = ["Audit", "AuditLog", "Auditor"]

State = Mapping[str, object]


class Auditor(Protocol):
    """Keeps what it is told."""

    def audit(self, entry: AuditEntry) -> Any:
        """Keep an entry. Waits for nothing and raises nothing."""
        ...


class AuditLog:
    """Writes entries into the log, whatever its level: nobody hides a change by making it quiet."""

    def __init__(self) -> None:
        logging.getLogger("barostat.audit").setLevel(logging.INFO)
        self._log = structlog.stdlib.get_logger("barostat.audit")

    def audit(self, entry: AuditEntry) -> None:
        """Write an entry."""
        of = "" if entry.guest is None else f" of {entry.guest}"
        self._log.info(
            f"{entry.what}{of} by {entry.who} from {entry.origin}",
            who=entry.who,
            origin=entry.origin,
            what=entry.what,
            guest=entry.guest,
            before=entry.before,
            after=entry.after,
        )


class Audit:
    """Tells auditors what callers do.

    Args:
        auditors: whom to tell.
        clock: seconds since 1970.
    """

    def __init__(self, *auditors: Auditor, clock: Callable[[], float] = time.time) -> None:
        self._auditors = auditors
        self._clock = clock

    async def changed(
        self,
        caller: Caller,
        what: str,
        *,
        guest: str | None = None,
        before: State | None,
        after: State | None,
    ) -> None:
        """Tell of a change, if it was one."""
        if before != after:
            await self._tell(caller, what, guest=guest, before=before, after=after)

    async def refused(self, caller: Caller, request: str) -> None:
        """Tell of a change that a caller may not make."""
        await self._tell(caller, "refused", guest=None, before=None, after={"request": request})

    async def _tell(
        self,
        caller: Caller,
        what: str,
        *,
        guest: str | None,
        before: State | None,
        after: State | None,
    ) -> None:
        entry = AuditEntry(
            at_s=self._clock(),
            who=await asyncio.to_thread(_who, caller),  # the names of users may be far away
            origin=caller.origin,
            what=what,
            guest=guest,
            before=before,
            after=after,
        )
        for auditor in self._auditors:
            auditor.audit(entry)


def _who(caller: Caller) -> str:
    if caller.uid is not None:
        try:
            return f"{pwd.getpwuid(caller.uid).pw_name} ({caller.name})"
        except KeyError:
            return caller.name
    if caller.way is None:
        return caller.name
    kind = "certificate" if caller.way is Way.CERTIFICATE else "token"
    browser = " in a browser" if caller.way is Way.SESSION else ""
    return f"{kind} {caller.name}{browser}"
