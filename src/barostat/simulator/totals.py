"""The sums of a run in a form that can be joined, cut and sent from one process to another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from barostat.simulator.tally import Tally
from barostat.simulator.trace import Floats, SingleFloats
from barostat.simulator.worst import Moment

__all__ = ["GuestSeries", "Series", "Totals", "join", "totals_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestSeries:
    """The guests of one host at the end of each row, shape [row, place].

    Attributes:
        host: its number.
        demand_bytes, assigned_bytes: what each needed and had.
    """

    host: int
    demand_bytes: SingleFloats
    assigned_bytes: SingleFloats


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """How it was at the end of each row of the trace, shape [row, host].

    Attributes:
        demand_bytes, assigned_bytes, missing_bytes: sums over the guests of a host.
        guests: those of the host with the worst moment.
    """

    demand_bytes: Floats
    assigned_bytes: Floats
    missing_bytes: Floats
    guests: GuestSeries


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """One policy on some hosts.

    Attributes:
        guests: sums by name (`tally.GUEST_SUMS`), shape [host] each: the guests of a host together.
        per_host: sums by name (`tally.HOST_SUMS`), shape [host] each.
        waits_s: how long rises of demand waited that were satisfied.
        never: how many were not, shape [host].
        scarce_s, dispersion_s, jain_s: see `Unevenness`, shape [host].
        histogram_s: see `Unevenness`, shape [bin].
        worst: the moment in which most was missing on one host; None if nothing ever was.
        series: if it was kept.
    """

    guests: dict[str, Floats]
    per_host: dict[str, Floats]
    waits_s: Floats
    never: Floats
    scarce_s: Floats
    dispersion_s: Floats
    jain_s: Floats
    histogram_s: Floats
    worst: Moment | None
    series: Series | None = None


def totals_of(tally: Tally, *, first_host: int = 0, series: Series | None = None) -> Totals:
    """Sum up a tally, whose first host is known to others by another number."""
    worst, uneven = tally.worst.moment, tally.unevenness
    return Totals(
        guests={name: held.sum(axis=1) for name, held in tally.guests.items()},
        per_host=tally.per_host,
        waits_s=np.array(tally.steps.waits_s, dtype=np.float64),
        never=tally.steps.never.sum(axis=1).astype(np.float64),
        scarce_s=uneven.scarce_s,
        dispersion_s=uneven.dispersion_s,
        jain_s=uneven.jain_s,
        histogram_s=uneven.histogram_s,
        worst=None if worst is None else replace(worst, host=worst.host + first_host),
        series=series,
    )


def join(parts: Sequence[Totals]) -> Totals:
    """Put blocks of hosts together, in order."""
    moments = [part.worst for part in parts if part.worst is not None]
    return Totals(
        guests=_join_named([part.guests for part in parts]),
        per_host=_join_named([part.per_host for part in parts]),
        waits_s=np.concatenate([part.waits_s for part in parts]),
        never=np.concatenate([part.never for part in parts]),
        scarce_s=np.concatenate([part.scarce_s for part in parts]),
        dispersion_s=np.concatenate([part.dispersion_s for part in parts]),
        jain_s=np.concatenate([part.jain_s for part in parts]),
        histogram_s=np.sum([part.histogram_s for part in parts], axis=0),
        worst=max(moments, key=lambda moment: moment.missing_bytes, default=None),
        series=_join_series(parts),
    )


def _join_named(parts: Sequence[dict[str, Floats]]) -> dict[str, Floats]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _join_series(parts: Sequence[Totals]) -> Series | None:
    kept = [part.series for part in parts if part.series is not None]
    if len(kept) < len(parts):
        return None
    missing = [part.worst.missing_bytes if part.worst else 0.0 for part in parts]
    return Series(
        demand_bytes=np.concatenate([series.demand_bytes for series in kept], axis=1),
        assigned_bytes=np.concatenate([series.assigned_bytes for series in kept], axis=1),
        missing_bytes=np.concatenate([series.missing_bytes for series in kept], axis=1),
        guests=kept[missing.index(max(missing))].guests,
    )
