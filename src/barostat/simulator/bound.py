"""What a policy that knew the future and moved memory at once could not avoid either.

Without the cost and the time of moving memory, the best is in closed form: a guest lacks what it
needs beyond its maximum, and the guests of a host together what they need, within their bounds,
beyond its capacity. No policy that never hands out more than there is can do better.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from barostat.simulator.hosts import Hosts
from barostat.simulator.trace import Floats, Trace

__all__ = ["Bound", "lower_bound"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """The clairvoyant. Arrays have the shape [host].

    Attributes:
        unmet_byte_s: the least that can be missing.
        short_s: the least guest-seconds of shortage: one guest while anything is missing.
        demand_byte_s: what was needed.
        on_s: guest-seconds in which a guest was on.
    """

    unmet_byte_s: Floats
    short_s: Floats
    demand_byte_s: Floats
    on_s: Floats


def lower_bound(trace: Trace, hosts: Hosts, *, tolerance_ratio: float = 0.0) -> Bound:
    """Compute what nobody could avoid.

    Args:
        trace: what VMs need.
        hosts: who lives where.
        tolerance_ratio: what may be missing of a guest's size before it counts as short.
    """
    count = len(hosts.vm)
    unmet, short, needed, on_s = (np.zeros(count) for _ in range(4))
    tolerated = (hosts.maximum_bytes * tolerance_ratio).sum(axis=1)
    for row in trace.demand_bytes:
        seen = np.where(hosts.lived_in, row[hosts.vm], np.nan)
        on = ~np.isnan(seen)
        demand = np.where(on, seen, 0.0)
        beyond = np.maximum(0.0, demand - hosts.maximum_bytes).sum(axis=1)
        held = np.where(on, np.clip(demand, hosts.minimum_bytes, hosts.maximum_bytes), 0.0)
        missing = beyond + np.maximum(0.0, held.sum(axis=1) - hosts.capacity_bytes)
        unmet += missing * trace.step_s
        short += (missing > tolerated) * trace.step_s
        needed += demand.sum(axis=1) * trace.step_s
        on_s += on.sum(axis=1) * trace.step_s
    return Bound(unmet_byte_s=unmet, short_s=short, demand_byte_s=needed, on_s=on_s)
