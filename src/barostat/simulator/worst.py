"""The moment in which most was missing on one host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from barostat.core.decision import Decision
from barostat.simulator.trace import Floats
from barostat.simulator.world import World

__all__ = ["Moment", "Worst"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One host at one time.

    Attributes:
        host: its number.
        row: of the trace.
        at_s: seconds since the beginning of the run.
        missing_bytes: what its guests lacked together.
        capacity_bytes: what it may hand out.
        vm: who lives in each place, shape [place].
        demand_bytes, assigned_bytes, target_bytes: shape [place].
        decision: what had been decided, with its reasons, where a policy says it.
    """

    host: int
    row: int
    at_s: float
    missing_bytes: float
    capacity_bytes: float
    vm: tuple[int, ...]
    demand_bytes: tuple[float, ...]
    assigned_bytes: tuple[float, ...]
    target_bytes: tuple[float, ...]
    decision: Decision | None = None


class Worst:
    """Keeps the worst moment that it has seen.

    Attributes:
        moment: None while nothing was missing.
        row: of the trace, that is played.
    """

    def __init__(self, last: Callable[[int], Decision | None] | None = None) -> None:
        self.moment: Moment | None = None
        self.row = 0
        self._last = last

    def look(self, world: World) -> None:
        """Keep this moment if it is worse."""
        missing: Floats = world.short_bytes.sum(axis=1)
        host = int(np.argmax(missing))
        if missing[host] <= (self.moment.missing_bytes if self.moment else 0.0):
            return
        self.moment = Moment(
            host=host,
            row=self.row,
            at_s=world.now_s,
            missing_bytes=float(missing[host]),
            capacity_bytes=float(world.hosts.capacity_bytes[host]),
            vm=tuple(world.hosts.vm[host].tolist()),
            demand_bytes=tuple(world.demand_bytes[host].tolist()),
            assigned_bytes=tuple(world.assigned_bytes[host].tolist()),
            target_bytes=tuple(world.target_bytes[host].tolist()),
            decision=self._last(host) if self._last else None,
        )
