"""May a VM start? Once its startup memory is in hand it is promised to it, and nobody else.

VMs are admitted in the order of their coming. What the first ones wait for is taken from the
guests; one that could not start even if every guest gave all that it can squeezes nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from barostat.core.ledger import Ledger
from barostat.core.lines import least_bytes
from barostat.core.moves import Line
from barostat.core.observation import Reservation
from barostat.core.reasons import Reason, ReasonCode, because

__all__ = ["Admission", "admit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Who may start.

    Attributes:
        admitted: VMs whose memory is promised to them.
        awaited_bytes: what is still to be taken for VMs that wait.
        refused: why others are not even waited for.
    """

    admitted: frozenset[str]
    awaited_bytes: int
    refused: tuple[Reason, ...]


def admit(
    reservations: Sequence[Reservation],
    *,
    running: Collection[str],
    before: Collection[str],
    lines: Sequence[Line],
    ledger: Ledger,
) -> Admission:
    """Promise waiting VMs their startup memory.

    Args:
        reservations: VMs that wait, in the order of their coming.
        running: guests that are there: their memory is in the ledger already.
        before: VMs that were admitted earlier and have not been seen yet.
        lines: guests that could be asked to give.
        ledger: opened for every guest; what is promised here is entered.
    """
    waiting = [item for item in reservations if item.guest not in running]
    starting = [item for item in waiting if _may_be_starting(item, before)]
    for item in starting:
        ledger.promise(item.guest, item.size_bytes)
    admitted, awaited, refused = {item.guest for item in starting}, 0, []
    for item in waiting:
        if item.guest in admitted:
            continue
        possible = _obtainable_bytes(lines, ledger) - awaited
        if item.size_bytes > possible:
            refused.append(_no_room(item, possible))
        elif awaited or item.size_bytes > ledger.in_hand_bytes:
            awaited += item.size_bytes
        else:
            ledger.promise(item.guest, item.size_bytes)
            admitted.add(item.guest)
    return Admission(admitted=frozenset(admitted), awaited_bytes=awaited, refused=tuple(refused))


def _may_be_starting(item: Reservation, before: Collection[str]) -> bool:
    # SAFETY: a VM that was admitted may be taking its memory now, whatever else has changed.
    return item.guest in before


def _obtainable_bytes(lines: Sequence[Line], ledger: Ledger) -> int:
    """Say what would be in hand if every guest gave all that it can."""
    # SAFETY: no guest is squeezed for a VM that could not start even then.
    from_guests = sum(ledger.promised_to(line.guest) - least_bytes(line) for line in lines)
    return ledger.in_hand_bytes + from_guests


def _no_room(item: Reservation, possible: int) -> Reason:
    return because(
        ReasonCode.NO_ROOM,
        guest=item.guest,
        size_bytes=item.size_bytes,
        possible_bytes=max(0, possible),
    )
