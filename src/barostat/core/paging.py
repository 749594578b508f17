"""Smart Paging: a VM that restarts on a full host has the host's swap for what is missing.

A guest that gave memory back has all of its boot RAM again when it restarts, before anybody can ask
it. What the host has not got then is paged by the host: for this guest alone, never below its
minimum, and only until the memory has been found or a few minutes are over. It never begins for a
guest that runs, nor for one that was off: those have a kernel of their own that knows what to page
out, or can wait. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from barostat.core.observation import GuestObservation, RunState
from barostat.core.reasons import Reason, ReasonCode, because
from barostat.units import MIB

__all__ = ["LEAST_BYTES", "MOST_S", "Restart", "paged_bytes", "paging_reason", "restart_of"]

MOST_S: Final = 600.0
"""Hyper-V expects its Smart Paging to be over within ten minutes."""

LEAST_BYTES: Final = 16 * MIB
"""Less than this is missing for a moment wherever everything is handed out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """A guest that restarts, as long as that is so.

    Attributes:
        since_s: when it was seen to. While it pages, another restart does not begin anew.
        paged_bytes: how much of its memory the host pages for it, as last decided.
    """

    since_s: float
    paged_bytes: int = 0

    def going_on(self, paged: int) -> Restart | None:
        """Say how it goes on with so much paged; once nothing is any more, it is over."""
        if paged == self.paged_bytes:
            return self
        return Restart(since_s=self.since_s, paged_bytes=paged) if paged else None


def restart_of(
    guest: GuestObservation, before: Restart | None, *, again: bool, ran: bool, now_s: float
) -> Restart | None:
    """Say whether a guest restarts now, or still does.

    Args:
        guest: as seen.
        before: what was said at the last decision.
        again: it was disturbed since then.
        ran: it spoke to us before that, since its last boot.
        now_s: the snapshot's clock.
    """
    booting = guest.run_state is RunState.BOOTING
    if before is None:
        return Restart(since_s=now_s) if again and booting and _was_on(ran=ran) else None
    if _may_not_page(guest) or _too_long(before, now_s):
        return None
    return None if _runs_as_it_is(guest, before) else before


def paged_bytes(
    restart: Restart,
    *,
    missing_bytes: int,
    promised_bytes: int,
    minimum_bytes: int,
    pageable_bytes: int,
) -> int:
    """Say how much of a guest's memory the host should page for it now.

    Args:
        restart: how it restarts.
        missing_bytes: what is promised to all beyond what the host has.
        promised_bytes: what it has, or may take by itself.
        minimum_bytes: its minimum.
        pageable_bytes: what the host could page for it.
    """
    most = min(missing_bytes, _beyond_bytes(promised_bytes, minimum_bytes))
    if restart.paged_bytes:
        return max(0, min(most, restart.paged_bytes))
    if most < LEAST_BYTES:
        return 0
    # All or nothing: a guest for which there is not enough swap would stand still at its limit.
    return most if most <= pageable_bytes else 0


def paging_reason(paged: int, *, missing_bytes: int, unpageable: str | None) -> Reason | None:
    """Say that the host pages for a guest that restarts, or why it does not; None: no need."""
    if paged:
        return because(ReasonCode.PAGING, paged_bytes=paged, most_s=MOST_S)
    if missing_bytes < LEAST_BYTES or unpageable is None:
        return None
    return because(ReasonCode.NOT_PAGED, missing_bytes=missing_bytes, why=unpageable)


def _was_on(*, ran: bool) -> bool:
    # SAFETY: a VM that was off waits until its memory is there; one that never spoke may have been.
    return ran


def _runs_as_it_is(guest: GuestObservation, restart: Restart) -> bool:
    # SAFETY: for a guest that runs the host never begins to page: its own kernel does it better.
    return guest.run_state is not RunState.BOOTING and not restart.paged_bytes


def _beyond_bytes(promised_bytes: int, minimum_bytes: int) -> int:
    # SAFETY: what a guest is guaranteed is memory, not swap.
    return promised_bytes - minimum_bytes


def _too_long(restart: Restart, now_s: float) -> bool:
    # SAFETY: paging by the host ends, whether the memory has been found or not.
    return now_s - restart.since_s >= MOST_S


def _may_not_page(guest: GuestObservation) -> bool:
    # SAFETY: what moves out must not be slowed by a limit, nor take one along.
    return guest.run_state is RunState.MIGRATING
