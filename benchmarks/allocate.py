"""Time to share memory among n guests that are short of it, beside sorting 2n numbers.

Sorting the 2n break-points is what no exact sharing can do without.
"""

from __future__ import annotations

import random
import statistics
from functools import partial

from barostat.core.allocation import Claim, Mode, Tier, allocate
from barostat.units import GIB, MIB
from benchmarks.harness import Cell, Result, in_turn, ratio

GUESTS = (100, 1_000, 10_000)
ROUNDS = 15


def run() -> Result:
    rows = [row for count in GUESTS for row in measure(count)]
    return Result(
        title="Sharing memory among guests",
        columns=(
            "guests",
            "what is cut",
            "allocate, ms",
            "a guest, us",
            "limit: sort 2n floats, ms",
            "times the limit",
        ),
        rows=tuple(rows),
        note=f"medians of {ROUNDS} rounds, in turn; the time a guest grows as log n does",
    )


def measure(count: int) -> list[tuple[Cell, ...]]:
    generator = random.Random(count)
    claims = [claim(f"guest{i}", generator) for i in range(count)]
    least = sum(claim.minimum_bytes for claim in claims)
    needed = sum(claim.demand_bytes for claim in claims)
    wanted = sum(claim.want_bytes for claim in claims)
    numbers = [generator.random() for _ in range(2 * count)]
    capacities = {Tier.DEMAND_CUT: (least + needed) // 2, Tier.BUFFERS_CUT: (needed + wanted) // 2}
    rows: list[tuple[Cell, ...]] = []
    for tier, capacity_bytes in capacities.items():
        ours = partial(allocate, claims, capacity_bytes=capacity_bytes, mode=Mode.PRESSURE)
        if ours().tier is not tier:
            raise RuntimeError(f"{count} guests were to reach {tier}, not {ours().tier}")
        times = in_turn({"ours": ours, "limit": partial(sorted, numbers)}, rounds=ROUNDS)
        ours_s, limit_s = statistics.median(times["ours"]), statistics.median(times["limit"])
        what = "demand" if tier is Tier.DEMAND_CUT else "buffers"
        rows.append(
            (
                count,
                what,
                ours_s * 1e3,
                ours_s / count * 1e6,
                limit_s * 1e3,
                ratio(times["ours"], times["limit"]),
            )
        )
    return rows


def claim(guest: str, generator: random.Random) -> Claim:
    minimum_bytes = generator.randint(64, 1024) * MIB
    maximum_bytes = minimum_bytes + generator.randint(1, 64) * GIB
    demand_bytes = generator.randint(minimum_bytes, maximum_bytes * 4 // 5)
    return Claim(
        guest=guest,
        minimum_bytes=minimum_bytes,
        demand_bytes=demand_bytes,
        want_bytes=demand_bytes * 6 // 5,
        maximum_bytes=maximum_bytes,
        weight=generator.choice([0, 2500, 5000, 5000, 10_000]),
    )
