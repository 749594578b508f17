"""Time of one decision about n guests, beside the parts that no decision can do without.

The guests are simulated and do as they are told between two decisions a second apart, so that
every decision is one that a running balancer would make. `decide` is pure: it is timed twice on the
same input, once with Python's cyclic garbage collector at work and once with it out of the way.
"""

from __future__ import annotations

import asyncio
import gc
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from barostat.core.allocation import Claim, Tier, allocate
from barostat.core.decide import Decision, GuestDecision, State, decide
from barostat.core.moves import Move, MoveKind
from barostat.core.observation import GuestObservation, Snapshot
from barostat.core.policy import Policy
from barostat.core.pressure import Status
from barostat.core.settings import MemorySettings
from barostat.engine.observe import FixedCapacity, FixedSettings, take_snapshot
from barostat.hypervisors.movers import cancel_wishes, next_wishes
from barostat.hypervisors.simulated import SimulatedHypervisor, SimulatedSpec
from barostat.units import GIB, MIB
from benchmarks.harness import Cell, Result, percentile

ROUNDS = {100: 15, 1_000: 15, 10_000: 5}
"""By the number of guests: ten thousand take a while to simulate."""

POLICY = Policy()
BOOT_BYTES, LEAST_BYTES, MAXIMUM_BYTES = 512 * MIB, 192 * MIB, 2 * GIB


class Situation(Enum):
    """What the guests do while it is decided about them."""

    CALM = "calm"  # nothing changes, nothing moves
    BUSY = "busy"  # the demand of every guest changes from look to look, there is plenty
    SHORT = "short"  # the same, and not everybody can have what it needs


SETTLING = {Situation.CALM: 8, Situation.BUSY: 4, Situation.SHORT: 14}
"""Decisions before the first that is timed: guests boot and grow, and give nothing for 10 s."""


@dataclass(slots=True, kw_only=True)
class Times:
    """What was measured: seconds, a round each; and how many guests were moved."""

    decide: list[float] = field(default_factory=list)
    without_gc: list[float] = field(default_factory=list)
    snapshot: list[float] = field(default_factory=list)
    allocate: list[float] = field(default_factory=list)
    empty: list[float] = field(default_factory=list)
    moves: list[int] = field(default_factory=list)


class Host:
    """Simulated guests, and the clock by which they live."""

    def __init__(self, count: int, situation: Situation) -> None:
        self.now_s = 0.0
        self.state = State()
        self.hypervisor = SimulatedHypervisor(lambda: self.now_s)
        short, self._calm = situation is Situation.SHORT, situation is Situation.CALM
        self._random = random.Random(count)
        for i in range(count):
            self.hypervisor.add(
                SimulatedSpec(name=f"vm{i}", boot_bytes=BOOT_BYTES, maximum_bytes=MAXIMUM_BYTES)
            )
        guests = self.hypervisor.guests
        self._uses = {guest: self._random.randint(100, 1200) * MIB for guest in guests.values()}
        self.settings = MemorySettings(
            startup_bytes=BOOT_BYTES,
            minimum_bytes=LEAST_BYTES if short else BOOT_BYTES,
            maximum_bytes=MAXIMUM_BYTES,
        )
        self._settings = FixedSettings(dict.fromkeys(guests, self.settings))
        self._host = FixedCapacity(count * (BOOT_BYTES if short else MAXIMUM_BYTES))

    def pass_a_second(self) -> None:
        """Let the workloads work for a second."""
        self.now_s += POLICY.tick_s
        for guest, use_bytes in self._uses.items():
            swing = 1.0 if self._calm else self._random.uniform(0.9, 1.1)
            guest.use(int(use_bytes * swing))

    async def look(self) -> Snapshot:
        """See all guests, as the balancer does."""
        return await take_snapshot(
            self.hypervisor, self._settings, self._host, clock=lambda: self.now_s
        )

    def carry_out(self, decision: Decision) -> None:
        """Do what was decided, and remember it."""
        for move in decision.moves:
            self._ask(move)
        self.state = decision.state

    def _ask(self, move: Move) -> None:
        guest = self.hypervisor.guests[move.guest]
        if move.kind is MoveKind.CANCEL:
            wishes = cancel_wishes(guest.devices())
        else:
            wishes = next_wishes(guest.devices(), move.to_bytes, fallback=move.by_balloon)
        for wish in wishes:
            guest.request(wish)


def run() -> Result:
    rows: list[tuple[Cell, ...]] = []
    samples: dict[str, Sequence[float]] = {}
    for situation in Situation:
        fewer_s: float | None = None
        for count in ROUNDS:
            times = asyncio.run(measure(count, situation))
            rows.append(row(count, situation, times, fewer_s))
            samples[f"{situation.value} {count}"] = times.decide
            fewer_s = statistics.median(times.decide)
    return Result(
        title="Deciding",
        columns=(
            "guests",
            "situation",
            "moves",
            "decide, ms",
            "p95, ms",
            "without GC, ms",
            "times a tenth",
            "limit: empty pass, ms",
            "allocate, ms",
            "snapshot, ms",
        ),
        rows=tuple(rows),
        note="medians of 15 rounds, of 5 with 10,000 guests, in turn. The empty pass writes a "
        "decision for each guest and decides nothing; allocating is a part of deciding, taking "
        "the snapshot is not. `times a tenth`: of the time for a tenth of the "
        "guests; 10 is linear",
        samples=samples,
    )


def row(count: int, situation: Situation, times: Times, fewer_s: float | None) -> tuple[Cell, ...]:
    decide_s = statistics.median(times.decide)
    return (
        count,
        situation.value,
        round(statistics.median(times.moves)),
        decide_s * 1e3,
        percentile(times.decide, 95) * 1e3,
        statistics.median(times.without_gc) * 1e3,
        "" if fewer_s is None else f"{decide_s / fewer_s:.1f}",
        statistics.median(times.empty) * 1e3,
        statistics.median(times.allocate) * 1e3,
        statistics.median(times.snapshot) * 1e3,
    )


async def measure(count: int, situation: Situation) -> Times:
    """Decide round after round; time it, and its parts, on the same input."""
    gc.collect()  # what the last ones left would be collected while these are timed
    host, times = Host(count, situation), Times()
    before: Decision | None = None
    for number in range(-SETTLING[situation], ROUNDS[count]):
        host.pass_a_second()
        began_s = time.perf_counter()
        snapshot = await host.look()
        snapshot_s = time.perf_counter() - began_s
        decision = decide(snapshot, host.state, POLICY)
        if number >= 0 and before is not None:
            check(situation, before, decision)
            times.snapshot.append(snapshot_s)
            times.moves.append(len(decision.moves))
            time_round(snapshot, host, decision, times, with_gc_first=number % 2 == 0)
        host.carry_out(decision)
        before = decision
    return times


def time_round(
    snapshot: Snapshot, host: Host, decision: Decision, times: Times, *, with_gc_first: bool
) -> None:
    def ours() -> object:
        return decide(snapshot, host.state, POLICY)

    for with_gc in (with_gc_first, not with_gc_first):
        if with_gc:
            times.decide.append(timed(ours))
        else:
            gc.freeze()
            gc.disable()
            times.without_gc.append(timed(ours))
            gc.enable()
            gc.unfreeze()
    claims = [claim_of(guest, host.settings) for guest in decision.guests]
    capacity_bytes = decision.capacity_bytes
    times.allocate.append(
        timed(lambda: allocate(claims, capacity_bytes=capacity_bytes, mode=POLICY.mode))
    )
    times.empty.append(timed(lambda: [empty(guest) for guest in snapshot.guests]))


def timed(job: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    job()
    return time.perf_counter() - began_s


def check(situation: Situation, before: Decision, now: Decision) -> None:
    """See that what is timed is what the table calls it."""
    changed = sum(
        was.demand_bytes != guest.demand_bytes
        for was, guest in zip(before.guests, now.guests, strict=True)
    )
    fits = {
        Situation.CALM: not now.moves and not changed,
        Situation.BUSY: now.tier is Tier.PLENTY and changed == len(now.guests),
        Situation.SHORT: now.tier is Tier.DEMAND_CUT,
    }
    if not fits[situation]:
        raise RuntimeError(
            f"{len(now.guests)} guests were to be {situation.value}: "
            f"{len(now.moves)} moves, {changed} changed, {now.tier}"
        )


def claim_of(guest: GuestDecision, settings: MemorySettings) -> Claim:
    return Claim(
        guest=guest.guest,
        minimum_bytes=settings.minimum_bytes,
        demand_bytes=guest.demand_bytes or 0,
        want_bytes=guest.want_bytes,
        maximum_bytes=settings.maximum_bytes,
        weight=settings.weight,
    )


def empty(guest: GuestObservation) -> GuestDecision:
    """Write what every decision has for every guest, without deciding anything."""
    return GuestDecision(
        guest=guest.name,
        assigned_bytes=0,
        balloon_bytes=0,
        plugged_bytes=0,
        promised_bytes=0,
        demand_bytes=None,
        available_bytes=None,
        want_bytes=0,
        target_bytes=0,
        pressure=None,
        status=Status.UNKNOWN,
        move=None,
        reasons=(),
    )
