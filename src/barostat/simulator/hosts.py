"""Hosts that are simulated side by side, and which VMs of a trace live on which.

All hosts have the same number of places, so that one array holds them all: [host, place]. A place
may be empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from barostat.core.settings import DEFAULT_BUFFER_PERCENT, DEFAULT_WEIGHT
from barostat.errors import InputError
from barostat.simulator.trace import Floats, Integers, Switches, Trace
from barostat.units import MIB

__all__ = ["Hosts", "Sizing", "draw", "lay_out", "partition"]

EMPTY: Final = -1
"""The VM of a place where none lives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing:
    """How settings are made for VMs of which only the size is known.

    Attributes:
        minimum_ratio, minimum_low_bytes: the minimum, as a share of the VM's size, and not below.
        buffer_percent, weight: as an operator leaves them.
    """

    minimum_ratio: float = 0.05
    minimum_low_bytes: int = 256 * MIB
    buffer_percent: int = DEFAULT_BUFFER_PERCENT
    weight: int = DEFAULT_WEIGHT


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosts:
    """Hosts and who lives there. Arrays have the shape [host, place], unless it is said.

    Attributes:
        vm: places in the trace; -1 where nobody lives.
        capacity_bytes: what each host may hand out, shape [host].
        startup_bytes, minimum_bytes, maximum_bytes: settings; 0 where nobody lives.
        weight, buffer_percent: settings.
        gives: False for a guest that gives nothing back, whatever it is asked.
        pace: how fast a guest's drivers are, as a share of `Rates`.
        lies: for a guest that says it needs all that it may have.
        returns: False for a guest whose memory the host does not have back when it gives.
    """

    vm: Integers
    capacity_bytes: Floats
    startup_bytes: Floats
    minimum_bytes: Floats
    maximum_bytes: Floats
    weight: Floats
    buffer_percent: Floats
    gives: Switches
    pace: Floats
    lies: Switches
    returns: Switches

    @property
    def lived_in(self) -> Switches:
        """Where somebody lives."""
        lived: Switches = self.vm != EMPTY
        return lived

    @property
    def provisioned_bytes(self) -> Floats:
        """What the VMs of each host may have at most, shape [host]."""
        total: Floats = self.maximum_bytes.sum(axis=1)
        return total


def lay_out(
    trace: Trace,
    vm: Integers,
    *,
    capacity_bytes: Floats | float | None = None,
    capacity_ratio: float = 1.0,
    sizing: Sizing = Sizing(),
) -> Hosts:
    """Put VMs of a trace on hosts, all of them well-behaved.

    Each starts with its share of the host: what static sizes would give it.

    Args:
        trace: what they need.
        vm: who lives where, -1 for nobody, shape [host, place].
        capacity_bytes: what each host may hand out, shape [host] or one for all.
        capacity_ratio: unless that is given: as a share of what its VMs are provisioned with.
        sizing: the VMs' settings.

    Raises:
        InputError: a host could not hold its VMs' minimums.
    """
    lived = vm != EMPTY
    maximum = np.where(lived, trace.size_bytes[vm], 0.0)
    given = maximum.sum(axis=1) * capacity_ratio if capacity_bytes is None else capacity_bytes
    capacity: Floats = np.broadcast_to(np.asarray(given, dtype=np.float64), vm.shape[:1]).copy()
    low = np.maximum(maximum * sizing.minimum_ratio, sizing.minimum_low_bytes)
    minimum = np.floor(np.minimum(low, maximum) / MIB) * MIB
    missing = minimum.sum(axis=1) - capacity
    if (missing > 0).any():
        raise InputError(
            f"{int((missing > 0).sum())} of {len(missing)} hosts could not hold the minimums of "
            "their VMs",
            hint="more capacity, or fewer guests per host",
        )
    ones = np.ones(vm.shape)
    return Hosts(
        vm=vm,
        capacity_bytes=capacity,
        startup_bytes=_fair_share(minimum, maximum, capacity),
        minimum_bytes=minimum,
        maximum_bytes=maximum,
        weight=ones * sizing.weight,
        buffer_percent=ones * sizing.buffer_percent,
        gives=ones > 0,
        pace=ones,
        lies=ones < 0,
        returns=ones > 0,
    )


def _fair_share(minimum: Floats, maximum: Floats, capacity: Floats) -> Floats:
    """Divide each host among its VMs in proportion to their sizes, within their bounds.

    Bisects the common share of the maximum; whole MiB, rounded down.
    """
    low, high = np.zeros_like(capacity), np.ones_like(capacity)
    for _ in range(50):
        middle = (low + high) / 2
        total = np.clip(maximum * middle[:, None], minimum, maximum).sum(axis=1)
        fits = total <= capacity
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    share = np.clip(maximum * low[:, None], minimum, maximum)
    whole: Floats = np.maximum(np.floor(share / MIB) * MIB, minimum)
    return whole


def draw(trace: Trace, *, hosts: int, guests: int, seed: int) -> Integers:
    """Draw the VMs of each host anew from all of the trace's, none twice on one host.

    Returns:
        Who lives where, shape [host, place].

    Raises:
        InputError: the trace has too few.
    """
    known = len(trace.vms)
    if guests > known:
        raise InputError(
            f"{trace.name} has {known} VMs that can be used, fewer than the {guests} for a host",
            hint=f"at most {known} guests per host",
        )
    chance = np.random.default_rng(seed)
    return np.array([chance.permutation(known)[:guests] for _ in range(hosts)], dtype=np.int64)


def partition(trace: Trace, *, guests: int, seed: int) -> Integers:
    """Put every VM of a trace on one host, by chance; the last host may have empty places."""
    order = np.random.default_rng(seed).permutation(len(trace.vms))
    places = np.full(-(-len(order) // guests) * guests, EMPTY, dtype=np.int64)
    places[: len(order)] = order
    return places.reshape(-1, guests)
