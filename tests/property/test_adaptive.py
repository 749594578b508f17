"""The bound of the buffer that learns, for whatever a guest's demand does."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.builders import devices, guest
from tests.unit.builders import settings as of_guest

from barostat.core.demand import estimate
from barostat.core.demand_state import DemandState
from barostat.core.policy import DemandPolicy, Policy
from barostat.core.sizes import measure
from barostat.core.wants import wanted_bytes
from barostat.units import MIB

HAS = devices(1024, plugged=1024)
SIZES = measure(HAS)
MOST_MIB = 1900
needs = st.lists(
    st.one_of(st.integers(1, MOST_MIB), st.sampled_from([1, 100, 1000, MOST_MIB])),
    min_size=2,
    max_size=200,
)


@given(
    needs,
    st.sampled_from([0.01, 0.05, 0.3]),
    st.sampled_from([0.02, 0.1, 0.5]),
    st.sampled_from([0.2, 2.0]),
    st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_no_more_looks_find_a_guest_short_than_the_bound_allows(
    used: list[int], share: float, step: float, cap: float, forgetful: bool
) -> None:
    demand = DemandPolicy(adaptive=True, short_share=share, adaptive_step=step, adaptive_cap=cap)
    memory_s = 0.01 if forgetful else 300.0  # without a past, what is wanted is small: many errors
    policy = Policy(demand=demand, half_life_s=memory_s, growth_half_life_s=memory_s)
    known = of_guest(maximum=2048)

    short, state = 0, None
    for second, mib in enumerate(used):
        seen = guest(used=mib, has=HAS, at=float(second))
        after = estimate(state, seen, SIZES, settings=known, tight=False, policy=policy)
        assert after is not None
        if state is not None:
            short += min(after.demand_bytes, 2048 * MIB) > _wanted(state, policy)
        state = after

    looks = len(used) - 1
    assert short / looks <= share + (cap + step) / (step * looks) + 1e-9


def _wanted(state: DemandState, policy: Policy) -> int:
    """What it is given: what it wants, where nothing is scarce."""
    return wanted_bytes(state, buffer_percent=20, policy=policy)
