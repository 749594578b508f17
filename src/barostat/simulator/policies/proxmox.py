"""Proxmox VE auto-ballooning."""

from __future__ import annotations

from typing import Final

import numpy as np

from barostat.simulator.trace import Floats, Switches
from barostat.simulator.world import Look, World
from barostat.units import MIB

__all__ = ["Proxmox"]

TARGET_RATIO: Final = 0.80
MOST_CHANGE_BYTES: Final = 100 * MIB
DEAD_BAND_BYTES: Final = 10 * MIB
ENOUGH_RATIO: Final = 0.25
WEIGHT_PER_SHARE: Final = 5.0


class Proxmox:
    """Bring the host's use to 80 %, at most 100 MiB a guest every 10 s, by shares.

    Goal: 80 % of the host's memory less what is used. More than 10 MiB to give is shared out among
    guests under pressure, and among all if those take nothing; to take, among guests with enough,
    then among all. A guest has enough if its MemFree is over a quarter of its minimum. What one is
    to have is its minimum and its part, by shares, of what all in question have above theirs and
    the goal. Memory never moves from guest to guest while the host is at its goal.

    Source: proxmox/pve-manager, PVE/AutoBalloon.pm and PVE/Service/pvestatd.pm, 2025. A weight is
    five times the shares. In life a guest starts at its minimum; here it starts as all others do.

    Args:
        equal_inputs: read MemAvailable of guests where the rule reads MemFree.
    """

    name = "proxmox"
    period_s = 10.0

    def __init__(self, *, equal_inputs: bool = False) -> None:
        self._equal_inputs = equal_inputs

    def act(self, world: World) -> float | None:
        """Share out what the host has over its goal, or take what it lacks."""
        hosts, now, before = world.hosts, world.assigned_bytes, world.target_bytes
        over = world.host_free_bytes - (1.0 - TARGET_RATIO) * hosts.capacity_bytes
        goal = np.where(np.abs(over) > DEAD_BAND_BYTES, np.trunc(over), 0.0)
        managed = world.present & (hosts.weight > 0)
        free = self._free(world.look())
        enough = managed & (free > ENOUGH_RATIO * hosts.minimum_bytes)
        planned = _plan(world, managed, enough, goal)
        world.ask(np.where(planned != now, planned, before))
        # The rule has no memory of its own: what has not changed anything now never will.
        rests = np.array_equal(world.target_bytes, before) and world.moving_s == 0
        return None if rests and np.array_equal(free, self._free(world)) else self.period_s

    def _free(self, seen: Look | World) -> Floats:
        return seen.available_bytes if self._equal_inputs else seen.free_bytes


def _plan(world: World, managed: Switches, enough: Switches, goal: Floats) -> Floats:
    """Give all sizes; first those whose turn it is, then all if that did not come nearer."""
    grows = goal > 0
    first = np.where(grows[:, None], managed & ~enough, enough)
    planned, rest = _share_out(world, world.assigned_bytes, first, goal)
    untouched = np.where(grows, rest >= goal, rest <= goal)
    planned, _ = _share_out(world, planned, managed, np.where(untouched, goal, 0.0))
    return planned


def _share_out(
    world: World, planned: Floats, chosen: Switches, goal: Floats
) -> tuple[Floats, Floats]:
    """Share bytes out among chosen guests; give their sizes, and what is left a host.

    A guest leaves the round when it would not move; those whom a bound or the step holds stay, so
    that what they cannot take is not given to others. Without one that leaves nothing changes in
    the next round: there are no more rounds than guests, and the first and the last.
    """
    hosts, now = world.hosts, world.assigned_bytes
    low, high, shares = hosts.minimum_bytes, hosts.maximum_bytes, hosts.weight / WEIGHT_PER_SHARE
    lowest, highest = now - MOST_CHANGE_BYTES, now + MOST_CHANGE_BYTES
    rest, grows = goal, (goal > 0)[:, None]
    open_ = chosen & (goal != 0)[:, None]
    for _ in range(now.shape[1] + 2):
        if not open_.any():
            break
        pool = np.where(open_, planned - low, 0.0).sum(axis=1) + rest
        total = np.maximum(np.where(open_, shares, 0.0).sum(axis=1), 1.0)
        wanted = np.clip(low + np.trunc((pool / total)[:, None] * shares), low, high)
        up, down = open_ & grows & (wanted > now), open_ & (wanted < now)
        new = np.where(up, np.minimum(highest, wanted), planned)
        new = np.where(down, np.maximum(lowest, wanted), new)
        changed = new - planned
        rest, planned = rest - changed.sum(axis=1), new
        goes_on = (changed != 0).any(axis=1) & (rest != 0)
        open_ = (up | down) & goes_on[:, None]
    return planned, rest
