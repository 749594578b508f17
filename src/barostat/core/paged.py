"""Which guests the host pages for now, and how much: entered into one decision's ledger.

What is missing for a guest that restarts is sought from the others as for a VM that starts; what is
found is the guest's before it is anybody else's. What the host pages for it is not promised to it.
"""

from __future__ import annotations

from collections.abc import Mapping

from barostat.core.assess import Assessment
from barostat.core.ledger import Ledger
from barostat.core.observation import GuestObservation, Snapshot
from barostat.core.paging import Restart, paged_bytes, paging_reason
from barostat.core.settings import MemorySettings

__all__ = ["page_restarts"]


def page_restarts(snapshot: Snapshot, known: Mapping[str, Assessment], ledger: Ledger) -> int:
    """Have the host page what is missing for guests that restart.

    Args:
        snapshot: what is seen.
        known: the guests, each assessed; what is paged is noted there.
        ledger: opened for every guest, without regard to paging.

    Returns:
        What is still to be found for those that cannot be asked to shrink, in bytes.
    """
    restarting = [guest for guest in snapshot.guests if known[guest.name].before.restart]
    if not restarting:
        return 0
    doubtful = sum(item.sizes.doubtful_bytes for item in known.values())
    sought = begun = 0
    for guest in restarting:
        item, settings = known[guest.name], snapshot.settings.get(guest.name)
        restart, missing = item.before.restart, max(0, -ledger.in_hand_bytes - doubtful)
        if restart is None or settings is None or not settings.enabled:
            item.page(None, None)
            continue
        unpageable = snapshot.host.unpageable.get(guest.name)
        room = snapshot.host.pageable.get(guest.name, 0) - begun
        paged = 0
        if unpageable is None:
            paged = _enter(guest, settings, restart, ledger, missing, pageable_bytes=room)
        begun += paged if not restart.paged_bytes else 0
        sought += paged if item.line is None else 0
        reason = paging_reason(paged, missing_bytes=missing, unpageable=unpageable)
        item.page(restart.going_on(paged), reason)
    return sought


def _enter(
    guest: GuestObservation,
    settings: MemorySettings,
    restart: Restart,
    ledger: Ledger,
    missing_bytes: int,
    *,
    pageable_bytes: int,
) -> int:
    """Promise a guest no more than what it has without what is paged for it."""
    promised = ledger.promised_to(guest.name)
    paged = paged_bytes(
        restart,
        missing_bytes=missing_bytes,
        promised_bytes=promised,
        minimum_bytes=settings.minimum_bytes,
        pageable_bytes=pageable_bytes,
    )
    ledger.promise(guest.name, promised - paged)
    return paged
