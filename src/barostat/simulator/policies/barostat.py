"""Barostat itself: `core.decide`, fed with what is seen of each host; what it decides is done."""

from __future__ import annotations

from typing import Final

import numpy as np

from barostat.core.allocation import Mode
from barostat.core.decide import decide
from barostat.core.decision import Decision, GuestDecision, State
from barostat.core.moves import MoveKind
from barostat.core.observation import (
    Devices,
    GuestObservation,
    HostObservation,
    PlugDevice,
    RunState,
    Snapshot,
)
from barostat.core.policy import Policy
from barostat.core.settings import MemorySettings
from barostat.core.statistics import Statistics
from barostat.simulator.trace import Floats
from barostat.simulator.world import World
from barostat.units import MIB

__all__ = ["Barostat"]

BLOCK_BYTES: Final = MIB
PAGE_BYTES: Final = 4096


class _Host:
    """One host from look to look."""

    def __init__(self, world: World, number: int) -> None:
        hosts = world.hosts
        self.number = number
        self.state = State()
        self.decision: Decision | None = None
        self.observation = HostObservation(capacity_bytes=int(hosts.capacity_bytes[number]))
        lived = np.flatnonzero(hosts.lived_in[number]).tolist()
        self.places = {f"vm{place}": place for place in lived}
        self.settings = {
            name: MemorySettings(
                startup_bytes=int(hosts.startup_bytes[number, place]),
                minimum_bytes=int(hosts.minimum_bytes[number, place]),
                maximum_bytes=int(hosts.maximum_bytes[number, place]),
                buffer_percent=int(hosts.buffer_percent[number, place]),
                weight=int(hosts.weight[number, place]),
            )
            for name, place in self.places.items()
        }


class Barostat:
    """Runs the real brain, a `State` for each host.

    A host on which somebody waits for memory is looked at every second, as in life; one where all
    have what they need is not looked at again before their demand changes: what would be taken
    back in the meantime, a little at a time, nobody waits for.

    Args:
        mode: what is made equal when memory is short.
        policy: all other numbers.
        every_tick: look at every host every second, as the daemon does.
    """

    def __init__(
        self, mode: Mode = Mode.PRESSURE, *, policy: Policy | None = None, every_tick: bool = False
    ) -> None:
        self.name = "barostat" if mode is Mode.PRESSURE else "barostat-share"
        self._policy = policy or Policy(mode=mode)
        self._every_tick = every_tick
        self._hosts: list[_Host] = []
        self._changes = 0
        self._due: list[int] = []

    @property
    def period_s(self) -> float:
        """Seconds from tick to tick."""
        return self._policy.tick_s

    def last(self, host: int) -> Decision | None:
        """Give the newest decision of a host, with its reasons."""
        return self._hosts[host].decision if self._hosts else None

    def act(self, world: World) -> float | None:
        """Decide on every host where something may have changed."""
        if not self._hosts:
            self._hosts = [_Host(world, number) for number in range(len(world.hosts.vm))]
        if world.changes != self._changes or self._every_tick:
            self._changes, self._due = world.changes, list(range(len(self._hosts)))
        seen = _Seen(world)
        target = world.target_bytes.copy()
        self._due = [number for number in self._due if self._decide(number, seen, target[number])]
        world.ask(target)
        return self.period_s if self._due or self._every_tick else None

    def _decide(self, number: int, seen: _Seen, target: Floats) -> bool:
        """Decide on one host, and ask for that; say whether to look again soon."""
        host = self._hosts[number]
        decision = decide(seen.snapshot(host), host.state, self._policy)
        host.state, host.decision = decision.state, decision
        for move in decision.moves:
            if move.kind is not MoveKind.NUDGE:
                target[host.places[move.guest]] = move.to_bytes
        return any(_waits(guest) for guest in decision.guests)


def _waits(guest: GuestDecision) -> bool:
    """Say whether a guest needs more, and more is coming or may come."""
    needed = guest.demand_bytes
    return guest.target_bytes > guest.assigned_bytes and (
        guest.move is not None or needed is None or needed > guest.assigned_bytes
    )


class _Seen:
    """All guests as they are seen now, in plain numbers."""

    def __init__(self, world: World) -> None:
        look, hosts = world.look(), world.hosts
        self.now_s, self.statistics_s = world.now_s, look.at_s
        self.present = world.present.tolist()
        self.boot = _whole(hosts.startup_bytes)
        self.maximum = _whole(hosts.maximum_bytes)
        self.assigned = _whole(world.assigned_bytes)
        self.target = _whole(world.target_bytes)
        self.arrived = world.arrived_s.tolist()
        self.reported = _whole(look.assigned_bytes)
        self.available = _whole(look.available_bytes)
        self.free = _whole(look.free_bytes)
        self.cache = _whole(look.cache_bytes)
        self.swap_in = _whole(look.swap_in_bytes)
        self.swap_out = _whole(look.swap_out_bytes)

    def snapshot(self, host: _Host) -> Snapshot:
        """Say what a decision on a host may know."""
        number, present = host.number, self.present[host.number]
        return Snapshot(
            now_s=self.now_s,
            host=host.observation,
            guests=tuple(
                self._guest(name, number, place)
                for name, place in host.places.items()
                if present[place]
            ),
            settings=host.settings,
        )

    def _guest(self, name: str, host: int, place: int) -> GuestObservation:
        boot, assigned = self.boot[host][place], self.assigned[host][place]
        target, maximum = self.target[host][place], self.maximum[host][place]
        plug = PlugDevice(
            name="vmem0",
            requested_bytes=max(0, target - boot),
            size_bytes=max(0, assigned - boot),
            maximum_bytes=maximum - boot,
            block_bytes=BLOCK_BYTES,
        )
        return GuestObservation(
            name=name,
            run_state=RunState.RUNNING,
            devices=Devices(
                boot_bytes=boot,
                balloon_actual_bytes=min(assigned, boot),
                balloon_target_bytes=min(target, boot),
                deflate_on_oom=True,
                plugs=(plug,),
            ),
            statistics=self._statistics(boot, host, place),
            seen_at_s=self.now_s,
            statistics_at_s=self.statistics_s,
            disturbed_at_s=self.arrived[host][place],
        )

    def _statistics(self, boot: int, host: int, place: int) -> Statistics:
        swap_in = self.swap_in[host][place]
        total = max(boot, self.reported[host][place])  # what is ballooned stays inside
        return Statistics(
            total_bytes=total,
            available_bytes=self.available[host][place],
            free_bytes=self.free[host][place] // MIB * MIB,
            disk_caches_bytes=self.cache[host][place],
            swap_in_bytes=swap_in,
            swap_out_bytes=self.swap_out[host][place],
            major_faults=swap_in // PAGE_BYTES,
        )


def _whole(sizes: Floats) -> list[list[int]]:
    whole: list[list[int]] = sizes.astype(np.int64).tolist()
    return whole
