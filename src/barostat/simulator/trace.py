"""What VMs needed over time, whoever recorded it. A gap is a gap: it is never filled.

Sizes are bytes in arrays of floats, exact up to 8 PiB.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from barostat.errors import InputError

__all__ = ["Floats", "Integers", "SingleFloats", "Switches", "Trace"]

Floats: TypeAlias = npt.NDArray[np.float64]
SingleFloats: TypeAlias = npt.NDArray[np.float32]
Integers: TypeAlias = npt.NDArray[np.int64]
Switches: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What VMs needed: a row for each moment that was recorded, each good for `step_s`.

    Attributes:
        name: what people call it.
        vms: names, shape [vm].
        size_bytes: what each VM is provisioned with, shape [vm].
        times_s: when rows were recorded, rising; a jump of more than a step is a gap. Shape [row].
        step_s: for how long a row is good.
        demand_bytes: what each VM needed, without page cache that it could drop; NaN while it was
            off, or nothing is known of it. Shape [row, vm].
        cache_bytes: page cache that each VM had, as `demand_bytes`; None if it was not recorded.
    """

    name: str
    vms: tuple[str, ...]
    size_bytes: Floats
    times_s: Floats
    step_s: float
    demand_bytes: Floats
    cache_bytes: Floats | None = None

    @property
    def on_ratio(self) -> Floats:
        """The share of rows in which each VM was on, shape [vm]."""
        ratio: Floats = np.mean(~np.isnan(self.demand_bytes), axis=0)
        return ratio

    def only(self, vms: Switches | Integers) -> Trace:
        """Keep some of the VMs, by a mask or by their places."""
        names = np.array(self.vms, dtype=object)[vms]
        cache = self.cache_bytes
        return replace(
            self,
            vms=tuple(names),
            size_bytes=self.size_bytes[vms],
            demand_bytes=self.demand_bytes[:, vms],
            cache_bytes=None if cache is None else cache[:, vms],
        )

    def between(self, first: int, last: int) -> Trace:
        """Keep the rows from `first` to before `last`."""
        rows = slice(first, last)
        cache = self.cache_bytes
        return replace(
            self,
            times_s=self.times_s[rows],
            demand_bytes=self.demand_bytes[rows],
            cache_bytes=None if cache is None else cache[rows],
        )

    def usual(self, *, below_bytes: float, on_ratio: float) -> Trace:
        """Keep VMs that are smaller than a size and on for at least a share of the time.

        Raises:
            InputError: there are none.
        """
        kept = (self.size_bytes < below_bytes) & (self.on_ratio >= on_ratio)
        if not kept.any():
            raise InputError(
                f"{self.name}: no VM is smaller than that and on for {on_ratio:.0%} of the time",
                hint="allow larger VMs, or ones that were off for longer",
            )
        return self.only(kept)
