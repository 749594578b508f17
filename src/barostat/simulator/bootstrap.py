"""How far a figure could be off by the chance of which VMs were drawn.

Hosts, or draws, are drawn anew from those that there were, with repetition, many times; the middle
95 % of what the figure then comes to is its interval (Efron 1979, percentile method). Policies are
compared on the same draws, so a quotient of two of them is drawn anew in pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from barostat.simulator.trace import Floats

__all__ = ["RESAMPLES", "Interval", "mean_interval", "ratio_interval"]

RESAMPLES: Final = 10_000
LEVEL_RATIO: Final = 0.95
AT_ONCE: Final = 500
"""Resamples whose numbers are held in memory together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A figure, and between what it lies in 95 of 100 cases.

    Attributes:
        value: what was measured.
        low, high: the ends; None where one host alone says nothing of others.
    """

    value: float
    low: float | None
    high: float | None


def mean_interval(values: Floats, *, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """Give the mean of values, a host each, and its interval."""
    return ratio_interval(values, np.ones(len(values)), resamples=resamples, seed=seed)


def ratio_interval(
    over: Floats, under: Floats, *, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """Give the quotient of two sums over hosts, and its interval.

    Args:
        over: what is divided, a host each.
        under: what it is divided by, in the same order; not 0 together.
        resamples: how often hosts are drawn anew.
        seed: of the chance by which they are.
    """
    value = float(over.sum() / under.sum())
    if len(over) == 1:
        return Interval(value=value, low=None, high=None)
    drawn = _resample(np.stack([over, under], axis=1), resamples, seed)
    known = drawn[:, 1] != 0  # hosts that have none of it can be drawn alone
    quotients = drawn[known, 0] / drawn[known, 1]
    if not len(quotients):
        return Interval(value=value, low=None, high=None)
    outside = (1 - LEVEL_RATIO) / 2
    low, high = np.quantile(quotients, [outside, 1 - outside])
    return Interval(value=value, low=float(low), high=float(high))


def _resample(values: Floats, resamples: int, seed: int) -> Floats:
    """Sum columns over hosts drawn anew; shape [resample, column]."""
    chance, hosts = np.random.default_rng(seed), len(values)
    even = np.full(hosts, 1 / hosts)
    sums = [
        chance.multinomial(hosts, even, size=min(AT_ONCE, resamples - done)) @ values
        for done in range(0, resamples, AT_ONCE)
    ]
    return np.concatenate(sums)
