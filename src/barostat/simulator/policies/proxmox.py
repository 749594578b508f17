"""Proxmox VE auto-ballooning."""

from __future__ import annotations

from typing import Final

import numpy as np

from barostat.simulator.trace import Floats, Switches
from barostat.simulator.world import World
from barostat.units import MIB

__all__ = ["Proxmox"]

TARGET_RATIO: Final = 0.80
MOST_CHANGE_BYTES: Final = 100 * MIB
DEAD_BAND_BYTES: Final = 10 * MIB
ENOUGH_RATIO: Final = 0.25
WEIGHT_PER_SHARE: Final = 5.0
ROUNDS: Final = 32


class Proxmox:
    """Bring the host's use to 80 %, at most 100 MiB a guest every 10 s, by shares.

    Goal: 80 % of the host's memory less what is used. More than 10 MiB to give is shared out among
    guests under pressure, then among all; to take, among guests with enough, then among all. A
    guest has enough if its MemFree is over a quarter of its minimum. What one is to have is its
    minimum and its part, by shares, of what is to be shared out. Memory never moves from guest to
    guest while the host is at its goal.

    Source: proxmox/pve-manager, PVE/AutoBalloon.pm and PVE/Service/pvestatd.pm, 2025.

    Args:
        equal_inputs: read MemAvailable of guests where the rule reads MemFree.
    """

    name = "proxmox"
    period_s = 10.0

    def __init__(self, *, equal_inputs: bool = False) -> None:
        self._equal_inputs = equal_inputs

    def act(self, world: World) -> float | None:
        """Share out what the host has over its goal, or take what it lacks."""
        hosts, size = world.hosts, world.assigned_bytes
        goal = world.host_free_bytes - (1.0 - TARGET_RATIO) * hosts.capacity_bytes
        goal = np.where(np.abs(goal) > DEAD_BAND_BYTES, goal, 0.0)
        managed = world.present & (hosts.weight > 0)
        free = world.available_bytes if self._equal_inputs else world.free_bytes
        enough = managed & (free > ENOUGH_RATIO * hosts.minimum_bytes)
        grows = goal > 0
        first = np.where(grows[:, None], managed & ~enough, enough)
        planned, rest = _share_out(world, size, first, goal)
        untouched = (goal != 0) & np.where(grows, rest >= goal, rest <= goal)
        again = np.where(untouched, goal, 0.0)
        planned, _ = _share_out(world, planned, managed, again)
        world.ask(planned)
        moves = np.abs(planned - size) >= MIB
        return self.period_s if moves.any() or world.moving_s > 0 else None


def _share_out(
    world: World, planned: Floats, chosen: Switches, bytes_: Floats
) -> tuple[Floats, Floats]:
    """Share bytes out among chosen guests; give their sizes, and what is left a host."""
    hosts, now = world.hosts, world.assigned_bytes
    shares = hosts.weight / WEIGHT_PER_SHARE
    rest, open_ = bytes_.copy(), chosen & (bytes_ != 0)[:, None]
    grows = (bytes_ > 0)[:, None]
    for _ in range(ROUNDS):
        if not open_.any():
            break
        pool = np.where(open_, planned - hosts.minimum_bytes, 0.0).sum(axis=1) + rest
        total = np.maximum(np.where(open_, shares, 0.0).sum(axis=1), 1e-9)
        wanted = hosts.minimum_bytes + (pool / total)[:, None] * shares
        wanted = np.clip(wanted, hosts.minimum_bytes, hosts.maximum_bytes)
        up = open_ & grows & (wanted > planned)
        down = open_ & (wanted < planned)
        new = np.where(up, np.minimum(now + MOST_CHANGE_BYTES, wanted), planned)
        new = np.where(down, np.maximum(now - MOST_CHANGE_BYTES, wanted), new)
        changed = new - planned
        rest = rest - changed.sum(axis=1)
        open_ &= (np.abs(changed) >= 1.0) & (np.abs(rest) >= 1.0)[:, None]
        planned = new
    return planned, rest
