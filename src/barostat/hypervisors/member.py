"""One hypervisor among several: its guests as last seen, and why they are not seen now.

A look is waited for once. One that takes longer goes on by itself, and the other members are looked
at without it until it has answered; one that fails, for whatever reason, is told of and tried
again at the next look.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from barostat.config.settings_store import SettingsStore
from barostat.core.observation import GuestObservation, RunState
from barostat.errors import DeadlineError, HypervisorError
from barostat.hypervisors.base import Hypervisor, Startup

__all__ = ["Member", "MemoryLimiter", "Watch"]

LOOK_S: Final = 2.0
"""Members give their guests a second to answer, and a connection another."""

_log = logging.getLogger(__name__)


class MemoryLimiter(Protocol):
    """A hypervisor that makes its guests' cgroups."""

    async def limit(self, guest: str, limit_bytes: int | None, *, hard: bool) -> None:
        """Limit what a guest's QEMU holds; None takes the limit away.

        Raises:
            HypervisorError
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A hypervisor and what belongs to it.

    Attributes:
        label: what people know it by; with a "/" in it, as no guest's name can have.
        hypervisor: whose guests these are.
        settings: where their settings stand.
        powered_off: names those that are known and do not run; None where nobody can know.
        startup: says what one takes at its next start; None where nobody can know.
        limiter: the hypervisor, where it makes its guests' cgroups; None where it does not.
    """

    label: str
    hypervisor: Hypervisor
    settings: SettingsStore
    powered_off: Callable[[], Awaitable[Sequence[str]]] | None = None
    startup: Callable[[str], Awaitable[Startup]] | None = None
    limiter: MemoryLimiter | None = None


class Watch:
    """A member, and its guests as they were last seen.

    Attributes:
        member: who it is.
        seen: its guests as of the last look.
        fault: why they could not be looked at, None if they were.
    """

    def __init__(self, member: Member) -> None:
        self.member = member
        self.seen: Sequence[GuestObservation] = ()
        self.fault: HypervisorError | None = None
        self._look: asyncio.Task[Sequence[GuestObservation]] | None = None

    async def look(self, now_s: float) -> None:
        """Look at its guests, for as long as a look is waited for."""
        patience_s = 0.0
        if self._look is None:
            patience_s = LOOK_S
            self._look = asyncio.create_task(
                self._observe(now_s), name=f"look at {self.member.label}"
            )
        done, _ = await asyncio.wait({self._look}, timeout=patience_s)
        if not done:
            self._fail(DeadlineError(f"{self.member.label} did not answer within {LOOK_S:g} s"))
            return
        look, self._look = self._look, None
        try:
            self.seen, self.fault = look.result(), None
        except HypervisorError as error:
            self._fail(error)

    async def _observe(self, now_s: float) -> Sequence[GuestObservation]:
        try:
            return await self.member.hypervisor.observe(now_s=now_s)
        except HypervisorError:
            raise
        except Exception as error:
            _log.exception("looking at the guests of %s failed", self.member.label)
            raise HypervisorError(
                f"looking at the guests of {self.member.label} failed: {error!r}",
                hint="a fault of Barostat's own; its log says more",
            ) from error

    def _fail(self, error: HypervisorError) -> None:
        if self.fault is None or self.fault.message != error.message:
            _log.warning("%s; %s", error.message, error.hint or "its guests are held")
        self.fault = error
        self.seen = [replace(guest, run_state=RunState.UNREACHABLE) for guest in self.seen]

    async def close(self) -> None:
        """Let go of its guests."""
        if self._look is not None:
            self._look.cancel()
            await asyncio.wait({self._look})
        await self.member.hypervisor.close()
