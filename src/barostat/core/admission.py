"""May a VM start? Once its startup memory is in hand it is promised to it, and nobody else.

VMs are admitted in the order of their coming. What the first ones wait for is taken from the
guests; one that could not start even if every guest gave all that it can squeezes nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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
        set_aside_bytes: what is promised to VMs that may start, by their names.
        awaited_bytes: what is still to be taken for VMs that wait.
        refused: why others are not even waited for.
    """

    set_aside_bytes: Mapping[str, int]
    awaited_bytes: int
    refused: tuple[Reason, ...]


def admit(
    reservations: Sequence[Reservation],
    *,
    running: Collection[str],
    before: Mapping[str, int],
    lines: Sequence[Line],
    ledger: Ledger,
    granting: bool = True,
) -> Admission:
    """Promise waiting VMs their startup memory.

    Args:
        reservations: VMs that wait, in the order of their coming.
        running: guests that are there: their memory is in the ledger already.
        before: what was promised earlier to VMs that were not seen at the last decision.
        lines: guests that could be asked to give.
        ledger: opened for every guest; what is promised here is entered.
        granting: False while the host itself is short: then those that wait go on waiting.
    """
    waiting = [item for item in reservations if item.guest not in running]
    starting = [item for item in waiting if _may_be_starting(item, before)]
    for item in starting:
        ledger.promise(item.guest, item.size_bytes)
    set_aside = {item.guest: item.size_bytes for item in starting}
    awaited, refused = 0, []
    for item in waiting:
        if item.guest in set_aside:
            continue
        possible = _obtainable_bytes(lines, ledger) - awaited
        if item.size_bytes > possible:
            refused.append(_no_room(item, possible))
        elif awaited or not _covered(item, ledger, granting=granting):
            awaited += item.size_bytes
        else:
            ledger.promise(item.guest, item.size_bytes)
            set_aside[item.guest] = item.size_bytes
    return Admission(set_aside_bytes=set_aside, awaited_bytes=awaited, refused=tuple(refused))


def _may_be_starting(item: Reservation, before: Mapping[str, int]) -> bool:
    """Say whether a VM was admitted already; if it asks for more by now, it was not."""
    # SAFETY: a VM that was admitted may be taking its memory now, whatever else has changed.
    return item.size_bytes <= before.get(item.guest, -1)


def _covered(item: Reservation, ledger: Ledger, *, granting: bool) -> bool:
    # SAFETY: on a host that is itself short, what is in hand may not be there.
    return granting and item.size_bytes <= ledger.in_hand_bytes


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
