"""What every benchmark shares: how to time, what a result is, where it goes.

A benchmark is a module of this package whose docstring's first line says what it measures and
whose `run()` gives a `Result`. Times are compared within one run only, in alternation, because
one and the same machine differs from hour to hour by more than most changes do.
"""

from __future__ import annotations

import os
import platform
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

__all__ = ["Cell", "Result", "in_turn", "machine", "percentile", "ratio", "show", "store"]

RESULTS = Path(__file__).parent / "results"

Cell = str | int | float


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One table. Units stand in the columns' names; `note` says how to read it.

    `samples` are single measurements in seconds, by name: stored, not shown, so that two results
    can be compared by more than their medians.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str
    samples: Mapping[str, Sequence[float]] = field(default_factory=dict)


def in_turn(jobs: Mapping[str, Callable[[], object]], *, rounds: int) -> dict[str, list[float]]:
    """Time jobs in alternation, so that whatever else the machine does meets them all alike.

    Returns:
        For each job its times in seconds, a round each, in the order of the rounds; a first
        round that warms the caches is left out.
    """
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds + 1):
        for name, job in jobs.items():
            began_s = time.perf_counter()
            job()
            times[name].append(time.perf_counter() - began_s)
    return {name: measured[1:] for name, measured in times.items()}


def ratio(ours_s: list[float], limit_s: list[float]) -> float:
    """Give the median over the rounds of ours to the limit's time in the same round."""
    return statistics.median(a / b for a, b in zip(ours_s, limit_s, strict=True))


def percentile(values: Sequence[float], percent: int) -> float:
    """Say below which value so many percent lie, 1 to 99, interpolated between the measured."""
    if len(values) == 1:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def machine() -> dict[str, str | int | None]:
    """Name what a result depends on."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "python": platform.python_version(),
        "qemu": _qemu_version(),
    }


def _processor() -> str | None:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return None


def _qemu_version() -> str | None:
    qemu = shutil.which("qemu-system-x86_64")
    if qemu is None:
        return None
    said = subprocess.run(
        [qemu, "--version"], capture_output=True, text=True, timeout=10, check=False
    )
    return said.stdout.partition("\n")[0] or None


def show(result: Result, console: Console) -> None:
    """Print a result as a table, with the note below it."""
    table = Table(title=result.title, title_justify="left", caption=result.note)
    table.caption_justify = "left"
    for number, column in enumerate(result.columns):
        numeric = all(not isinstance(row[number], str) for row in result.rows)
        table.add_column(column, justify="right" if numeric else "left")
    for row in result.rows:
        table.add_row(*map(_printed, row))
    console.print(table)


def _printed(cell: Cell) -> str:
    if isinstance(cell, str):
        return cell
    if isinstance(cell, int) or abs(cell) >= 100:
        return f"{cell:,.0f}"
    return f"{cell:.3g}"


def store(name: str, result: Result, folder: Path = RESULTS) -> Path:
    """Write a result and the machine's facts as JSON.

    Returns:
        The file, `NAME.json` in the folder; an older one is replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    document = {"benchmark": name, "machine": machine(), **asdict(result)}
    path.write_bytes(msgspec.json.format(msgspec.json.encode(document)) + b"\n")
    return path
