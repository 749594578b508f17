"""How much of what a guest says it needs can be true, by what the host itself can see. Pure.

    credible = in use + what its kernel keeps + allowance

What a guest uses is in its QEMU's memory, or the host swapped it out: a guest that says it needs
much more, and has not touched what it has, is believed as far as this when memory is short. A lie
gains it no more than the allowance; to gain more it must use the memory, and then it is no lie. An
honest guest is never held below what it uses, and may grow by the allowance at every look. Nobody
is shrunk by this alone: where there is enough, everyone gets what it asks for.
"""

from __future__ import annotations

from typing import Final

from barostat.units import MIB

__all__ = ["credible_bytes", "doubted"]

ALLOWANCE_RATIO: Final = 0.25
"""By so much of its size a guest may grow before it has touched anything: at one look a second a
guest doubles in some three seconds, which is as fast as one touches memory."""

ALLOWANCE_LOW_BYTES: Final = 64 * MIB


def credible_bytes(in_use_bytes: int, *, hidden_bytes: int, actual_bytes: int) -> int:
    """Say the most that a guest can need, as far as the host can see.

    Args:
        in_use_bytes: the most that it can be using: what its QEMU holds, and what of that the host
            swapped out.
        hidden_bytes: what its kernel keeps and may never touch; its own word, and bounded.
        actual_bytes: what it has.
    """
    allowance = max(ALLOWANCE_LOW_BYTES, int(actual_bytes * ALLOWANCE_RATIO))
    return in_use_bytes + hidden_bytes + allowance


def doubted(claim_bytes: int, credible: int | None) -> int:
    """Cut a claim to what is credible, where that is known."""
    return claim_bytes if credible is None else min(claim_bytes, credible)
