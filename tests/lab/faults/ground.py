"""Small real guests that are balanced while something goes wrong, and books that nobody cooks.

The books are kept from what QEMU says and from what was asked of it, not from the ledger: at every
pass no more is taken or granted than there is, nobody is asked to have less than its minimum, and
at the end no guest is missing that the test did not end itself.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from barostat.config.settings_file import SettingsFolder, write_settings
from barostat.core.decide import GuestDecision
from barostat.core.moves import MoveKind
from barostat.core.observation import GuestObservation, HostObservation, RunState
from barostat.core.policy import Policy
from barostat.core.reasons import ReasonCode
from barostat.core.settings import MemorySettings
from barostat.engine.lane import Pace
from barostat.engine.loop import Balancer, Tick
from barostat.engine.observe import HostSource
from barostat.guest.agents import Agents
from barostat.guest.base import Insight
from barostat.hypervisors.qmp import QmpHypervisor
from barostat.lab.fleet import Kit, Lab
from barostat.lab.guests import GuestSpec
from barostat.units import MIB, format_size

__all__ = [
    "MINIMUM_BYTES",
    "Books",
    "Capacity",
    "Ground",
    "alarms",
    "balanced",
    "codes",
    "decided",
    "ground",
    "seen",
    "settings",
    "spec",
    "state",
]

BOOT_BYTES: Final = 256 * MIB
MINIMUM_BYTES: Final = 128 * MIB
MAXIMUM_BYTES: Final = 640 * MIB
CAPACITY_MIB: Final = 960
TIGHT_MIB: Final = 512
"""All of two guests' boot RAM, and no more."""

PATIENCE_S: Final = 60.0
"""Alone everything is seen within 10 s; a machine that is busy with other tests takes longer."""
GROWS_BYTES: Final = 64 * MIB
"""What a neighbour takes more to show that it is served."""


def settings(*, weight: int = 5000, minimum_bytes: int = MINIMUM_BYTES) -> MemorySettings:
    """Say what the operator of every guest here wants."""
    return MemorySettings(
        startup_bytes=BOOT_BYTES,
        minimum_bytes=minimum_bytes,
        maximum_bytes=MAXIMUM_BYTES,
        weight=weight,
    )


def spec(name: str, *, swap_mib: int = 256, userland: bool = False) -> GuestSpec:
    """Say what to boot."""
    return GuestSpec(
        name=name,
        boot_bytes=BOOT_BYTES,
        maximum_bytes=MAXIMUM_BYTES,
        swap_bytes=swap_mib * MIB,
        userland=userland,
    )


@dataclass(slots=True)
class Capacity:
    """A host whose memory may become less."""

    capacity_bytes: int

    async def observe(self, guests: Sequence[GuestObservation]) -> HostObservation:
        """Say what may be handed out now."""
        del guests
        return HostObservation(capacity_bytes=self.capacity_bytes)


@dataclass(slots=True)
class Books:
    """What is taken and granted, added up anew at every pass.

    Attributes:
        excused: who else than we took more than there is, or made a guest too small; blank while
            nobody did.
        breaches: what must not have happened.
        passes: how many had all guests' turn.
    """

    excused: str = ""
    breaches: list[str] = field(default_factory=list)
    passes: int = 0
    _granted: dict[str, int] = field(default_factory=dict)

    def on_tick(self, tick: Tick) -> None:
        """Enter one pass."""
        self.passes += not tick.snapshot.hurried
        seen = {guest.name: guest for guest in tick.snapshot.guests}
        self._granted = {name: size for name, size in self._granted.items() if name in seen}
        for move in tick.decision.moves:
            self._enter(tick, move.guest, move.kind, move.to_bytes)
        held = {name: self._held_bytes(guest) for name, guest in seen.items()}
        over_bytes = sum(held.values()) - tick.snapshot.host.capacity_bytes
        grown = [move.guest for move in tick.decision.moves if move.kind is MoveKind.GROW]
        if over_bytes > 0 and (grown or not self.excused):
            sizes = ", ".join(f"{name} {format_size(size)}" for name, size in held.items())
            self.breaches.append(f"{format_size(over_bytes)} too much for {grown}: {sizes}")

    def _enter(self, tick: Tick, guest: str, kind: MoveKind, to_bytes: int) -> None:
        if kind is not MoveKind.NUDGE:
            self._granted[guest] = to_bytes
        wanted = tick.snapshot.settings.get(guest)
        if kind is MoveKind.SHRINK and wanted is not None and to_bytes < wanted.minimum_bytes:
            self.breaches.append(f"{guest} asked to have {format_size(to_bytes)}")

    def _held_bytes(self, guest: GuestObservation) -> int:
        """Say what a guest has, was asked to have by whomever, or was granted by us."""
        devices = guest.devices
        target = devices.balloon_target_bytes or devices.balloon_actual_bytes
        plugged = sum(max(plug.size_bytes, plug.requested_bytes) for plug in devices.plugs)
        asked = max(devices.balloon_actual_bytes, target) + plugged
        return max(asked, self._granted.get(guest.name, 0))


class Ground:
    """Guests, and what balances them.

    Attributes:
        lab: boots them.
        hypervisor: sees and resizes them.
        books: added up at every pass.
        ended: guests that the test ended, or had end.
    """

    def __init__(self, lab: Lab, hypervisor: QmpHypervisor, books: Books) -> None:
        self.lab = lab
        self.hypervisor = hypervisor
        self.books = books
        self.ended: set[str] = set()
        self._newest: Tick | None = None
        self._news = asyncio.Event()

    def on_tick(self, tick: Tick) -> None:
        """Take note of a pass."""
        self.books.on_tick(tick)
        self._newest = tick
        self._news.set()
        self._news = asyncio.Event()

    @property
    def newest(self) -> Tick:
        """The newest pass."""
        assert self._newest is not None
        return self._newest

    async def until(
        self, fits: Callable[[Tick], object], what: str, *, timeout_s: float = PATIENCE_S
    ) -> Tick:
        """Wait for a pass that fits; the newest may."""
        try:
            async with asyncio.timeout(timeout_s):
                while self._newest is None or not fits(self._newest):
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"never seen: {what}; {self._described()}") from None
        return self._newest

    def _described(self) -> str:
        if self._newest is None:
            return "nothing at all"
        states = {guest.name: guest.run_state for guest in self._newest.snapshot.guests}
        return "; ".join(
            f"{item.guest} {states[item.guest].value} {format_size(item.assigned_bytes)} "
            f"demand {item.demand_bytes} {[reason.code.value for reason in item.reasons]}"
            for item in self._newest.decision.guests
        )

    async def passes(self, number: int) -> Tick:
        """Wait for so many passes more, and give the last."""
        last = self.books.passes + number
        return await self.until(lambda _: self.books.passes >= last, f"{number} passes more")

    async def well(self, *names: str) -> Tick:
        """Wait until guests are seen to run and have said how they are."""
        return await self.until(
            lambda tick: all(
                (guest := seen(tick, name)) is not None
                and guest.run_state is RunState.RUNNING
                and guest.statistics is not None
                and tick.snapshot.now_s - guest.seen_at_s < 1
                for name in names
            ),
            f"{', '.join(names)} well",
        )

    async def held(self, name: str, code: ReasonCode, *, timeout_s: float = PATIENCE_S) -> Tick:
        """Wait until a guest is held, or moved, for a reason that its operator then reads."""
        return await self.until(
            lambda tick: code in codes(tick, name), f"{name}: {code.value}", timeout_s=timeout_s
        )

    async def serves(self, name: str) -> Tick:
        """Have a neighbour need more, and see that it gets it."""
        tick = await self.well(name)
        before = decided(tick, name).assigned_bytes
        await self.hold(name, (before + GROWS_BYTES) // MIB)
        return await self.until(
            lambda tick: decided(tick, name).assigned_bytes >= before + GROWS_BYTES,
            f"{name} served with more than {format_size(before)}",
        )

    async def hold(self, name: str, mib: int, *, hot: float = 1.0) -> None:
        """Tell a guest's workload to hold so much."""
        await self.lab.guests[name].hold(mib * MIB, hot=hot)

    async def inside(self, name: str, command: str) -> None:
        """Have a guest with a userland do something that it may not live to tell of."""
        later = f"(sleep 2; {command}) > /dev/null 2>&1 &"
        await self.lab.guests[name].run(["sh", "-c", later], timeout_s=PATIENCE_S)

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a guest's QEMU a signal."""
        pid = self.lab.guests[name].pid
        assert pid is not None
        os.kill(pid, number)

    async def boot(self, wanted: GuestSpec) -> None:
        """Boot one guest more."""
        write_settings(self.lab.folder / f"{wanted.name}.toml", settings())
        await self.lab.boot(wanted)

    def check(self) -> None:
        """See that nothing happened that must not: promises, minimums, lives."""
        assert self.books.passes > 0
        assert self.books.breaches == []
        for name, guest in self.lab.guests.items():
            if name in self.ended:
                continue
            guest.check()
            assert guest.witness is not None
            assert (guest.witness.oom_kills, guest.witness.holder_deaths) == (0, 0), name


def seen(tick: Tick, name: str) -> GuestObservation | None:
    """Find a guest in what was seen, None if it is not there."""
    return next((guest for guest in tick.snapshot.guests if guest.name == name), None)


def state(tick: Tick, name: str) -> RunState | None:
    """Say what a guest is doing, None if it is not there."""
    guest = seen(tick, name)
    return None if guest is None else guest.run_state


def decided(tick: Tick, name: str) -> GuestDecision:
    """Find what was decided of a guest."""
    [found] = [guest for guest in tick.decision.guests if guest.guest == name]
    return found


def codes(tick: Tick, name: str) -> set[ReasonCode]:
    """Say for which reasons a guest is moved or held, as its operator reads them."""
    found = (guest for guest in tick.decision.guests if guest.guest == name)
    return {reason.code for guest in found for reason in guest.reasons}


def alarms(tick: Tick) -> set[ReasonCode]:
    """Say what the operator of the host is told."""
    return {alarm.code for alarm in tick.decision.alarms}


@asynccontextmanager
async def ground(
    kit: Kit,
    *guests: GuestSpec,
    capacity_mib: int = CAPACITY_MIB,
    host: HostSource | None = None,
    policy: Policy | None = None,
    pace: Pace = Pace(),  # noqa: B008 - frozen
    agents: bool = False,
) -> AsyncIterator[Ground]:
    """Boot guests and balance them; at the end, check the books. See `balanced`."""
    async with Lab(guests, kit=kit) as lab:
        for guest in guests:
            write_settings(lab.folder / f"{guest.name}.toml", settings())
        names = [guest.name for guest in guests]
        async with balanced(
            lab, *names, capacity_mib=capacity_mib, host=host, policy=policy, pace=pace,
            agents=agents,
        ) as place:  # fmt: skip
            yield place


@asynccontextmanager
async def balanced(
    lab: Lab,
    *names: str,
    capacity_mib: int = CAPACITY_MIB,
    host: HostSource | None = None,
    policy: Policy | None = None,
    pace: Pace = Pace(),  # noqa: B008 - frozen
    agents: bool = False,
) -> AsyncIterator[Ground]:
    """Balance the guests of a lab; at the end, check the books.

    Args:
        lab: has booted them, and has their settings in its folder.
        names: those that are waited for.
        capacity_mib: what may be handed out, unless `host` says it.
        host: the box.
        policy: the numbers to act by; by default they are Barostat's own, but that a guest may be
            taken from a second after it was first seen.
        pace: what may be done between two ticks.
        agents: hear Barostat's agents in the guests.
    """
    hypervisor = QmpHypervisor(directory=lab.folder)

    def hear(guest: str) -> None:
        balancer.lane.hear(guest)

    inside = Agents(sockets=lambda: hypervisor.agents, on_report=hear)
    books = Books()
    place = Ground(lab, hypervisor, books)
    balancer = Balancer(
        hypervisor,
        SettingsFolder(lab.folder),
        host or Capacity(capacity_mib * MIB),
        policy=policy or Policy(settle_s=1.0),
        pace=pace,
        on_tick=place.on_tick,
        insight=Insight([inside]) if agents else None,
    )
    stop = asyncio.Event()
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(balancer.run(stop))
            if agents:
                tasks.create_task(inside.run(stop))
            try:
                await place.well(*names)
                yield place
            finally:
                stop.set()
    finally:
        await hypervisor.close()
    place.check()
