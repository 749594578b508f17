"""`[policy]`, `[demand]`, `[lane]`, `[host]`, `[fence]`: the numbers to act by, as written.

What each means and why it has its default is said where it is used, by `core.policy.Policy`,
`core.policy.DemandPolicy`, `engine.sampling.Pace`, `host.policy.HostPolicy` and
`core.fence.FencePolicy`. The ranges here keep out what cannot be meant; within them an operator may
do as they like. A key is named like its field, less "_bytes": a size says its unit itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, ClassVar, Final, Literal

from barostat.config.ranges import AutoSize, Between, Ratio, exact_size
from barostat.config.toml_file import FileModel, Size
from barostat.core.allocation import Mode
from barostat.core.fence import FenceMode, FencePolicy
from barostat.core.policy import DemandPolicy, DemandSource, Policy
from barostat.units import GIB, MIB, TIB

__all__ = [
    "DemandSection",
    "FenceSection",
    "HostSection",
    "LaneSection",
    "PolicySection",
    "key_of",
]

_DEFAULT: Final = Policy()
_DEMAND: Final = _DEFAULT.demand

Memory = Annotated[float, Between(0.1, 86_400, "s")]  # how long something is remembered
Pause = Annotated[float, Between(0, 86_400, "s")]
HalfRatio = Annotated[float, Between(0, 0.5)]
AnySize = Annotated[Size, Between(0, TIB, "bytes")]


def key_of(field: str) -> str:
    """Say under which key a field is written."""
    return field.replace("_bytes", "")


class _Numbers(FileModel):
    """A section of numbers; `ordered` are keys of which the first must not be below the second."""

    ordered: ClassVar[tuple[tuple[str, str], ...]] = ()

    def numbers(self, fields: Iterable[str]) -> dict[str, Any]:
        """Give the numbers by the names of the fields that they are for."""
        return {field: getattr(self, key_of(field)) for field in fields}

    def senseless(self) -> Iterator[tuple[tuple[str, str], str]]:
        """Say which two keys make no sense together, and why: the first is less than the second."""
        for keys in self.ordered:
            high, low = (getattr(self, key) for key in keys)
            if high < low:
                text = f"{_shown(keys[0], high)} is less than {keys[1]}, {_shown(keys[1], low)}"
                yield keys, f"{text}: it must not be"


def _shown(key: str, value: float) -> str:
    if isinstance(value, int):
        return exact_size(value)
    return f"{value:g} s" if key.endswith("_s") else f"{value:g}"


class DemandSection(_Numbers):
    """What counts as a VM's need. A change applies from the next tick."""

    ordered = (("stall_ratio", "trim_stall_ratio"),)

    source: Literal["used", "committed"] = "used"
    stall_ratio: Annotated[float, Between(0.0001, 1)] = _DEMAND.stall_ratio
    stall_gain: Annotated[float, Between(1, 1000)] = _DEMAND.stall_gain
    stall_hold_s: Pause = _DEMAND.stall_hold_s
    adaptive: bool = _DEMAND.adaptive
    short_share: Annotated[float, Between(0.0001, 0.5)] = _DEMAND.short_share
    adaptive_step: Annotated[float, Between(0.0001, 1)] = _DEMAND.adaptive_step
    adaptive_cap: Annotated[float, Between(0.05, 20)] = _DEMAND.adaptive_cap
    trim: bool = _DEMAND.trim
    trim_ratio: HalfRatio = _DEMAND.trim_ratio
    trim_s: Memory = _DEMAND.trim_s
    trim_stall_ratio: Ratio = _DEMAND.trim_stall_ratio
    trim_half_life_s: Annotated[float, Between(60, 2_592_000, "s")] = _DEMAND.trim_half_life_s

    def policy(self) -> DemandPolicy:
        """Make the numbers that demand is judged by."""
        numbers = self.numbers(DemandPolicy.__dataclass_fields__)
        return DemandPolicy(**numbers | {"source": DemandSource(self.source)})


class PolicySection(_Numbers):
    """The numbers by which Barostat acts. A change applies from the next tick."""

    ordered = (
        ("pool_high_ratio", "pool_low_ratio"),
        ("dead_band_high", "dead_band_low"),
        ("rest_high_s", "rest_low_s"),
        ("stale_s", "tick_s"),
        ("stuck_s", "nudge_s"),
    )

    mode: Literal["pressure", "share"] = "pressure"
    tick_s: Annotated[float, Between(0.1, 10, "s")] = _DEFAULT.tick_s
    half_life_s: Memory = _DEFAULT.half_life_s
    tight_half_life_s: Memory = _DEFAULT.tight_half_life_s
    growth_half_life_s: Memory = _DEFAULT.growth_half_life_s
    latency_s: Annotated[float, Between(0, 60, "s")] = _DEFAULT.latency_s
    growth_cap_ratio: Annotated[float, Between(0, 10)] = _DEFAULT.growth_cap_ratio
    minute_s: Memory = _DEFAULT.minute_s
    pool_low_ratio: HalfRatio = _DEFAULT.pool_low_ratio
    pool_high_ratio: HalfRatio = _DEFAULT.pool_high_ratio
    dead_band_ratio: HalfRatio = _DEFAULT.dead_band_ratio
    dead_band_low: AnySize = _DEFAULT.dead_band_low_bytes
    dead_band_high: AnySize = _DEFAULT.dead_band_high_bytes
    urgent_ratio: Ratio = _DEFAULT.urgent_ratio
    distress_ratio: HalfRatio = _DEFAULT.distress_ratio
    trickle_ratio: Ratio = _DEFAULT.trickle_ratio
    trickle_s: Memory = _DEFAULT.trickle_s
    grow_hold_s: Pause = _DEFAULT.grow_hold_s
    spare_ratio: Ratio = _DEFAULT.spare_ratio
    floor_ratio: HalfRatio = _DEFAULT.floor_ratio
    floor_low: AnySize = _DEFAULT.floor_low_bytes
    wide_floor_ratio: HalfRatio = _DEFAULT.wide_floor_ratio
    paging_ratio: Ratio = _DEFAULT.paging_ratio
    paging_low: AnySize = _DEFAULT.paging_low_bytes
    step_high: Annotated[Size, Between(MIB, TIB, "bytes")] = _DEFAULT.step_high_bytes
    settle_s: Pause = _DEFAULT.settle_s
    stale_s: Annotated[float, Between(0.2, 600, "s")] = _DEFAULT.stale_s
    fresh_ratio: Ratio = _DEFAULT.fresh_ratio
    stuck_s: Annotated[float, Between(0.5, 600, "s")] = _DEFAULT.stuck_s
    progress_ratio: Ratio = _DEFAULT.progress_ratio
    nudge_s: Annotated[float, Between(0.2, 600, "s")] = _DEFAULT.nudge_s
    rest_low_s: Pause = _DEFAULT.rest_low_s
    rest_high_s: Pause = _DEFAULT.rest_high_s

    def policy(self, demand: DemandSection) -> Policy:
        """Make the numbers that `decide` acts by."""
        numbers = self.numbers(Policy.__dataclass_fields__.keys() - {"demand"})
        return Policy(**numbers | {"mode": Mode(self.mode), "demand": demand.policy()})


class LaneSection(_Numbers):
    """What may be done between two ticks for VMs that cannot wait. A change applies at once."""

    on: bool = True
    look_s: Annotated[float, Between(0.02, 10, "s")] = 0.1
    looks_per_s: Annotated[float, Between(1, 10_000)] = 100.0
    touch_per_s: Annotated[Size, Between(MIB, TIB, "bytes")] = 1 * GIB
    hurry_s: Annotated[float, Between(0.02, 10, "s")] = 0.1
    share_ratio: Annotated[float, Between(0.01, 1)] = 0.1


class HostSection(_Numbers):
    """What the host keeps for itself, and when it brakes."""

    ordered = (("low_ratio", "critical_ratio"), ("comfort_ratio", "low_ratio"))

    capacity: Annotated[AutoSize, Between(MIB, 1024 * TIB, "bytes")] = None
    reserve: Annotated[AutoSize, Between(0, 1024 * TIB, "bytes")] = None
    reserve_ratio: Annotated[float, Between(0, 0.9)] = 0.05
    reserve_low: AnySize = 1 * GIB
    reserve_margin_ratio: HalfRatio = 0.04
    reserve_half_life_s: Memory = 300.0
    overhead: AnySize = 64 * MIB
    overhead_ratio: HalfRatio = 1 / 128
    low_ratio: HalfRatio = 0.02
    critical_ratio: HalfRatio = 0.01
    comfort_ratio: Ratio = 0.20
    stall_ratio: Ratio = 0.10
    swap_out_per_s: AnySize = 1 * MIB
    lasting_s: Pause = 10.0
    calm_s: Pause = 10.0
    witness: bool = False
    witness_s: Annotated[float, Between(20, 86_400, "s")] = 300.0
    witness_ratio: Annotated[float, Between(0.00001, 0.01)] = 0.001
    deadline_s: Annotated[float, Between(0.1, 60, "s")] = 2.0


class FenceSection(_Numbers):
    """What holds VMs to what they were given. A change applies from the next tick on."""

    mode: Literal["off", "high", "hard"] = "off"
    room_ratio: Annotated[float, Between(0.01, 1)] = 0.05
    room: Annotated[Size, Between(16 * MIB, TIB, "bytes")] = 64 * MIB

    def policy(self) -> FencePolicy:
        """Make the numbers that fences are set by."""
        numbers = self.numbers(FencePolicy.__dataclass_fields__)
        return FencePolicy(**numbers | {"mode": FenceMode(self.mode)})
