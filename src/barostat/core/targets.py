"""Who should have how much: what is needed now, with its buffer, before anyone's past.

Minimums come first, then demands, then the buffers of those demands. Only what is left of that
goes to what guests needed lately: a guest that has let go of its memory must not keep it from one
that pages. What a guest in distress needs cannot be seen, so it claims twice what it has, as its
buffer, and for it the pool is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from barostat.core.allocation import Allocation, Mode, Tier, allocate
from barostat.core.lines import claim_of
from barostat.core.moves import Line

__all__ = ["set_targets"]


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
    claims = [claim_of(line) for line in lines]
    pressing = any(line.pressing for line in lines)
    present = allocate(
        claims,
        capacity_bytes=capacity_bytes,
        pool_bytes=0 if pressing else pool_bytes,
        mode=mode,
    )
    sizes, cut = present.sizes_bytes, present.tier is not Tier.PLENTY
    if not cut:
        past = allocate(
            [
                replace(claim, minimum_bytes=size, demand_bytes=size, want_bytes=line.want_bytes)
                for line, claim, size in zip(lines, claims, sizes, strict=True)
            ],
            capacity_bytes=capacity_bytes,
            pool_bytes=pool_bytes,
            mode=mode,
        )
        sizes, cut = past.sizes_bytes, past.tier is not Tier.PLENTY
    for line, size in zip(lines, sizes, strict=True):
        line.target_bytes = size
    return present, cut
