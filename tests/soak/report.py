"""What a soak has shown: a table for people, JSON for programs, and whether it failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table
from tests.soak.books import growth
from tests.soak.ground import Record

from barostat.units import GIB, MIB

__all__ = ["MOST_GROWTH_BYTES", "Report", "report_of", "show", "warm_up_s"]

MOST_GROWTH_BYTES = 5 * MIB
SHORTEST_JUDGED_S = 300.0
"""Of the daemon's life after warm-up: in less, what it loads and caches first is all there is."""

MOST_WARM_UP_S = 300.0
MOST_WINDOW_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a soak has shown.

    Attributes:
        failures: everything that must not happen, each with its moment.
        growth_judged: the daemon lived long enough after warm-up for its growth to say something.
    """

    seed: int
    seconds: float
    guests: int
    passes: int
    longest_pass_s: float
    moves: int
    moved_gib: float
    looks: int
    fullest_ratio: float
    faults: Mapping[str, int]
    faults_undone: Mapping[str, int]
    breaches: int
    lost: int
    below_minimum: int
    daemon_ends: int
    warm_up_s: float
    rss_after_warm_up_mib: float
    rss_growth_mib: float
    handles_after_warm_up: int
    handles_growth: int
    growth_judged: bool
    rss_by_minute_mib: tuple[float, ...]
    failures: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Whether nothing failed."""
        return not self.failures


def warm_up_s(seconds: float) -> float:
    """Say how long a daemon warms up in a soak of so many seconds."""
    return min(MOST_WARM_UP_S, seconds / 5)


def report_of(
    record: Record, *, seed: int, guests: int, seconds: float, planned_s: float
) -> Report:
    """Judge a soak.

    Args:
        record: what has happened.
        seed: of its dice.
        guests: how many there were at a time.
        seconds: how long it went on.
        planned_s: how long it was to.
    """
    warm_s, life = warm_up_s(planned_s), _longest_life(record)
    rss = [(at_s, rss_bytes) for at_s, rss_bytes, _ in life if at_s >= warm_s]
    handles = [(at_s, count) for at_s, _, count in life if at_s >= warm_s]
    window_s = min(MOST_WINDOW_S, planned_s / 10)
    grown_bytes = growth(rss, window_s=window_s)
    judged = bool(rss) and rss[-1][0] - rss[0][0] >= SHORTEST_JUDGED_S
    failures = [*record.breaches, *record.lost, *record.below, *record.ends]
    if judged and grown_bytes > MOST_GROWTH_BYTES:
        failures.append(f"the daemon grew by {grown_bytes / MIB:.1f} MiB after warm-up")
    return Report(
        seed=seed,
        seconds=round(seconds, 1),
        guests=guests,
        passes=record.passes,
        longest_pass_s=round(record.longest_pass_s, 2),
        moves=record.moves,
        moved_gib=round(record.moved_bytes / GIB, 2),
        looks=record.looks,
        fullest_ratio=round(record.fullest_ratio, 3),
        faults=dict(sorted(record.faults.items())),
        faults_undone=dict(sorted(record.undone.items())),
        breaches=len(record.breaches),
        lost=len(record.lost),
        below_minimum=len(record.below),
        daemon_ends=len(record.ends),
        warm_up_s=warm_s,
        rss_after_warm_up_mib=round(rss[0][1] / MIB, 1) if rss else 0.0,
        rss_growth_mib=round(grown_bytes / MIB, 2),
        handles_after_warm_up=int(handles[0][1]) if handles else 0,
        handles_growth=int(growth(handles, window_s=window_s)),
        growth_judged=judged,
        rss_by_minute_mib=_by_minute(life),
        failures=tuple(failures),
    )


def _longest_life(record: Record) -> list[tuple[float, float, float]]:
    lives: dict[int, list[tuple[float, float, float]]] = {}
    for at_s, life, rss_bytes, handles in record.footprints:
        lives.setdefault(life, []).append((at_s, rss_bytes, handles))
    return max(lives.values(), key=lambda life: life[-1][0] - life[0][0], default=[])


def _by_minute(life: Sequence[tuple[float, float, float]]) -> tuple[float, ...]:
    minutes: dict[int, float] = {}
    for at_s, rss_bytes, _ in life:
        minutes[int(at_s // 60)] = round(rss_bytes / MIB, 1)
    return tuple(minutes.values())


def show(report: Report, console: Console) -> None:
    """Print a report as a table."""
    table = Table(title=f"Soak: {report.guests} guests, seed {report.seed}", title_justify="left")
    table.add_column("what")
    table.add_column("how much", justify="right")
    for what, value in asdict(report).items():
        if isinstance(value, Mapping):
            table.add_row(what.replace("_", " "), str(sum(value.values())))
            for kind, count in value.items():
                table.add_row(f"  {kind}", str(count))
        elif isinstance(value, bool):
            table.add_row(what.replace("_", " "), "yes" if value else "no")
        elif what == "rss_by_minute_mib":
            table.add_row("rss by minute, mib", " ".join(f"{mib:.0f}" for mib in value))
        elif what not in {"failures", "guests", "seed"}:
            table.add_row(what.replace("_", " "), f"{value:,}")
    console.print(table)
    for failure in report.failures:
        console.print(f"FAILED {failure}", markup=False)
    if not report.growth_judged:
        console.print("too short to judge the daemon's growth: ten minutes do")
