"""Where every byte is: in hand, or promised to one guest. Never both, never neither.

A guest is promised the larger of what it has and what it may still take without asking again.
Memory that a guest was asked to give back stays promised to it until it is seen to have left.
Grants come only from what is in hand, so the sum of all promises never passes the capacity, in
whatever order, and however partially, guests do as they are asked. Only the host itself can break
that, by losing memory: then nothing is in hand, and so nothing is granted.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["Ledger"]


class Ledger:
    """The accounts of one decision. Sizes in bytes."""

    __slots__ = ("_promised", "capacity_bytes", "promised_bytes")

    def __init__(self, capacity_bytes: int) -> None:
        self.capacity_bytes = capacity_bytes
        self.promised_bytes = 0
        self._promised: dict[str, int] = {}

    @property
    def in_hand_bytes(self) -> int:
        """What may be granted now; below zero when the host lost memory."""
        return self.capacity_bytes - self.promised_bytes

    def promise(self, guest: str, sizes_bytes: Iterable[int]) -> int:
        """Open a guest's account: promised is the largest size that it has or may take.

        Returns:
            That size.
        """
        promised = max(sizes_bytes)
        self.promised_bytes += promised - self._promised.get(guest, 0)
        self._promised[guest] = promised
        return promised

    def promised_to(self, guest: str) -> int:
        """Say what a guest has or may take."""
        return self._promised.get(guest, 0)

    def grant(self, guest: str, wanted_bytes: int, *, leave_bytes: int = 0) -> int:
        """Grant a guest a size, or as much of it as is in hand beyond `leave_bytes`.

        Returns:
            The size it may now have: at most `wanted_bytes`, never less than it was promised.
        """
        promised = self.promised_to(guest)
        more = min(wanted_bytes - promised, self.in_hand_bytes - leave_bytes)
        # SAFETY: what is not in hand is not granted; another guest may still be using it.
        if more <= 0:
            return promised
        return self.promise(guest, (promised + more,))
