"""The composition root: one supervisor for the balancer, the API and what systemd is told.

What is unfinished when the daemon ends is cancelled, and guests keep what they have; what it needs
to know after a restart it reads back from the hypervisors. A pass that fails is told of and the
next is tried. The last good configuration stays until a better one is read.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar

import structlog

from barostat.config.layers import Loaded, load
from barostat.config.sections import DaemonConfig
from barostat.core.fence import FenceMode, FencePolicy
from barostat.daemon.api import api_of, history_of
from barostat.daemon.lock import beside
from barostat.daemon.logs import LogOutput
from barostat.daemon.parts import guests_of, host_policy, insight_of, pace_of
from barostat.daemon.reporter import Reporter, figures
from barostat.engine.act import Outcome
from barostat.engine.control import Control
from barostat.engine.fencing import Fencing
from barostat.engine.loop import Balancer, Tick
from barostat.engine.paging import SmartPaging
from barostat.engine.systemd import Systemd
from barostat.errors import ConfigError, InputError
from barostat.host.host import Host
from barostat.service.metrics import Metrics
from barostat.service.stream import TickStream

__all__ = ["Daemon"]

T = TypeVar("T")

UNHEALTHY_PASSES: Final = 3
"""One pass may meet a guest that just went; what fails so often in a row does not pass."""

NOTED_AFTER_S: Final = 0.1
"""The history's thread wants the interpreter at once, and the moves to be made want it more."""

AT_START_ONLY: Final = ("libvirt", "qmp", "agent", "service", "history")


class Daemon:
    """Balances the guests of one host until told to stop.

    Args:
        loaded: its configuration.
        file: where to read it anew.
        environment: its variables.
        observe: decide and tell, and move nothing.
        output: where the log goes.

    Raises:
        InputError: the configuration names what is not there.
    """

    def __init__(
        self,
        loaded: Loaded,
        *,
        file: Path | None,
        environment: Mapping[str, str],
        observe: bool,
        output: LogOutput,
    ) -> None:
        self._config = config = loaded.config
        self._file, self._environment, self._output = file, environment, output
        self._log = structlog.stdlib.get_logger("barostat.daemon")
        self._systemd = Systemd.from_environment(environment)
        self._stop, self._asked_to_reload, self._first = (asyncio.Event() for _ in range(3))
        self._failures = 0
        self._reporter = Reporter(moving=not observe)
        self._guests = guests_of(config)
        self._insight = insight_of(config.agent, self._guests, on_report=self._hear)
        self._host = Host(host_policy(config.host), silent=lambda: self._guests.faults)
        self._observing = observe
        self._fencing = Fencing(self._fence_policy(config), self._guests, self._host)
        self._paging = self._smart_paging()
        self._balancer = self._balancing()
        self._control = self._controlling()
        self._history = history_of(config.history)
        self._stream = TickStream(self._control, report=lambda: self._host.report)
        self._metrics = Metrics(
            host=lambda: self._host.report,
            faults=lambda: self._guests.faults,
            limit_faults=self._limit_faults,
            looks=lambda: self._balancer.lane.looks,
            moving=not observe,
        )
        self._api = api_of(
            config.service,
            self._control,
            history=self._history,
            stream=self._stream,
            metrics=self._metrics,
        )

    def _smart_paging(self) -> SmartPaging:
        return SmartPaging(
            self._host,
            self._guests,
            note=beside(self._config.service.socket, "paging"),
            fenced=lambda: self._fencing.policy.mode is FenceMode.HIGH,
            observing=self._observing,
        )

    def _balancing(self) -> Balancer:
        config = self._config
        balancer = Balancer(
            self._guests,
            self._guests,
            self._paging,
            policy=config.policy.policy(config.demand),
            on_tick=self._on_tick,
            on_outcome=self._on_outcome,
            on_fault=self._on_fault,
            moving=not self._observing,
            insight=self._insight,
            pace=pace_of(config.lane),
            before_grow=self._fencing.before_grow,
        )
        balancer.starting.reserve_s = config.admission.reserve_s
        return balancer

    def _controlling(self) -> Control:
        return Control(
            self._balancer,
            self._guests,
            self._guests,
            moving=not self._observing,
            pause_marker=beside(self._config.service.socket, "paused"),
            powered_off=self._guests.powered_off,
            startup=self._guests.startup,
            cards=self._insight.card,
            limit_faults=self._limit_faults,
        )

    async def run(self) -> None:
        """Work until SIGTERM or SIGINT; the second of them ends the process at once.

        Raises:
            ExceptionGroup: what kept it from working.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end, number)
        loop.add_signal_handler(signal.SIGHUP, self._asked_to_reload.set)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._balancer.run(self._stop), name="balance")
                tasks.create_task(self._insight.run(self._stop), name="hear")
                tasks.create_task(self._fencing.run(self._stop), name="fence")
                tasks.create_task(self._paging.run(self._stop), name="page")
                tasks.create_task(self._api.run(self._stop), name="serve")
                if self._history is not None:
                    tasks.create_task(self._history.run(self._stop), name="record")
                others = (
                    tasks.create_task(self._announce(), name="announce"),
                    tasks.create_task(self._reload_when_asked(), name="reload"),
                )
                await self._stop.wait()
                self._systemd.stopping()
                self._stream.close()
                for task in others:
                    task.cancel()
        finally:
            await self._guests.close()

    def _end(self, number: signal.Signals) -> None:
        if self._stop.is_set():
            os._exit(128 + number)  # whoever asks twice does not want to wait
        self._log.info(f"stopping on {signal.Signals(number).name}: guests keep what they have")
        self._stop.set()

    async def _announce(self) -> None:
        """Say that we work, once we do."""
        await self._first.wait()
        await self._api.ready.wait()
        self._systemd.ready(self._figures())
        self._log.info(f"ready at {self._config.service.socket}; {self._figures()}")

    def _fence_policy(self, config: DaemonConfig) -> FencePolicy:
        return FencePolicy() if self._observing else config.fence.policy()

    def _limit_faults(self) -> dict[str, str]:
        return self._fencing.faults | self._paging.faults

    def _hear(self, guest: str) -> None:
        self._balancer.lane.hear(guest)

    def _figures(self) -> str:
        tick = self._control.newest
        paused = "PAUSED, " if self._balancer.paused else ""
        observing = "" if self._control.moving else "observing, "
        return observing + paused + ("" if tick is None else figures(tick.decision))

    def _on_tick(self, tick: Tick) -> None:
        self._fencing.on_tick(tick)
        self._paging.on_tick(tick)
        self._control.on_tick(tick)
        self._metrics.tick(tick)
        self._stream.on_tick(tick)
        if self._history is not None:
            self._write_down(self._history.record, tick)
        self._reporter.on_tick(tick)
        if tick.snapshot.hurried:
            return  # that some are looked at does not say that all are
        if self._failures:
            self._log.info(f"well again after {self._failures} failed passes")
        self._failures = 0
        self._first.set()
        self._systemd.healthy(self._figures())

    def _on_outcome(self, outcome: Outcome) -> None:
        self._reporter.on_outcome(outcome)
        self._metrics.outcome(outcome)
        if self._history is not None:
            self._write_down(self._history.outcome, outcome)

    def _write_down(self, note: Callable[[T], None], what: T) -> None:
        """Have the history note something, once the moves of this pass are on their way."""
        asyncio.get_running_loop().call_later(NOTED_AFTER_S, note, what)

    def _on_fault(self, fault: Exception) -> None:
        """Tell of a pass that failed: whole at first, in a line while it goes on."""
        self._failures += 1
        told = fault if self._failures in (1, UNHEALTHY_PASSES) else None
        self._log.error(f"pass failed ({self._failures} in a row): {fault!r}", exc_info=told)
        if self._failures >= UNHEALTHY_PASSES:
            self._systemd.unhealthy(f"{self._failures} passes failed in a row: {fault!r}")

    async def _reload_when_asked(self) -> None:
        while True:
            await self._asked_to_reload.wait()
            self._asked_to_reload.clear()
            self._systemd.reloading()
            try:
                loaded = await asyncio.to_thread(load, self._file, environment=self._environment)
            except ConfigError as error:
                for fault in error.faults:
                    self._log.error(f"configuration: {fault}")
                self._log.error("the configuration stays as it was: the new one has faults")
            else:
                await self._take_over(loaded.config)
            self._systemd.ready(self._figures())

    async def _take_over(self, config: DaemonConfig) -> None:
        """Work by another configuration from the next pass on, as far as that is possible."""
        self._balancer.policy = config.policy.policy(config.demand)
        self._balancer.lane.pace = pace_of(config.lane)
        self._balancer.starting.reserve_s = config.admission.reserve_s
        self._host.policy = host_policy(config.host)
        self._fencing.policy = self._fence_policy(config)
        self._output.apply(config.log)
        for section in AT_START_ONLY:
            if getattr(config, section) != getattr(self._config, section):
                self._log.warning(
                    f"[{section}] has changed; that takes effect when the daemon is started anew"
                )
        try:
            await self._api.reload_certificates()
        except InputError as error:
            self._log.error(f"certificates: {error.message}; those read before are used on")
        self._log.info("the configuration was read anew")
