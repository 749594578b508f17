"""The pressure of the last minutes of every VM: a bound number of steps, the worst of each kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from barostat.service.documents import Guest

__all__ = ["STEP_S", "Trails"]

STEP_S: Final = 5
"""What one sign of a sparkline stands for: twelve of them are a minute."""

STEPS_KEPT: Final = 36


class Trails:
    """Remembers pressures by VM. Who is not seen any more is forgotten."""

    def __init__(self) -> None:
        self._step = -1
        self._trails: dict[str, deque[float | None]] = {}

    def note(self, guests: Iterable[Guest], *, now_s: float) -> None:
        """Take note of one look.

        Args:
            guests: what was seen.
            now_s: when, on a clock that never goes back.
        """
        step = int(now_s // STEP_S)
        missed = max(0, step - self._step) if self._step >= 0 else 1
        self._step = step
        trails = self._trails
        self._trails = {
            guest.name: _noted(
                trails.get(guest.name) or deque(maxlen=STEPS_KEPT), guest.pressure, missed
            )
            for guest in guests
        }

    def of(self, guest: str, steps: int) -> tuple[float | None, ...]:
        """Give the last steps of a VM, oldest first; None where it said nothing."""
        return tuple(self._trails.get(guest, ()))[-steps:]


def _noted(trail: deque[float | None], pressure: float | None, missed: int) -> deque[float | None]:
    """Begin as many steps as have passed, and keep the worst of the newest."""
    if not trail:
        trail.append(pressure)
        return trail
    trail.extend([None] * min(missed, STEPS_KEPT))
    if pressure is not None:
        trail[-1] = max(pressure, trail[-1] or 0.0)
    return trail
