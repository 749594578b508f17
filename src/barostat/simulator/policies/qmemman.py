"""Qubes OS' qmemman."""

from __future__ import annotations

from typing import Final

import numpy as np

from barostat.simulator.trace import Floats, Switches
from barostat.simulator.world import World
from barostat.units import KIB, MIB

__all__ = ["Qmemman"]

PREFERRED_RATIO: Final = 1.3
PREFERRED_LEAST_BYTES: Final = 200 * MIB
HOST_FREE_BYTES: Final = 50 * MIB
HOST_SHORT_BYTES: Final = 15 * MIB
GAIN_BYTES: Final = 15 * MIB
MOVED_BYTES: Final = 150 * MIB
DONOR_BYTES: Final = 10 * MIB
REPORT_BYTES: Final = 30_000 * KIB
TIGHT_RATIO: Final = 10 / 13
KEPT_RATIO: Final = 0.999
ROUNDS: Final = 16


class Qmemman:
    """Every guest gets memory in proportion to what it uses; all of the host is handed out.

    A guest reports its use (without page cache, with swap) when it changed by 30,000 KiB, half of
    that when memory is tight in it. It is preferred to have 1.3 times that. What the host has
    beyond all preferences is shared out in proportion to them; when it has less, guests above
    theirs go down to it, and those below share what there is. Donors first. Small changes are left
    alone. There are no weights.

    Source: QubesOS/qubes-core-admin, qubes/qmemman/algo.py and systemstate.py, 2026; the guest's
    part in qubes-linux-utils, qmemman/meminfo-writer.c. Guests that do not give are not told apart.

    Args:
        equal_inputs: changes nothing: what it reads is use without page cache already.
    """

    name = "qmemman"
    period_s = 0.2

    def __init__(self, *, equal_inputs: bool = False) -> None:
        del equal_inputs
        self._reported: Floats | None = None

    def act(self, world: World) -> float | None:
        """Take in reports, and go towards the balance."""
        used, size = world.resident_bytes + world.paged_bytes, world.assigned_bytes
        if self._reported is None:
            self._reported = used
        step = np.where(used > size * TIGHT_RATIO, REPORT_BYTES / 2, REPORT_BYTES)
        told = np.abs(used - self._reported) > step
        self._reported = np.where(told, used, self._reported)
        if world.moving_s > 0:
            return self.period_s
        wanted = self._balance(world)
        worth = _is_worth(world, wanted)
        donors: Switches = (wanted <= size - DONOR_BYTES) & worth[:, None]
        gives = np.any(donors, axis=1, keepdims=True)
        grows = np.where(worth[:, None] & ~gives, np.maximum(0.0, wanted - size), 0.0)
        room = np.maximum(0.0, _free(world) - HOST_FREE_BYTES)
        part = np.minimum(1.0, room / np.maximum(grows.sum(axis=1), 1.0))
        asked = np.where(donors, wanted, size + grows * part[:, None])
        world.ask(asked)
        moves = np.abs(world.target_bytes - size) >= MIB
        return self.period_s if moves.any() else None

    def _balance(self, world: World) -> Floats:
        hosts, size = world.hosts, world.assigned_bytes
        assert self._reported is not None  # noqa: S101 - set before
        low = np.maximum(PREFERRED_LEAST_BYTES, hosts.minimum_bytes)
        preferred = np.clip(PREFERRED_RATIO * self._reported, low, hosts.maximum_bytes)
        preferred = np.where(world.present, np.minimum(preferred, hosts.maximum_bytes), 0.0)
        spare = _free(world) - HOST_FREE_BYTES - (preferred - size).sum(axis=1)
        plenty = _in_proportion(preferred, hosts.maximum_bytes, np.maximum(0.0, spare))
        donors = size > preferred
        taken = np.where(donors, size - preferred, 0.0).sum(axis=1)
        acceptors = np.where(donors, 0.0, preferred)
        pool = np.maximum(0.0, _free(world) - HOST_FREE_BYTES + taken)
        part = (pool / np.maximum(acceptors.sum(axis=1), 1.0))[:, None] * acceptors
        short = np.where(donors, preferred, np.minimum(size + part, hosts.maximum_bytes))
        wanted: Floats = np.where((spare > 0)[:, None], plenty, short)
        return np.where(world.present, wanted, 0.0)


def _free(world: World) -> Floats:
    """Give what no domain holds: Xen counts what is assigned, used or not."""
    held = np.where(world.present, world.promised_bytes, 0.0).sum(axis=1)
    free: Floats = world.hosts.capacity_bytes - held
    return free


def _in_proportion(preferred: Floats, maximum: Floats, spare: Floats) -> Floats:
    """Hand all out in proportion; what those at their maximum leave goes to the others evenly."""
    total = np.maximum(preferred.sum(axis=1), 1.0)
    raw = KEPT_RATIO * preferred * (1.0 + spare / total)[:, None]
    given = np.minimum(raw, maximum)
    for _ in range(ROUNDS):
        left = (raw.sum(axis=1) - given.sum(axis=1))[:, None]
        open_ = (given < maximum) & (preferred > 0)
        if not (left > MIB).any() or not open_.any():
            break
        each = np.maximum(0.0, left) / np.maximum(open_.sum(axis=1), 1)[:, None]
        given = np.minimum(np.where(open_, given + each, given), maximum)
    handed: Floats = given
    return handed


def _is_worth(world: World, wanted: Floats) -> Switches:
    """Say on which hosts the change is worth its while, shape [host]."""
    size = world.assigned_bytes
    short = _free(world) < HOST_FREE_BYTES - HOST_SHORT_BYTES
    preferred = PREFERRED_RATIO * (world.resident_bytes + world.paged_bytes)
    gains = ((wanted - size > GAIN_BYTES) & (size < preferred)).any(axis=1)
    large = np.abs(wanted - size).sum(axis=1) > MOVED_BYTES
    worth: Switches = short | gains | large
    return worth
