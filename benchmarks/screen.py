"""Time of `barostat top` for a pass over n VMs: reading it, and drawing what changed of the screen.

The limit is drawing the same screen again with nothing new on it. No terminal is written to.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from barostat.service.desk import LocalDesk
from barostat.service.documents import Overview
from barostat.service.making import overview_of
from barostat.tui.app import TopApp
from barostat.tui.following import Seen
from benchmarks.harness import Cell, Result
from benchmarks.metrics import passes
from benchmarks.shown import idle_control

GUESTS = (30, 300, 1_000)
ROUNDS = 15
SIZE = (140, 40)


class Told(LocalDesk):
    """A desk without guests that says one thing: the screen is handed the rest."""

    def __init__(self, overview: Overview) -> None:
        super().__init__(idle_control(Path("/nonexistent")))
        self._overview = overview

    async def overview(self, *, everyone: bool = False) -> Overview:
        del everyone
        return self._overview


async def rounds(told: Sequence[str]) -> dict[str, list[float]]:
    """Show passes, one a round, and time the parts."""
    times: dict[str, list[float]] = {"read": [], "show": [], "limit": []}
    app = TopApp(Told(Seen.model_validate_json(told[0]).overview), where="", whole_host=True)
    async with app.run_test(size=SIZE) as pilot:
        for number in range(ROUNDS + 1):
            marks_s = [time.perf_counter()]
            seen = Seen.model_validate_json(told[number % len(told)])
            marks_s.append(time.perf_counter())
            app.show(seen)
            await pilot.pause()
            marks_s.append(time.perf_counter())
            app.screen.refresh()
            await pilot.pause()
            marks_s.append(time.perf_counter())
            for name, began_s, ended_s in zip(times, marks_s, marks_s[1:], strict=False):
                times[name].append(ended_s - began_s)
    return {name: measured[1:] for name, measured in times.items()}


def run() -> Result:
    rows: list[tuple[Cell, ...]] = []
    samples: dict[str, list[float]] = {}
    for count in GUESTS:
        ticks = asyncio.run(passes(count))
        told = [Seen(overview=overview_of(tick)).model_dump_json() for tick in ticks]
        times = asyncio.run(rounds(told))
        medians = (statistics.median(measured) * 1e3 for measured in times.values())
        rows.append((count, len(told[0]) / 1e6, *medians))
        samples |= {f"{name} {count}": measured for name, measured in times.items()}
    return Result(
        title="The screen of barostat top",
        columns=("VMs", "a pass, MB", "reading it, ms", "drawing it, ms", "limit: again, ms"),
        rows=tuple(rows),
        note=f"medians of {ROUNDS} rounds on {SIZE[0]} columns and {SIZE[1]} lines. All VMs change "
        "from pass to pass; passes come once a second",
        samples=samples,
    )
