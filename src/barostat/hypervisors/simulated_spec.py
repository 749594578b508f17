"""What a simulated guest is made of, and how it behaves: values only."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from barostat.hypervisors.simulated_memory import Rates
from barostat.units import MIB

__all__ = ["Character", "SimulatedSpec"]


class Character(enum.Enum):
    """How a guest behaves towards those who ask it for memory."""

    IDEAL = "ideal"  # gives what it can, at once
    SLOW = "slow"  # the same, 20 times slower
    STUCK = "stuck"  # never gives anything
    MOODY = "moody"  # intermittently stuck: gives and refuses by turns
    DEAF = "deaf"  # never says a word of its memory
    LYING = "lying"  # claims to use all it could ever have, and now and then the impossible
    GREEDY = "greedy"  # gives, and takes it back by itself


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedSpec:
    """What a guest is made of.

    Attributes:
        name: unique among its hypervisor's guests.
        boot_bytes: base RAM.
        maximum_bytes: base RAM and the whole virtio-mem region; no device if it is no more.
        block_bytes: the grain of the virtio-mem device.
        swap_bytes: the guest's own swap.
        deflate_on_oom: the balloon's property.
        has_balloon: False leaves it out.
        character: how it behaves.
        boot_s: from power-on to the balloon driver's first word.
        rates: how fast it moves memory.
    """

    name: str
    boot_bytes: int
    maximum_bytes: int
    block_bytes: int = 2 * MIB
    swap_bytes: int = 512 * MIB
    deflate_on_oom: bool = True
    has_balloon: bool = True
    character: Character = Character.IDEAL
    boot_s: float = 2.0
    rates: Rates = field(default_factory=Rates)
