"""Where every byte is: in hand, or promised to one guest. Never both, never neither.

A guest is promised the larger of what it has and what it may still take without asking again.
Memory that a guest was asked to give back stays promised to it until it is seen to have left.
Grants come only from what is in hand, so the sum of all promises never passes the capacity, in
whatever order, and however partially, guests do as they are asked. Only the host can break that,
by losing memory, or a guest, by taking what it was not given: then nothing is in hand, and so
nothing is granted.
"""

from __future__ import annotations

__all__ = ["Ledger", "held_bytes"]


def held_bytes(actual_bytes: int, wished_bytes: int, granted_bytes: int) -> int:
    """Say the most that a guest has, or may take without asking again.

    Args:
        actual_bytes: what it is seen to have; more than it was granted if it helped itself.
        wished_bytes: what its hypervisor would let it take.
        granted_bytes: what we last asked it to have; what we asked before, while it may have
            taken that unseen.
    """
    # SAFETY: what a guest was asked to give back is its own until it is seen to have left, and
    # what it took unasked is gone at once.
    return max(actual_bytes, wished_bytes, granted_bytes)


def _covered_bytes(more_bytes: int, in_hand_bytes: int) -> int:
    """Say how much of a grant is covered by memory in hand."""
    # SAFETY: what is not in hand is not granted; another guest may still be using it.
    return min(more_bytes, in_hand_bytes)


class Ledger:
    """The accounts of one decision. Sizes in bytes."""

    __slots__ = ("_promised", "capacity_bytes", "promised_bytes")

    def __init__(self, capacity_bytes: int) -> None:
        self.capacity_bytes = capacity_bytes
        self.promised_bytes = 0
        self._promised: dict[str, int] = {}

    @property
    def in_hand_bytes(self) -> int:
        """What may be granted now; below zero when more is promised than there is."""
        return self.capacity_bytes - self.promised_bytes

    def promise(self, guest: str, size_bytes: int) -> None:
        """Set what a guest has or may take; whatever was noted for it before is replaced."""
        self.promised_bytes += size_bytes - self._promised.get(guest, 0)
        self._promised[guest] = size_bytes

    def promised_to(self, guest: str) -> int:
        """Say what a guest has or may take."""
        return self._promised.get(guest, 0)

    def grant(self, guest: str, wanted_bytes: int, *, leave_bytes: int = 0) -> int:
        """Grant a guest a size, or as much of it as is in hand beyond `leave_bytes`.

        Returns:
            The size it may now have: at most `wanted_bytes`, never less than it was promised.
        """
        promised = self.promised_to(guest)
        more = _covered_bytes(wanted_bytes - promised, self.in_hand_bytes - leave_bytes)
        if more <= 0:
            return promised
        self.promise(guest, promised + more)
        return promised + more
