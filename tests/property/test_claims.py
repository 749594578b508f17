"""Who claims more than it can be using gains next to nothing, and who is honest loses nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.builders import Host, devices, guest, of, settings

from barostat.core.claims import credible_bytes, doubted
from barostat.units import MIB

SIZES = st.integers(0, 1 << 44)


@pytest.mark.trust("unharmed")
@given(used=SIZES, overhead=SIZES, swapped=SIZES, hidden=SIZES, actual=SIZES)
def test_a_guest_whose_used_pages_are_in_memory_or_swapped_out_is_never_held_below_its_use(
    used: int, overhead: int, swapped: int, hidden: int, actual: int
) -> None:
    in_use = max(0, used - swapped) + swapped + overhead

    credible = credible_bytes(in_use, hidden_bytes=hidden, actual_bytes=actual)

    assert doubted(used + hidden, credible) == used + hidden


@pytest.mark.trust("liars", "a guest claims memory that its QEMU does not have")
@given(in_use=SIZES, hidden=SIZES, actual=SIZES, claim=SIZES)
def test_a_lie_gains_no_more_than_the_allowance(
    in_use: int, hidden: int, actual: int, claim: int
) -> None:
    credible = credible_bytes(in_use, hidden_bytes=hidden, actual_bytes=actual)

    gain = doubted(claim, credible) - (in_use + hidden)

    assert gain <= max(64 * MIB, actual // 4)


@given(claim=SIZES)
def test_where_the_host_cannot_tell_a_guest_is_believed(claim: int) -> None:
    assert doubted(claim, None) == claim


@pytest.mark.trust("liars", "a guest claims memory that its QEMU does not have")
@given(uses=st.integers(200, 700), lie=st.integers(800, 950), weight=st.integers(1, 10_000))
def test_on_a_short_host_a_liar_takes_nothing_from_who_uses_its_memory(
    uses: int, lie: int, weight: int
) -> None:
    host = Host(1536 + 64)
    host.settings = {
        "honest": settings(128, weight=weight),
        "liar": settings(128, weight=weight),
    }
    guests = guest("honest", used=uses, has=devices()), guest("liar", used=lie, has=devices())
    in_use = {"honest": (uses + 64 + 100) * MIB, "liar": 200 * MIB}

    decision = host.tick(*guests, in_use=in_use)

    most = (200 + 64 + 256) * MIB
    assert of(decision, "liar").target_bytes <= most or of(decision, "honest").target_bytes >= (
        (uses + 64) * MIB
    )
