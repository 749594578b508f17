"""What is known of a guest's demand, between two looks at it. `demand` makes it; others read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from barostat.core.adaptive import Tuning
from barostat.core.growth import Marks
from barostat.core.policy import DemandSource
from barostat.core.sizes import Sizes
from barostat.core.stalls import Stalls
from barostat.core.statistics import Inside, Statistics
from barostat.core.trimming import Trim

__all__ = ["DemandState"]

NEVER_S: Final = float("-inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class DemandState:
    """A guest's demand as of its newest statistics, and what the next estimate needs.

    Attributes:
        at_s: when the statistics were new.
        statistics: those; figures left out are as last known.
        sizes: its devices as seen with them.
        assigned_before_bytes: what it had at the look before: it may have spoken at any moment
            since then.
        demand_bytes: what the guest needs, in terms of its assigned size.
        recent_bytes: the highest recent demand, falling with a half-life.
        used_bytes: what it uses that cannot be dropped, as far as is known while it is resized.
        kernel_bytes: what the guest's kernel keeps, last measured with its devices at rest.
        uncounted_bytes: what it has and will never count, as far as is known.
        rising_bytes_per_s: how fast demand grows now.
        growth_bytes_per_s: the fastest recent growth, falling with a half-life.
        returned_bytes, paged_out_bytes, refaulted_bytes: volumes of about the last minute.
        coming_ratio: how much its pages come back: 1 while they do, less the longer they do not.
        distressed: it pages and has next to nothing available: more is needed than can be seen.
        marks: from where growth is measured; None: from this demand.
        source: what the demand is made of.
        inside: what its program said, None while there is none.
        stalls: how long it waits for memory, None while it does not say.
        harmed_at_s: when it last waited for longer than it should.
        tuning: what is added to its buffer, None while buffers are fixed.
        trim: how far it may be trimmed, None while nobody is.
    """

    at_s: float
    statistics: Statistics
    sizes: Sizes
    assigned_before_bytes: int
    demand_bytes: int
    recent_bytes: int
    used_bytes: int
    kernel_bytes: int
    uncounted_bytes: int = 0
    rising_bytes_per_s: float = 0.0
    growth_bytes_per_s: float = 0.0
    returned_bytes: float = 0.0
    paged_out_bytes: float = 0.0
    refaulted_bytes: float = 0.0
    coming_ratio: float = 0.0
    distressed: bool = False
    marks: Marks | None = None
    source: DemandSource = DemandSource.USED
    inside: Inside | None = None
    stalls: Stalls | None = None
    harmed_at_s: float = NEVER_S
    tuning: Tuning | None = None
    trim: Trim | None = None
