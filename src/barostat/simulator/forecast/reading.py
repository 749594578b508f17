"""A host's history, out of its database: what each VM needed, and which settings hold.

Settings are those that the newest decision on film saw, so that no daemon has to be asked, and a
history that was copied from another host says all by itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypedDict

import numpy as np

from barostat.core.settings import MemorySettings
from barostat.errors import HistoryError, InputError
from barostat.history.faults import ForeignError
from barostat.history.reader import Reader
from barostat.history.rollup import STEPS
from barostat.history.values import HostSample, KnownGuest, Sample
from barostat.simulator.forecast.recorded import Recorded
from barostat.simulator.trace import Floats, Integers

__all__ = ["read_recorded"]

STEP_S: Final = STEPS[-1].step_s
MOST_ROWS: Final = 10_000
"""A month in 5 minutes; longer times are looked at in as many rows."""

POINTS: Final = 2_000
"""What the reader gives at once."""


class _Period(TypedDict):
    """What the reader is asked for."""

    since_s: float
    until_s: float
    points: int
    now_s: float


@dataclass(frozen=True, slots=True)
class _Span:
    """A time, cut into rows."""

    first_s: int
    end_s: int
    step_s: int

    def pieces(self) -> Iterator[_Period]:
        """Cut it into questions that the reader answers in rows of just this length."""
        for since_s in range(self.first_s, self.end_s, self.step_s * POINTS):
            until_s = since_s + self.step_s * POINTS
            yield _Period(since_s=since_s, until_s=until_s, points=POINTS, now_s=until_s)


def read_recorded(path: Path, *, since_s: float) -> Recorded:
    """Read what a forecast looks at.

    Args:
        path: the history's database.
        since_s: how far to look back from its end.

    Raises:
        InputError: there is no history, or nothing in it.
        HistoryError: it cannot be read.
    """
    if not path.exists():
        raise InputError(
            f"there is no history at {path}",
            hint="name one with --history; the daemon begins it with its first look",
        )
    reader = Reader(path)
    guests = _guests(reader, path)
    if not guests:
        raise _empty(path)
    newest_s = max(guest.last_at_s for guest in guests)
    span = _span(guests, newest_s, since_s)
    hosts = [sample for piece in span.pieces() for sample in reader.host(**piece).samples]
    if not hosts:
        raise _empty(path)
    here = [guest for guest in guests if guest.last_at_s >= span.first_s]
    return _recorded(reader, here, hosts, span, newest_s)


def _guests(reader: Reader, path: Path) -> tuple[KnownGuest, ...]:
    try:
        return reader.guests()
    except HistoryError as error:
        cause = error.__cause__
        if isinstance(cause, ForeignError) or "not a database" in str(cause):
            raise InputError(
                f"{path} is not a history of Barostat", hint="name one with --history"
            ) from error
        raise


def _empty(path: Path) -> InputError:
    return InputError(
        f"the history {path} is empty: no VM was ever looked at",
        hint="let the daemon run for some days; it looks at VMs once a second",
    )


def _span(guests: Sequence[KnownGuest], newest_s: int, since_s: float) -> _Span:
    """Say which rows there are: no finer than they are kept, no more than there should be."""
    oldest_s = min(guest.first_at_s for guest in guests)
    length_s = min(since_s, newest_s - oldest_s + STEP_S)
    step_s = STEP_S * math.ceil(length_s / STEP_S / MOST_ROWS)
    end_s = newest_s - newest_s % step_s + step_s
    rows = math.ceil(length_s / step_s)
    return _Span(end_s - rows * step_s, end_s, step_s)


def _recorded(
    reader: Reader,
    guests: Sequence[KnownGuest],
    hosts: Sequence[HostSample],
    span: _Span,
    newest_s: int,
) -> Recorded:
    times = np.array([sample.at_s for sample in hosts], dtype=np.float64)
    shape = len(times), len(guests)
    demand, assigned = np.full(shape, np.nan), np.full(shape, np.nan)
    said = np.zeros(shape, dtype=np.bool_)
    for place, guest in enumerate(guests):
        samples = _samples(reader, guest.name, span)
        rows, kept = _rows_of(samples, times)
        assigned[rows, place] = [sample.assigned_max_bytes for sample in kept]
        said[rows, place] = [sample.demand_max_bytes is not None for sample in kept]
        demand[rows, place] = [_demand_bytes(sample) for sample in kept]
    settings, devices, why = _settings(reader, newest_s)
    return Recorded(
        vms=tuple(guest.name for guest in guests),
        times_s=times,
        step_s=float(span.step_s),
        demand_bytes=demand,
        assigned_bytes=assigned,
        said=said,
        capacity_bytes=float(hosts[-1].capacity_bytes),
        settings=settings,
        devices_bytes=devices,
        unsettled=why,
    )


def _samples(reader: Reader, guest: str, span: _Span) -> list[Sample]:
    return [sample for piece in span.pieces() for sample in reader.samples(guest, **piece).samples]


def _rows_of(samples: Sequence[Sample], times: Floats) -> tuple[Integers, list[Sample]]:
    """Find the rows of samples, and leave out those of times in which the host was not seen."""
    at = np.array([sample.at_s for sample in samples], dtype=np.float64)
    rows = np.minimum(np.searchsorted(times, at), len(times) - 1)
    known = times[rows] == at
    return rows[known], [sample for sample, kept in zip(samples, known, strict=True) if kept]


def _demand_bytes(sample: Sample) -> int:
    """Say what a VM needed at most; one that says nothing is taken to need what it has."""
    needed = sample.demand_max_bytes
    return sample.assigned_max_bytes if needed is None else needed


def _settings(
    reader: Reader, newest_s: int
) -> tuple[dict[str, MemorySettings | None], dict[str, int], str]:
    """Give settings and what devices allow, by VM; and why they are not known."""
    try:
        seen = reader.decision_at(None, newest_s + 1.0).snapshot
    except HistoryError as error:
        return {}, {}, error.message
    settings = {guest.name: seen.settings.get(guest.name) for guest in seen.guests}
    devices = {guest.name: guest.devices.ceiling_bytes for guest in seen.guests}
    return settings, devices, ""
