"""Where there is enough, nothing is shared out: the short way must come to the same."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.builders import line

from barostat.core.allocation import Mode, Tier
from barostat.core.moves import Line
from barostat.core.reasons import ReasonCode, because
from barostat.core.targets import _shared_out, set_targets
from barostat.units import MIB

REST = because(ReasonCode.RESTING, wait_s=1.0, failures=1, did="take")


@st.composite
def lines(draw: st.DrawFn) -> list[Line]:
    made = []
    for index in range(draw(st.integers(0, 5))):
        minimum, demand = draw(st.integers(32, 1200)), draw(st.integers(0, 2500))
        buffered = demand + draw(st.integers(0, 600))
        made.append(
            line(
                f"n{index}",
                actual=draw(st.integers(32, 2000)),
                minimum_bytes=minimum,
                maximum_bytes=minimum + draw(st.integers(0, 1500)),
                demand_bytes=demand,
                buffered_bytes=buffered,
                want_bytes=buffered + draw(st.integers(0, 600)),
                granularity_bytes=draw(st.sampled_from([1, 2, 128])),
                weight=draw(st.integers(0, 10_000)),
                stay=draw(st.sampled_from([None, REST])),
                refuse=draw(st.sampled_from([None, REST])),
                pressing=draw(st.booleans()),
            )
        )
    return made


@given(lines(), st.integers(0, 8000), st.integers(0, 500), st.sampled_from(list(Mode)))
@settings(max_examples=600, deadline=None)
def test_the_short_way_in_plenty_comes_to_what_sharing_out_would(
    known: list[Line], capacity: int, pool: int, mode: Mode
) -> None:
    present, past = _shared_out(known, capacity * MIB, pool * MIB, mode)

    shared, cut = set_targets(
        known, capacity_bytes=capacity * MIB, pool_bytes=pool * MIB, mode=mode
    )

    assert tuple(item.target_bytes for item in known) == past.sizes_bytes
    assert shared.tier is present.tier
    assert cut == (past.tier is not Tier.PLENTY)
