"""The fast lane: guests that cannot wait for the tick are looked at, heard, and decided on at once.

Whoever could be out of memory before the next tick is looked at before it can be, and whoever has a
program of ours in it is heard when that speaks. A look that finds a guest in need is followed by a
decision out of turn: the same `decide`, over the newest snapshot, for all that are in need at that
moment, with grants from memory in hand alone. The tick then takes from the others what is missing.
Everything is bounded, by `Pace`; a guest that a look does not reach is left to the tick, and one
for which a decision out of turn could do nothing waits for it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final

from barostat.core.decision import Decision
from barostat.core.hurry import hurries
from barostat.core.observation import GuestObservation, RunState, Snapshot
from barostat.core.policy import Policy
from barostat.engine.observe import deepened
from barostat.engine.sampling import Pace, Sampler, look_again_s
from barostat.errors import HypervisorError, UnknownGuestError
from barostat.guest.base import Insight
from barostat.hypervisors.base import Hypervisor

__all__ = ["Lane", "Pace"]

LOOK_DEADLINE_S: Final = 1.0
"""A look that takes longer is of no use: the tick has come."""

GATHER_S: Final = 0.02
"""Looks under way are waited for this long, so that guests that jump together are weighed together:
most answer within 10 ms."""

Decide = Callable[[Snapshot], Awaitable[None]]


class Lane:
    """What happens between two ticks.

    Args:
        hypervisor: whose guests to look at.
        insight: what is heard from inside guests.
        pace: how much may be done.
        clock: monotonic seconds.

    Attributes:
        pace: may be replaced at any time.
        looks: how many looks at single guests there were.
    """

    def __init__(
        self,
        hypervisor: Hypervisor,
        *,
        insight: Insight | None,
        pace: Pace,
        clock: Callable[[], float],
    ) -> None:
        self.pace = pace
        self.looks = 0
        self._hypervisor = hypervisor
        self._insight = insight
        self._clock = clock
        self._sampler = Sampler()
        self._newest: tuple[Snapshot, Decision, Policy] | None = None
        self._turn_s = -math.inf  # when the newest decision was made that was in its turn
        self._seen: dict[str, GuestObservation] = {}
        self._spoke_s: dict[str, float] = {}
        self._hurried: set[str] = set()
        self._waiting: set[str] = set()
        self._woken, self._asked, self._quiet = (asyncio.Event() for _ in range(3))

    # What the balancer tells.

    def freshest(self, guests: Sequence[GuestObservation]) -> tuple[GuestObservation, ...]:
        """Put in what was seen of guests since they were looked at all together."""
        return tuple(_later(guest, self._seen.get(guest.name, guest)) for guest in guests)

    def passed(self, snapshot: Snapshot, decision: Decision, policy: Policy) -> None:
        """Take over what was seen and decided; from now on that is the newest."""
        self._newest = (snapshot, decision, policy)
        if snapshot.hurried:
            served = {move.guest for move in decision.moves}
            self._waiting |= snapshot.hurried - served
            return
        now_s, before, self._turn_s = self._clock(), self._seen, snapshot.now_s
        self._seen = {guest.name: guest for guest in snapshot.guests}
        self._hurried.clear()
        self._waiting.clear()
        self._sampler.keep(self._seen)
        self._spoke_s = {name: at_s for name, at_s in self._spoke_s.items() if name in self._seen}
        for guest in snapshot.guests:
            self._plan(before.get(guest.name), guest, at_s=now_s)
        self._woken.set()

    def hear(self, guest: str) -> None:
        """Take note that a program in a guest has spoken."""
        base = self._seen.get(guest)
        if base is None or self._insight is None:
            return
        self._spoke_s[guest] = self._clock()
        heard = deepened(base, self._insight)
        sizes_are_known = self._clock() - base.seen_at_s < self.pace.look_s
        believed = heard.statistics_at_s > base.statistics_at_s
        in_need = believed and self._in_need(heard)
        if believed and (sizes_are_known or not in_need):
            self._put(heard, in_need=in_need)
        elif not sizes_are_known and self._may_gain(base):
            # What it said is weighed, or can be true at all, with the sizes that it has by now.
            self._sampler.urge(guest, now_s=self._clock(), in_need=in_need)
            self._woken.set()

    # What it does by itself.

    async def run(self, decide: Decide) -> None:
        """Look, hear, and have decided out of turn what cannot wait, until cancelled.

        Args:
            decide: decides on a snapshot, has that carried out, and tells `passed`.

        Raises:
            ExceptionGroup: a fault of our own.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_looking(tasks), name="look")
            tasks.create_task(self._keep_deciding(decide), name="hurry")

    async def _keep_looking(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            self._woken.clear()
            for guest in self._sampler.take(self._clock(), pace=self.pace):
                self._quiet.clear()
                self.looks += 1
                tasks.create_task(self._look(guest), name=f"look {guest}")
            try:
                async with asyncio.timeout(self._sampler.wait_s(self._clock(), pace=self.pace)):
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def _look(self, guest: str) -> None:
        began_s = self._clock()
        seen = await self._answer(guest)
        self._sampler.done(guest)
        before = self._seen.get(guest)
        if seen is not None and before is not None and seen.seen_at_s >= before.seen_at_s:
            self._plan(before, seen, at_s=began_s)
            self._put(seen, in_need=self._in_need(seen))
        if not self._sampler.looking:
            self._quiet.set()

    async def _answer(self, guest: str) -> GuestObservation | None:
        """Look at one guest; whatever is the matter with it, the tick finds out."""
        try:
            async with asyncio.timeout(LOOK_DEADLINE_S):
                return deepened(await self._ask(guest), self._insight)
        except (HypervisorError, UnknownGuestError, TimeoutError):
            return None

    async def _ask(self, guest: str) -> GuestObservation:
        """Ask for what is not known: the sizes of one that speaks by itself, else everything."""
        known = self._seen.get(guest)
        if known is None or not self._just_spoke(guest):
            return await self._hypervisor.look(guest, now_s=self._clock())
        devices = await self._hypervisor.devices(guest)
        known = self._seen.get(guest, known)
        return replace(known, devices=devices, seen_at_s=self._clock())

    def _just_spoke(self, guest: str) -> bool:
        """Say whether a program in it has just said what there is to ask."""
        return self._clock() - self._spoke_s.get(guest, -math.inf) < self.pace.look_s

    def _put(self, seen: GuestObservation, *, in_need: bool) -> None:
        """Put what is seen of a guest in the place of what was, and have it decided on."""
        self._seen[seen.name] = seen
        if in_need:
            self._hurried.add(seen.name)
            self._asked.set()

    async def _keep_deciding(self, decide: Decide) -> None:
        not_before_s = -math.inf
        while True:
            await self._asked.wait()
            await asyncio.sleep(max(0.0, not_before_s - self._clock()))
            await self._gather()
            self._asked.clear()
            began_s, snapshot = self._clock(), self._snapshot()
            if snapshot is None:
                continue
            await decide(snapshot)
            not_before_s = self.pace.next_pass_s(began_s, self._clock() - began_s)

    async def _gather(self) -> None:
        """Wait for the looks that are under way, but not for those that hang."""
        if not self._sampler.looking:
            return
        try:
            async with asyncio.timeout(GATHER_S):
                await self._quiet.wait()
        except TimeoutError:
            return

    def _snapshot(self) -> Snapshot | None:
        """Say on what to decide, if there is anybody that cannot wait."""
        hurried, self._hurried = frozenset(self._hurried), set()
        if self._newest is None or not hurried:
            return None
        newest, _, policy = self._newest
        if self._clock() - self._turn_s > policy.stale_s:
            return None  # the host and the others were seen too long ago to grant anybody anything
        guests = tuple(self._seen[guest.name] for guest in newest.guests)
        return replace(newest, now_s=self._clock(), guests=guests, hurried=hurried)

    # What it makes of what it knows.

    def _plan(
        self, before: GuestObservation | None, guest: GuestObservation, *, at_s: float
    ) -> None:
        """Say when to look at a guest again."""
        again_s = None
        if self._newest is not None and self._may_gain(guest):
            tick_s = self._newest[2].tick_s
            again_s = look_again_s(before, guest, pace=self.pace, tick_s=tick_s)
        self._sampler.seen(guest.name, at_s=at_s, again_s=again_s)

    def _may_gain(self, guest: GuestObservation) -> bool:
        """Say whether anything could be done for a guest before the next tick."""
        if self._newest is None or not self.pace.on or guest.name in self._waiting:
            return False
        snapshot, decision, _ = self._newest
        settings = snapshot.settings.get(guest.name)
        if settings is None or not settings.enabled or settings.paused or snapshot.paused:
            return False
        if guest.unfit is not None or guest.name in snapshot.host.unfit:
            return False
        size_bytes = guest.devices.assigned_bytes
        state = decision.state.guests.get(guest.name)
        if state is not None and state.wish.goal_bytes < size_bytes:
            return True  # it can be let off what was asked of it
        in_hand = decision.in_hand_bytes > 0 and snapshot.host.granting
        return in_hand and size_bytes < settings.maximum_bytes

    def _in_need(self, guest: GuestObservation) -> bool:
        """Say whether a guest needs more at once, and may have it."""
        if self._newest is None or not self._may_gain(guest):
            return False
        snapshot, decision, policy = self._newest
        return hurries(
            guest,
            snapshot.settings.get(guest.name),
            decision.state.guests.get(guest.name),
            now_s=self._clock(),
            tight=decision.state.tight,
            policy=policy,
        )


def _later(guest: GuestObservation, other: GuestObservation) -> GuestObservation:
    """Say which of two looks at a guest is the later one, if both have been; else the first."""
    if guest.run_state is RunState.UNREACHABLE:
        return guest  # that is no look: it shows what was seen at some time before
    later = (
        other.seen_at_s > guest.seen_at_s
        and other.statistics_at_s >= guest.statistics_at_s
        and other.disturbed_at_s >= guest.disturbed_at_s
    )
    return other if later else guest
