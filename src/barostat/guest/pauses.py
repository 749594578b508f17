"""How long to wait before a socket is tried again: longer after every failure, with jitter."""

from __future__ import annotations

import random
from typing import Final

__all__ = ["Pauses"]

FIRST_S: Final = 0.2
LONGEST_S: Final = 10.0
FIRST_MISBEHAVED_S: Final = 10.0
LONGEST_MISBEHAVED_S: Final = 600.0
JITTER_RATIO: Final = 0.2


class Pauses:
    """The pauses of one socket.

    A connection begins them anew only if it stood longer than the longest of them: one that is
    closed as soon as it stands is a failure, and so is an agent that behaves for a little while.
    """

    def __init__(self) -> None:
        self._next_s = FIRST_S
        self._next_misbehaved_s = FIRST_MISBEHAVED_S

    def after(self, stood_s: float, *, misbehaved: bool) -> float:
        """Say how long to wait after a connection that stood this long, 0.0 if it never did."""
        if stood_s >= LONGEST_S:
            self._next_s = FIRST_S
        if stood_s >= LONGEST_MISBEHAVED_S:
            self._next_misbehaved_s = FIRST_MISBEHAVED_S
        if misbehaved:
            pause_s = self._next_misbehaved_s
            self._next_misbehaved_s = min(2 * pause_s, LONGEST_MISBEHAVED_S)
        else:
            pause_s = self._next_s
            self._next_s = min(2 * pause_s, LONGEST_S)
        return pause_s * random.uniform(1 - JITTER_RATIO, 1 + JITTER_RATIO)  # noqa: S311 - no secret
