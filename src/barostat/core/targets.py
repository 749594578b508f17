"""Who should have how much: what is needed now, with its buffer, before anyone's past.

Minimums come first, then demands, then the buffers of those demands. Only what is left of that
goes to what guests needed lately: a guest that has let go of its memory must not keep it from one
that pages. What a guest in distress needs cannot be seen, so it claims twice what it has, as its
buffer, and for it the pool is there.
"""

from __future__ import annotations

from collections.abc import Sequence

from barostat.core.allocation import Allocation, Claim, Mode, Tier, allocate
from barostat.core.claims import doubted
from barostat.core.lines import bounds_of, claim_of, need_bytes
from barostat.core.moves import Line

__all__ = ["in_plenty_bytes", "set_targets"]


def set_targets(
    lines: Sequence[Line], *, capacity_bytes: int, pool_bytes: int, mode: Mode
) -> tuple[Allocation, bool]:
    """Write its target into every line.

    Args:
        lines: guests that may be moved.
        capacity_bytes: what they may have together.
        pool_bytes: what buffers leave alone, unless a guest presses.
        mode: what is made equal when memory is short.

    Returns:
        How what is needed now was shared, and whether anybody's past had to be cut.
    """
    sizes = [in_plenty_bytes(line) for line in lines]
    idle = capacity_bytes - sum(sizes)
    if idle >= pool_bytes:  # nothing need be shared out: what it would come to is known
        present = Allocation(
            sizes_bytes=tuple(sizes), tier=Tier.PLENTY, idle_bytes=idle, short_bytes=0
        )
        cut = False
    else:
        present, past = _shared_out(lines, capacity_bytes, pool_bytes, mode)
        sizes, cut = list(past.sizes_bytes), past.tier is not Tier.PLENTY
    for line, size in zip(lines, sizes, strict=True):
        line.target_bytes = size
    return present, cut


def in_plenty_bytes(line: Line) -> int:
    """Say what a guest gets where everyone gets what it wants: `allocate`'s answer, at once."""
    least, most = bounds_of(line)
    need = max(least, min(need_bytes(line), most))
    return max(need, min(line.want_bytes, most))


def _shared_out(
    lines: Sequence[Line], capacity_bytes: int, pool_bytes: int, mode: Mode
) -> tuple[Allocation, Allocation]:
    """Share what is needed now, and then, if that is all there, what was needed lately."""
    claims = [claim_of(line) for line in lines]
    pool = 0 if any(line.pressing for line in lines) else pool_bytes
    present = allocate(claims, capacity_bytes=capacity_bytes, pool_bytes=pool, mode=mode)
    if present.tier is not Tier.PLENTY:
        return present, present
    claims = [_past(*known) for known in zip(lines, claims, present.sizes_bytes, strict=True)]
    past = allocate(claims, capacity_bytes=capacity_bytes, pool_bytes=pool_bytes, mode=mode)
    return present, past


def _past(line: Line, claim: Claim, size_bytes: int) -> Claim:
    """Turn what a guest needed lately into its claim on what is left."""
    return Claim(
        guest=line.guest,
        minimum_bytes=size_bytes,
        demand_bytes=size_bytes,
        want_bytes=doubted(line.want_bytes, line.credible_bytes),
        maximum_bytes=claim.maximum_bytes,
        weight=line.weight,
    )
