"""The balancer: one tick is one pass, observe -> decide -> act, at a steady pace.

Between two ticks the fast lane may have a pass of its own, for guests that cannot wait: the same
`decide`, over what was seen last. Every decision starts from what the last one left, whichever it
was; no pass waits for another. One task group supervises all that runs: the loop, the lane and the
operations they started. A tick that takes too long is followed by the next at once, never by two.
When it stops, guests keep what they have.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial

from barostat.core.decide import Decision, State, decide, unmoved
from barostat.core.observation import Snapshot
from barostat.core.policy import Policy
from barostat.engine.act import Actor, Outcome
from barostat.engine.lane import Lane, Pace
from barostat.engine.observe import HostSource, SettingsSource, believed, take_snapshot
from barostat.engine.starting import Starting
from barostat.guest.base import HostWord, Insight
from barostat.hypervisors.base import Hypervisor

__all__ = ["Balancer", "Tick"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One pass: what was seen, what was decided, and how long each took, in seconds.

    `decide(snapshot, state, policy)` is the decision, now and whenever it is made again. A pass
    out of turn has `snapshot.hurried` guests, and took no time to observe.
    """

    snapshot: Snapshot
    state: State
    policy: Policy
    decision: Decision
    observe_s: float
    decide_s: float


class Balancer:
    """Balances the guests of one hypervisor.

    Args:
        hypervisor: whose guests to balance.
        settings: what their operators want.
        host: what the box has.
        policy: the numbers to act by.
        on_tick: told of every pass.
        on_outcome: told of the end of every operation.
        on_fault: told of every pass that failed, and the next is tried; None ends the run with it.
        moving: False decides and tells, and moves nothing; then nothing is out of turn.
        clock: monotonic seconds.
        insight: what is heard from inside guests, and the way to tell them of their memory.
        pace: how much may be done between two ticks.
        before_grow: makes room for a guest to grow, before it is asked to.

    Attributes:
        lane: what happens between two ticks; to be told of every report from inside a guest.
        policy: the numbers to act by; may be replaced between two passes.
        starting: the VMs that are about to start: where to ask whether one may.
        paused: the operator holds every guest at its size.
    """

    def __init__(
        self,
        hypervisor: Hypervisor,
        settings: SettingsSource,
        host: HostSource,
        *,
        policy: Policy | None = None,
        on_tick: Callable[[Tick], None] = lambda _: None,
        on_outcome: Callable[[Outcome], None] = lambda _: None,
        on_fault: Callable[[Exception], None] | None = None,
        moving: bool = True,
        clock: Callable[[], float] = time.monotonic,
        insight: Insight | None = None,
        pace: Pace = Pace(),  # noqa: B008 - frozen
        before_grow: Callable[[str, int], Awaitable[None]] | None = None,
    ) -> None:
        self._hypervisor = hypervisor
        self._settings = settings
        self._host = host
        self.policy = policy or Policy()
        self.paused = False
        self._on_tick = on_tick
        self._on_outcome = on_outcome
        self._on_fault = on_fault
        self._moving = moving
        self._clock = clock
        self._insight = insight
        self._before_grow = before_grow
        self.lane = Lane(hypervisor, insight=insight, pace=pace, clock=clock)
        self._state = State()
        self.starting = Starting(clock=clock)

    async def run(self, stop: asyncio.Event) -> None:
        """Balance until told to stop; then cancel what is unfinished and leave guests as they are.

        Raises:
            ExceptionGroup: a fault of our own; guests keep what they have.
        """
        async with asyncio.TaskGroup() as tasks:
            actor = Actor(
                self._hypervisor,
                tasks,
                clock=self._clock,
                on_outcome=self._on_outcome,
                insight=self._insight,
                before_grow=self._before_grow,
            )
            lane = tasks.create_task(self.lane.run(partial(self._hurry, actor)), name="fast lane")
            try:
                await self._keep_pace(actor, stop)
            finally:
                lane.cancel()
                await actor.settle()

    async def _keep_pace(self, actor: Actor, stop: asyncio.Event) -> None:
        due_s = self._clock()
        while not stop.is_set():
            await self._pass(actor, self.look())
            due_s = max(due_s + self.policy.tick_s, self._clock())
            try:
                async with asyncio.timeout(due_s - self._clock()):
                    await stop.wait()
            except TimeoutError:
                continue

    async def _hurry(self, actor: Actor, seen: Snapshot) -> None:
        """Do a pass out of turn, unless the operator has paused the host since the tick."""
        if not self.paused:
            await self._pass(actor, self._look_no_more(seen))

    async def _pass(self, actor: Actor, decided: Awaitable[Tick]) -> None:
        """Do one pass: the boundary at which a fault of one pass ends."""
        try:
            tick = await decided
        except Exception as fault:
            if self._on_fault is None:
                raise
            self._on_fault(fault)
            return
        if self._moving:
            actor.perform(tick.decision.moves)
            self.lane.passed(tick.snapshot, tick.decision, tick.policy)
            self._tell_guests(tick)

    async def look(self) -> Tick:
        """Do one pass without acting: observe, decide, and tell."""
        began_s = self._clock()
        snapshot = await take_snapshot(
            self._hypervisor,
            self._settings,
            self._host,
            clock=self._clock,
            paused=self.paused,
            insight=self._insight,
        )
        # While all were looked at, the lane may have looked at some of them, and decided on it:
        # a VM may have been admitted meanwhile, and keeps what was set aside for it.
        snapshot = replace(
            snapshot,
            guests=believed(self.lane.freshest(snapshot.guests), snapshot.host),
            reservations=self.starting.reservations(),
        )
        tick = self._decide(snapshot, observe_s=self._clock() - began_s)
        self.starting.seen(snapshot.guests)
        return tick

    async def _look_no_more(self, seen: Snapshot) -> Tick:
        """Decide on what was seen; what has been asked of us since then counts."""
        snapshot = replace(seen, reservations=self.starting.reservations())
        return self._decide(snapshot, observe_s=0.0)

    def _decide(self, snapshot: Snapshot, *, observe_s: float) -> Tick:
        """Decide, starting from what the last decision left, and tell."""
        began_s, state, policy = self._clock(), self._state, self.policy
        decision = decide(snapshot, state, policy)
        self._state = decision.state if self._moving else unmoved(decision)
        if self._moving:
            self.starting.decided(snapshot, decision)
        tick = Tick(
            snapshot=snapshot,
            state=state,
            policy=policy,
            decision=decision,
            observe_s=observe_s,
            decide_s=self._clock() - began_s,
        )
        self._on_tick(tick)
        return tick

    def _tell_guests(self, tick: Tick) -> None:
        """Tell guests what they have and may have; whoever passes it on knows what is news."""
        if self._insight is None or tick.snapshot.hurried:
            return
        for guest in tick.decision.guests:
            settings = tick.snapshot.settings.get(guest.guest)
            if settings is None or not settings.enabled:
                continue
            word = HostWord(
                startup_bytes=settings.startup_bytes,
                minimum_bytes=settings.minimum_bytes,
                maximum_bytes=settings.maximum_bytes,
                assigned_bytes=guest.assigned_bytes,
                status=guest.status,
            )
            self._insight.tell(guest.guest, word)

    async def watch(self, looks: int, *, every_s: float) -> Tick:
        """Look several times without acting, and say what the last look decided."""
        for _ in range(looks - 1):
            await self.look()
            await asyncio.sleep(every_s)
        return await self.look()
