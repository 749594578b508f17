"""XenServer's squeezed: Dynamic Memory Control."""

from __future__ import annotations

from typing import Final

import numpy as np

from barostat.simulator.trace import Floats, Switches
from barostat.simulator.world import World
from barostat.units import KIB, MIB

__all__ = ["Squeezed"]

RESERVE_BYTES: Final = (64 + 8) * MIB
INACCURACY_BYTES: Final = 4 * KIB
STUCK_S: Final = 5.0
LOOK_S: Final = 1.0


class Squeezed:
    """Every guest gets the same share of the range from its minimum to its maximum.

    The share is what the host has free and could free, less 72 MiB, over the sum of the ranges.
    Those that shrink go first; only when all of them are there do others grow. It looks every
    second until all have what they were asked to have. A guest that has not come nearer to its
    target for 5 s is left out of that; the next time it is tried again. What guests do with their
    memory is not looked at.

    Source: xapi-project/xen-api, ocaml/squeezed/lib/squeeze.ml and src/squeeze_xen.ml, 2026. In
    life the host makes room before a guest starts; here room is made when it has.

    Args:
        equal_inputs: changes nothing: the rule reads no input of guests.
    """

    name = "squeezed"
    period_s = 10.0

    def __init__(self, *, equal_inputs: bool = False) -> None:
        del equal_inputs
        self._begins = True
        self._last: Floats = np.zeros(0)
        self._moved_s: Floats = np.zeros(0)

    def act(self, world: World) -> float | None:
        """Work out the share, and go one phase towards it."""
        size = world.assigned_bytes
        active = self._active(world)
        wanted = _wanted(world, active)
        shrinks: Switches = active & (wanted < size)
        frees = np.any(shrinks, axis=1, keepdims=True)
        asked = np.where(frees, shrinks, active)
        world.ask(np.where(asked, wanted, world.target_bytes))
        self._begins = bool((world.target_bytes == size)[active].all())
        return None if self._begins else LOOK_S

    def _active(self, world: World) -> Switches:
        """Say who is on and moves when it is told to; at a beginning everybody is believed to."""
        size, target = world.assigned_bytes, world.target_bytes
        if self._begins:
            self._last, self._moved_s = size, np.full(size.shape, world.now_s)
        nearer = np.abs(target - size) < np.abs(target - self._last)
        innocent = nearer | (target == size) | (world.arrived_s >= self._moved_s)
        self._moved_s = np.where(innocent, world.now_s, self._moved_s)
        self._last = size
        active: Switches = world.present & (world.now_s - self._moved_s <= STUCK_S)
        return active


def _wanted(world: World, active: Switches) -> Floats:
    """Give everybody's part of what can be shared out, in whole MiB."""
    hosts, size = world.hosts, world.assigned_bytes
    low = hosts.minimum_bytes
    span = hosts.maximum_bytes - low
    held = world.promised_bytes - np.maximum(0.0, world.target_bytes - size)  # not what is to come
    free = hosts.capacity_bytes - np.where(world.present, held, 0.0).sum(axis=1)
    could = np.where(active, np.maximum(0.0, size - low - 2 * INACCURACY_BYTES), 0.0).sum(axis=1)
    surplus = np.maximum(0.0, free + could - RESERVE_BYTES)
    share = np.minimum(surplus / np.maximum(np.where(active, span, 0.0).sum(axis=1), 1.0), 1.0)
    wanted: Floats = np.floor((low + share[:, None] * span) / MIB) * MIB
    return wanted
