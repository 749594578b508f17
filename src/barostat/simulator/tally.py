"""What a run came to: sums a guest and a host, taken down as time passes.

Within a piece of time all sizes are on a line, so means are those of its two ends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from barostat.core.decision import Decision
from barostat.simulator.hosts import Hosts
from barostat.simulator.steps import Steps
from barostat.simulator.trace import Floats
from barostat.simulator.unevenness import Unevenness
from barostat.simulator.world import World
from barostat.simulator.worst import Worst
from barostat.units import MIB

__all__ = ["GUEST_SUMS", "HOST_SUMS", "Tally"]

MINUTE_S: Final = 60.0
BAD_UNMET_RATIO: Final = 0.01
BAD_SWAP_IN_RATIO: Final = 0.002
REVERSED_S: Final = 600.0
BREACH_BYTES: Final = MIB
MOMENT_S: Final = 1e-6

GUEST_SUMS: Final = (
    "on_s",
    "demand_byte_s",
    "unmet_byte_s",
    "short_s",
    "bad_s",
    "swap_in_bytes",
    "host_paged_byte_s",
    "churn_bytes",
    "moves",
    "reversals",
    "waste_byte_s",
)
HOST_SUMS: Final = ("breach_s", "breaches", "breach_most_bytes")


class Tally:
    """Takes down a run. Arrays have the shape [host, place], those of hosts [host].

    Attributes:
        on_s: how long each guest was on.
        demand_byte_s, unmet_byte_s: what it needed, and what of that it did not have.
        short_s: how long more than the tolerance was missing.
        bad_s: the time of minutes in which its users would have noticed: more than 1 % of what it
            needed was not there, or it paged in more than 0.2 % of it.
        swap_in_bytes: what its kernel read back.
        host_paged_byte_s: what the host paged of it.
        churn_bytes, moves, reversals: what it gained and lost; how often it was asked for another
            size; how often that was the other way within ten minutes.
        waste_byte_s: what it had and did not need.
        breach_s, breaches, breach_most_bytes: how long, how often and by how much more was promised
            than a host has.
        steps: how long a rise of demand waited.
        unevenness: how unlike guests were while memory was scarce.
        worst: when most was missing.

    Args:
        hosts: who lives where.
        tolerance_ratio: what may be missing of a guest's size before it counts as short: samples
            of traces are not exact.
        last: gives the newest decision on a host, if the policy can say it.
        grace_s: minutes that are over this soon after needs changed are not bad: samples minutes
            apart do not say how fast a need rose.
    """

    def __init__(
        self,
        hosts: Hosts,
        *,
        tolerance_ratio: float = 0.02,
        last: Callable[[int], Decision | None] | None = None,
        grace_s: float = 0.0,
    ) -> None:
        shape = hosts.vm.shape
        self.tolerance_bytes: Floats = hosts.maximum_bytes * tolerance_ratio
        self.guests: dict[str, Floats] = {name: np.zeros(shape) for name in GUEST_SUMS}
        self.per_host: dict[str, Floats] = {name: np.zeros(shape[0]) for name in HOST_SUMS}
        self.steps, self.unevenness, self.worst = Steps(shape), Unevenness(hosts), Worst(last)
        self._minute_unmet: Floats = np.zeros(shape)
        self._minute_swap: Floats = np.zeros(shape)
        self._minute_needed: Floats = np.zeros(shape)
        self._minute_on_s: Floats = np.zeros(shape)
        self._minute_lacking = False
        self._grace_s, self._judged_from_s, self._changes = grace_s, 0.0, 0
        self._over = np.zeros(shape[0], dtype=np.bool_)
        self._target: Floats | None = None
        self._turned_s: Floats = np.full(shape, -np.inf)
        self._direction: Floats = np.zeros(shape)

    def advance(self, world: World, passed_s: float) -> None:
        """Let time pass, and take down what it brought.

        Minutes in which anything may be missing are judged alone, or with others just like them.
        """
        self._asked(world)
        if world.changes != self._changes:
            self._changes, self._judged_from_s = world.changes, world.now_s + self._grace_s
        end_s = world.now_s + passed_s
        if self._minute_lacking or world.paged_bytes.any():
            for cut_s in _next_minute_s(world.now_s), end_s - end_s % MINUTE_S:
                if world.now_s + MOMENT_S < cut_s < end_s - MOMENT_S:
                    self._advance(world, cut_s - world.now_s)
        self._advance(world, end_s - world.now_s)

    def _advance(self, world: World, passed_s: float) -> None:
        self.steps.before(world)
        size, short, swap = world.assigned_bytes, world.short_bytes, world.swap_in_bytes.copy()
        world.advance(passed_s)
        unmet = (short + world.short_bytes) / 2 * passed_s
        self._add(world, size, unmet, passed_s)
        self._add_minute(world, unmet, world.swap_in_bytes - swap, passed_s)
        self._add_breach(world, passed_s)
        self.steps.after(world, passed_s)
        self.unevenness.add(world, passed_s)
        if unmet.any():
            self.worst.look(world)

    def end_row(self, world: World, row: int) -> None:
        """Know which row is next."""
        del world
        self.worst.row = row + 1

    def end(self, world: World) -> None:
        """Close what is open when the run is over."""
        self._end_minute(world.now_s)
        self.steps.end()

    def _add(self, world: World, size: Floats, unmet: Floats, passed_s: float) -> None:
        sums, mean = self.guests, (size + world.assigned_bytes) / 2
        sums["on_s"] += world.present * passed_s
        sums["demand_byte_s"] += world.demand_bytes * passed_s
        sums["waste_byte_s"] += np.maximum(0.0, mean - world.demand_bytes) * passed_s
        sums["churn_bytes"] += np.abs(world.assigned_bytes - size)
        if unmet.any():
            sums["unmet_byte_s"] += unmet
            sums["short_s"] += (unmet > self.tolerance_bytes * passed_s) * passed_s
        if world.host_paged_bytes.any():
            sums["host_paged_byte_s"] += world.host_paged_bytes * passed_s

    def _add_minute(self, world: World, unmet: Floats, swapped_in: Floats, passed_s: float) -> None:
        """Judge minutes as they end; those in which nothing was missing are not bad."""
        came = np.maximum(0.0, swapped_in)
        self.guests["swap_in_bytes"] += came
        self._minute_unmet += unmet
        self._minute_swap += came
        self._minute_needed += world.demand_bytes * passed_s
        self._minute_on_s += world.present * passed_s
        self._minute_lacking |= bool(unmet.any() or came.any())
        if _next_minute_s(world.now_s) > _next_minute_s(world.now_s - passed_s):
            self._end_minute(world.now_s)
            begun_s = world.now_s % MINUTE_S
            if MOMENT_S < begun_s < MINUTE_S - MOMENT_S:
                self._minute_needed += world.demand_bytes * begun_s
                self._minute_on_s += world.present * begun_s

    def _end_minute(self, now_s: float) -> None:
        needed, sums = self._minute_needed, self.guests
        graced = self._grace_s > 0 and now_s < self._judged_from_s + MOMENT_S
        if self._minute_lacking and not graced:
            bad = (self._minute_unmet > needed * BAD_UNMET_RATIO) | (
                self._minute_swap > needed / MINUTE_S * BAD_SWAP_IN_RATIO
            )
            sums["bad_s"] += bad * self._minute_on_s
        for held in self._minute_unmet, self._minute_swap, needed, self._minute_on_s:
            held[:] = 0.0
        self._minute_lacking = False

    def _asked(self, world: World) -> None:
        """Count who was asked for another size since the last time, and who was turned round."""
        before, self._target = self._target, world.target_bytes
        if before is None or before is world.target_bytes:
            return
        stayed = world.present & (world.arrived_s < world.now_s)
        direction = np.sign(world.target_bytes - before) * stayed
        asked = direction != 0
        if not asked.any():
            return
        turned = asked & (direction == -self._direction)
        soon = world.now_s - self._turned_s <= REVERSED_S
        self.guests["moves"] += asked
        self.guests["reversals"] += turned & soon
        self._direction = np.where(asked, direction, self._direction)
        self._turned_s = np.where(asked, world.now_s, self._turned_s)

    def _add_breach(self, world: World, passed_s: float) -> None:
        over = world.promised_bytes.sum(axis=1) - world.hosts.capacity_bytes
        broken = over > BREACH_BYTES
        if broken.any():
            self.per_host["breach_s"] += broken * passed_s
            self.per_host["breaches"] += broken & ~self._over
            most = self.per_host["breach_most_bytes"]
            np.maximum(most, np.where(broken, over, 0.0), out=most)
        self._over = broken


def _next_minute_s(now_s: float) -> float:
    """Say when the minute ends."""
    return ((now_s + MOMENT_S) // MINUTE_S + 1) * MINUTE_S
