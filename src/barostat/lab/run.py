"""Play a scenario: boot, let workloads rise and fall, balance (or not), record every second.

The clock of a run starts when the guests with `boot_at = 0` are ready. A later guest starts when
its startup memory has been set aside for it, or, without Barostat, where it fits beside what the
others have.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from barostat.core.observation import Reservation
from barostat.core.policy import Policy
from barostat.engine.loop import Balancer, Tick
from barostat.engine.observe import FixedCapacity
from barostat.engine.starting import Outcome
from barostat.errors import first_fault
from barostat.lab.report import Recorder, Report
from barostat.lab.scenario import Scenario, ScenarioGuest
from barostat.lab.stage import Stage

__all__ = ["Company", "play"]

ADMISSION_S = 60.0
"""How long a guest that comes later waits for its startup memory."""


Company = Callable[[Balancer], AbstractAsyncContextManager[Callable[[Tick], None]]]
"""Opens what runs beside a balancer; gives what is to be told of its passes."""


def _unheard(_: Tick) -> None:
    """Tell nobody."""


@asynccontextmanager
async def _alone(_: Balancer) -> AsyncIterator[Callable[[Tick], None]]:
    yield _unheard


async def play(
    stage: Stage,
    scenario: Scenario,
    *,
    seconds: float,
    moving: bool = True,
    policy: Policy | None = None,
    on_tick: Callable[[Tick, Recorder], None] = lambda _tick, _recorder: None,
    company: Company = _alone,
) -> Report:
    """Play a scenario on a stage.

    Args:
        stage: where; its guests are left running for its owner to end.
        scenario: what.
        seconds: how long, from the moment the first guests are ready.
        moving: False leaves every guest at its startup size (the static policy).
        policy: the numbers to act by.
        on_tick: told of every second.
        company: what runs beside the balancer, from before the first guest boots, and is told of
            every pass.

    Raises:
        GuestDiedError: a guest ended by itself.
        LabError: a guest could not be booted.
    """
    run = _Run(stage, scenario, seconds=seconds, moving=moving, policy=policy, on_tick=on_tick)
    return await run.play(company)


class _Run:
    def __init__(
        self,
        stage: Stage,
        scenario: Scenario,
        *,
        seconds: float,
        moving: bool,
        policy: Policy | None,
        on_tick: Callable[[Tick, Recorder], None],
    ) -> None:
        self._stage, self._scenario, self._seconds = stage, scenario, seconds
        self._moving = moving
        self._ready: dict[str, asyncio.Event] = {
            guest.name: asyncio.Event() for guest in scenario.guests
        }
        self._recorder = Recorder(scenario, stage, moving=moving)
        self._on_tick = on_tick
        self._tell: Callable[[Tick], None] = _unheard
        self._clock = asyncio.get_running_loop().time
        self._stop = asyncio.Event()
        self._balancer = Balancer(
            stage.hypervisor,
            stage.settings,
            FixedCapacity(scenario.capacity_bytes),
            policy=policy,
            on_tick=self._ticked,
            on_outcome=self._recorder.outcome,
            moving=moving,
            clock=self._clock,
        )

    async def play(self, company: Company) -> Report:
        try:
            async with company(self._balancer) as self._tell:
                await self._boot_first()
                self._recorder.start(self._clock())
                await self._play_all()
        except BaseExceptionGroup as group:
            raise first_fault(group) from group
        self._stage.check()
        return self._recorder.report()

    async def _boot_first(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for guest in self._scenario.guests:
                if guest.boot_at_s == 0:
                    tasks.create_task(self._boot(guest))

    async def _play_all(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._balancer.run(self._stop))
            others = [
                tasks.create_task(self._boot_later(guest))
                for guest in self._scenario.guests
                if guest.boot_at_s > 0
            ]
            others.append(tasks.create_task(self._play_steps()))
            try:
                async with asyncio.timeout(self._seconds):
                    await self._stop.wait()
            except TimeoutError:
                self._stop.set()
            for task in others:
                task.cancel()

    def _ticked(self, tick: Tick) -> None:
        self._recorder.tick(tick)
        self._tell(tick)
        self._on_tick(tick, self._recorder)
        self._stage.check()

    async def _boot(self, guest: ScenarioGuest) -> None:
        await self._stage.boot(guest)
        self._ready[guest.name].set()

    async def _boot_later(self, guest: ScenarioGuest) -> None:
        await asyncio.sleep(guest.boot_at_s)
        startup = guest.settings.startup_bytes
        if self._moving:
            settings = guest.settings
            asked = Reservation(guest=guest.name, size_bytes=startup, weight=settings.weight)
            answer = await self._balancer.starting.admit(asked, timeout_s=ADMISSION_S)
            fits = answer.outcome is Outcome.ADMITTED
        else:
            fits = self._recorder.promised_bytes + startup <= self._scenario.capacity_bytes
        if not fits:
            self._recorder.refused(guest.name)
            return
        try:
            await self._boot(guest)
        except BaseException:
            self._balancer.starting.release(guest.name)
            raise

    async def _play_steps(self) -> None:
        began = self._clock()
        async with asyncio.TaskGroup() as tasks:
            lanes = {guest.name for guest in self._scenario.guests}
            for name in lanes:
                tasks.create_task(self._play_lane(name, began))

    async def _play_lane(self, name: str, began: float) -> None:
        """Play one guest's steps; those that fall before it is ready are played when it is."""
        for step in self._scenario.steps:
            if step.guest == name:
                await asyncio.sleep(max(0.0, began + step.at_s - self._clock()))
                await self._ready[name].wait()
                await self._stage.play(step)
