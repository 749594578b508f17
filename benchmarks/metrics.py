"""Time of exporting metrics of n guests: what every pass pays, and what a scrape pays.

The limit is what no exporter can do without: writing as many lines by the same client, and beside a
pass one that only walks over its guests. Twenty scrapers of the same pass cost one writing.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics

from prometheus_client import generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from barostat.core.decide import decide
from barostat.engine.loop import Tick
from barostat.service.metrics import Metrics
from benchmarks.decide import POLICY, SETTLING, Host, Situation
from benchmarks.harness import Cell, Result, in_turn

GUESTS = (30, 300, 1_000)
ROUNDS = 15
SCRAPERS = 20


class Lines(Collector):
    """As many lines as a scrape has, with nothing behind them."""

    def __init__(self, lines: int) -> None:
        family = GaugeMetricFamily("barostat_lines_bytes", "Lines.", labels=["vm"])
        for number in range(lines):
            family.add_metric((f"vm{number}",), 123_456_789)
        self._families = [family]

    def collect(self) -> list[GaugeMetricFamily]:
        return self._families


class Export:
    """Metrics of some passes, and the parts that are timed."""

    def __init__(self, ticks: list[Tick]) -> None:
        self._ticks = itertools.cycle(ticks)
        self._tick = ticks[0]
        self._metrics = Metrics()
        self._metrics.tick(ticks[0])
        self.text = self._metrics.render()
        self.lines = self.text.count(b"\n")
        self._limit = Lines(self.lines)

    def take_in(self) -> None:
        self._metrics.tick(next(self._ticks))

    def walk(self) -> object:
        """Look at each guest, and at what is remembered of it."""
        decision = self._tick.decision
        return {
            seen.name: (seen.devices.boot_bytes, decided, decision.state.guests[seen.name])
            for seen, decided in zip(self._tick.snapshot.guests, decision.guests, strict=True)
        }

    def scrape(self) -> None:
        self._metrics.render()

    def scrape_again(self) -> None:
        for _ in range(SCRAPERS - 1):
            self._metrics.render()

    def write_lines(self) -> None:
        generate_latest(self._limit)


def run() -> Result:
    rows: list[tuple[Cell, ...]] = []
    samples: dict[str, list[float]] = {}
    for count in GUESTS:
        export = Export(asyncio.run(passes(count)))
        times = in_turn(
            {
                "pass": export.take_in,
                "limit of a pass": export.walk,
                "scrape": export.scrape,  # the first after a pass
                "more scrapes": export.scrape_again,
                "limit of a scrape": export.write_lines,
            },
            rounds=ROUNDS,
        )
        rows.append(row(count, export, times))
        samples |= {f"{name} {count}": measured for name, measured in times.items()}
    return Result(
        title="Exporting metrics",
        columns=(
            "guests",
            "a pass, ms",
            "limit: a walk, ms",
            "lines",
            "MB",
            "a scrape, ms",
            "limit: the lines, ms",
            f"{SCRAPERS - 1} more scrapes, ms",
        ),
        rows=tuple(rows),
        note=f"medians of {ROUNDS} rounds, in turn. All guests change from pass to pass. A scrape "
        "is written outside the event loop, once a pass at most",
        samples=samples,
    )


def row(count: int, export: Export, times: dict[str, list[float]]) -> tuple[Cell, ...]:
    found = {name: statistics.median(measured) * 1e3 for name, measured in times.items()}
    return (
        count,
        found["pass"],
        found["limit of a pass"],
        export.lines,
        len(export.text) / 1e6,
        found["scrape"],
        found["limit of a scrape"],
        found["more scrapes"],
    )


async def passes(count: int) -> list[Tick]:
    """Decide on simulated guests whose demand changes, a few times over."""
    host = Host(count, Situation.BUSY)
    ticks: list[Tick] = []
    for number in range(-SETTLING[Situation.BUSY], 5):
        host.pass_a_second()
        snapshot, state = await host.look(), host.state
        decision = decide(snapshot, state, POLICY)
        host.carry_out(decision)
        if number >= 0:
            tick = Tick(
                snapshot=snapshot,
                state=state,
                policy=POLICY,
                decision=decision,
                observe_s=0.02,
                decide_s=0.02,
            )
            ticks.append(tick)
    return ticks
