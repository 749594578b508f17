"""XenServer's squeezed: Dynamic Memory Control."""

from __future__ import annotations

from typing import Final

import numpy as np

from barostat.simulator.trace import Floats, Switches
from barostat.simulator.world import World
from barostat.units import MIB

__all__ = ["Squeezed"]

RESERVE_BYTES: Final = 72 * MIB
STUCK_S: Final = 5.0
LOOK_S: Final = 1.0


class Squeezed:
    """Every guest gets the same share of the range from its minimum to its maximum.

    The share is what is left of the host above all minimums, over the sum of the ranges, 72 MiB
    kept. Those that shrink go first; only then do others grow. A guest that has not come nearer to
    its target for 5 s is left out. What guests do with their memory is not looked at.

    Source: xapi-project/xen-api, ocaml/squeezed/lib/squeeze.ml and src/squeeze_xen.ml, 2026.

    Args:
        equal_inputs: changes nothing: the rule reads no input of guests.
    """

    name = "squeezed"
    period_s = 10.0

    def __init__(self, *, equal_inputs: bool = False) -> None:
        del equal_inputs
        self._last: Floats | None = None
        self._moved_s: Floats = np.zeros(0)

    def act(self, world: World) -> float | None:
        """Work out the share, and go one phase towards it."""
        active = self._active(world)
        wanted = _targets(world, active)
        size = world.assigned_bytes
        shrinks: Switches = active & (wanted < size - MIB)
        frees = np.any(shrinks, axis=1, keepdims=True)
        world.ask(np.where(frees, np.where(shrinks, wanted, size), wanted))
        there = np.abs(world.target_bytes - size)[active] < MIB
        return None if np.all(there) and not np.any(frees) else LOOK_S

    def _active(self, world: World) -> Switches:
        """Say who is on and moves when it is told to."""
        size = world.assigned_bytes
        if self._last is None:
            self._last, self._moved_s = size, np.full(size.shape, world.now_s)
        waits = np.abs(world.target_bytes - size) >= MIB
        moved = (np.abs(size - self._last) >= 1.0) | ~waits
        self._moved_s = np.where(moved, world.now_s, self._moved_s)
        self._last = size
        active: Switches = world.present & (world.now_s - self._moved_s <= STUCK_S)
        return active


def _targets(world: World, active: Switches) -> Floats:
    hosts = world.hosts
    held = np.where(world.present & ~active, world.promised_bytes, 0.0).sum(axis=1)
    low = np.where(active, hosts.minimum_bytes, 0.0)
    span = np.where(active, hosts.maximum_bytes, 0.0) - low
    left = hosts.capacity_bytes - RESERVE_BYTES - held - low.sum(axis=1)
    share = np.clip(left / np.maximum(span.sum(axis=1), 1.0), 0.0, 1.0)
    targets: Floats = np.where(active, low + share[:, None] * span, world.target_bytes)
    return targets
