"""May a VM start? Once its startup memory is in hand it is promised to it, and nobody else.

It may have what is in hand, then what others hold beyond what they should have, then their buffers;
of what others need it may have only what lighter ones are to give up to one of its weight, down to
their shares. VMs are admitted in the order of their coming; one for which all of that does not
suffice squeezes nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

from barostat.core.allocation import LEAST_WEIGHT, Mode
from barostat.core.ledger import Ledger
from barostat.core.lines import claim_of
from barostat.core.moves import Line
from barostat.core.observation import Reservation
from barostat.core.reasons import Reason, ReasonCode, because

__all__ = ["Admission", "admit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Who may start.

    Attributes:
        set_aside_bytes: what is promised to VMs that may start, by their names: less than its
            startup to one that asks for more than it was admitted with.
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
    mode: Mode,
    granting: bool = True,
) -> Admission:
    """Promise waiting VMs their startup memory.

    Args:
        reservations: VMs that wait, in the order of their coming.
        running: guests that answer: their memory is in the ledger already. One that does not
            answer may be starting anew: what is promised to it counts as a part of its startup.
        before: what was promised earlier to VMs that were not seen at the last decision.
        lines: guests that could be asked to give.
        ledger: opened for every guest; what is promised here is entered.
        mode: what guests are entitled to when memory is short.
        granting: False while the host itself is short: then those that wait go on waiting.
    """
    waiting = [item for item in reservations if item.guest not in running]
    set_aside: dict[str, int] = {}
    for item in waiting:
        kept = _kept_bytes(item, before)
        if kept:
            set_aside[item.guest] = kept
            ledger.promise(item.guest, max(kept, ledger.promised_to(item.guest)))
    awaited, refused = 0, []
    for item in waiting:
        held = ledger.promised_to(item.guest)
        missing = item.size_bytes - held
        possible = _obtainable_bytes(item, lines, ledger, mode) - awaited
        if missing > max(0, possible):
            refused.append(_no_room(item, held + possible))
        elif missing > 0 and (awaited or not _covered(missing, ledger, granting=granting)):
            awaited += missing
        else:
            size = max(item.size_bytes, set_aside.get(item.guest, 0))
            ledger.promise(item.guest, max(size, held))
            set_aside[item.guest] = size
    return Admission(set_aside_bytes=set_aside, awaited_bytes=awaited, refused=tuple(refused))


def _kept_bytes(item: Reservation, before: Mapping[str, int]) -> int:
    """Say what a VM was admitted with; what it asks for since changes nothing of that."""
    # SAFETY: a VM that was admitted may be taking its memory now, whatever else has changed.
    return before.get(item.guest, 0)


def _covered(missing_bytes: int, ledger: Ledger, *, granting: bool) -> bool:
    # SAFETY: on a host that is itself short, what is in hand may not be there.
    return granting and missing_bytes <= ledger.in_hand_bytes


def _obtainable_bytes(item: Reservation, lines: Sequence[Line], ledger: Ledger, mode: Mode) -> int:
    """Say what would be in hand if every guest gave all that it has to give to this VM."""
    # SAFETY: no guest is squeezed for a VM that could not start even then.
    from_guests = sum(
        ledger.promised_to(line.guest) - _stays_bytes(line, item, mode) for line in lines
    )
    return ledger.in_hand_bytes + from_guests


def _stays_bytes(line: Line, item: Reservation, mode: Mode) -> int:
    """Say what a guest keeps when a VM starts: what it needs, or its share if it is lighter.

    It is the size at which both have the same level in `allocate`, with the VM at its startup: so
    what is set aside for the VM never takes anybody below this.
    """
    claim = claim_of(line)
    match mode:
        case Mode.PRESSURE:
            basis = claim.demand_bytes
        case Mode.SHARE:
            basis = claim.maximum_bytes
        case _:
            assert_never(mode)
    share = -(-basis * max(claim.weight, LEAST_WEIGHT) // _weight(item))
    needed = min(claim.demand_bytes, claim.maximum_bytes, share)
    return max(claim.minimum_bytes, needed)


def _weight(item: Reservation) -> int:
    # SAFETY: what a guest needs is taken only for a VM that weighs more.
    return max(item.weight, LEAST_WEIGHT)


def _no_room(item: Reservation, possible: int) -> Reason:
    return because(
        ReasonCode.NO_ROOM,
        guest=item.guest,
        size_bytes=item.size_bytes,
        possible_bytes=max(0, possible),
    )
