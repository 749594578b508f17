"""What Prometheus scrapes: one collector that reads the newest pass. No series outlives its VM.

A pass hands over frozen values and costs next to nothing; text is made of them when somebody asks,
off the event loop, and once a pass however many ask. Nothing here touches a guest.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from fastapi import FastAPI, Response
from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from barostat.engine.act import Outcome
from barostat.engine.loop import Tick
from barostat.errors import HypervisorError
from barostat.host.host import HostReport
from barostat.service.metrics_guests import guest_families
from barostat.service.metrics_host import host_families
from barostat.service.metrics_seen import Account, Seen, ended, looked

__all__ = ["Metrics", "add_metrics_route"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""Prometheus's text format, which every scraper reads."""

Faults = Mapping[str, HypervisorError]


def _no_host() -> HostReport | None:
    return None


def _no_faults() -> Faults:
    return MappingProxyType({})


class Metrics:
    """Keeps what is exported up to date, and writes it.

    Args:
        host: says how the box was last seen, if it is looked at.
        faults: says what should be seen and is not (`Hypervisor.faults`).
        limit_faults: says of which guests a limit does not stand (`Control.limit_faults`).
        looks: says how many looks at single guests there were between passes.
        moving: what is decided is done.
        epoch_clock: seconds since the epoch.
    """

    def __init__(
        self,
        *,
        host: Callable[[], HostReport | None] = _no_host,
        faults: Callable[[], Faults] = _no_faults,
        limit_faults: Callable[[], Mapping[str, str]] = dict,
        looks: Callable[[], int] = int,
        moving: bool = True,
        epoch_clock: Callable[[], float] = time.time,
    ) -> None:
        self._host = host
        self._faults = faults
        self._limit_faults = limit_faults
        self._looks = looks
        self._moving = moving
        self._epoch_clock = epoch_clock
        self._seen = Seen(moving=moving)
        self._outcomes: dict[str, list[Outcome]] = {}
        self._written: tuple[Seen, bytes] | None = None

    def tick(self, tick: Tick) -> None:
        """Take in a pass. One out of turn is only counted: it does not say how all VMs stand."""
        before, outcomes = self._seen, self._outcomes
        self._outcomes = {}
        accounts = _brought_up(before.accounts, tick, outcomes)
        if tick.snapshot.hurried:
            self._seen = replace(before, hurried=before.hurried + 1, accounts=accounts)
            return
        self._seen = Seen(
            tick=tick,
            at_s=self._epoch_clock(),
            ticks=before.ticks + 1,
            observing=before.observing.and_one_of(tick.observe_s),
            deciding=before.deciding.and_one_of(tick.decide_s),
            hurried=before.hurried,
            looks=self._looks(),
            accounts=accounts,
            host=self._host(),
            faults=len(self._faults().keys() - {seen.name for seen in tick.snapshot.guests}),
            limit_faults=len(self._limit_faults()),
            moving=self._moving,
        )

    def outcome(self, outcome: Outcome) -> None:
        """Take in the end of an operation; it is counted at the next pass."""
        self._outcomes.setdefault(outcome.move.guest, []).append(outcome)

    def render(self) -> bytes:
        """Write all metrics in Prometheus's text format. May run in any thread."""
        seen, written = self._seen, self._written
        if written is None or written[0] is not seen:
            written = (seen, generate_latest(_Families(seen)))
            self._written = written
        return written[1]


def _brought_up(
    before: Mapping[str, Account], tick: Tick, outcomes: Mapping[str, list[Outcome]]
) -> dict[str, Account]:
    """Bring the account of every guest that is there up to a pass."""
    accounts = {}
    for seen, decided in zip(tick.snapshot.guests, tick.decision.guests, strict=True):
        account = before.get(seen.name)
        if account is not None:
            for outcome in outcomes.get(seen.name, ()):
                account = ended(account, outcome)
        goal = tick.decision.state.guests[seen.name].wish.goal_bytes
        accounts[seen.name] = looked(account, seen, decided, goal_bytes=goal)
    return accounts


class _Families(Collector):
    def __init__(self, seen: Seen) -> None:
        self._seen = seen

    def collect(self) -> Iterator[Metric]:
        yield from host_families(self._seen)
        yield from guest_families(self._seen)


def add_metrics_route(app: FastAPI, metrics: Metrics) -> None:
    """Serve the metrics as /metrics, where scrapers look for them."""
    one_at_a_time = asyncio.Lock()

    @app.get("/metrics", include_in_schema=False)
    async def _metrics() -> Response:
        async with one_at_a_time:
            text = await asyncio.to_thread(metrics.render)
        return Response(text, media_type=CONTENT_TYPE)
