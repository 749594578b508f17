"""Where nothing changes nothing moves for long: no decision undoes another without end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.property.world import BLOCK_BYTES, KERNEL_BYTES, Guest

from barostat.core.allocation import Tier
from barostat.core.decide import Decision, State, decide
from barostat.core.observation import HostObservation, Snapshot
from barostat.core.policy import Policy
from barostat.core.settings import MemorySettings
from barostat.units import MIB

POLICY = Policy()
NAMES = ("a", "b", "c", "d")
WORLDS = 25
PEACE_S = 900
QUIET_S = 60


@st.composite
def peaceful(draw: st.DrawFn) -> tuple[list[Guest], dict[str, MemorySettings], int]:
    """Guests whose needs do not change, and a host with more or less than they need."""
    names = NAMES[: draw(st.integers(1, 4))]
    guests, known, needed, booted = [], {}, 0, 0
    for name in names:
        boot, used = draw(st.integers(256, 1024)) * MIB, draw(st.integers(64, 1500)) * MIB
        guests.append(
            Guest(
                name=name,
                boot_bytes=boot,
                region_bytes=1024 * MIB,
                deflate_on_oom=draw(st.booleans()),
                used_bytes=used,
                disturbed_at_s=0.0,
                hot=draw(st.booleans()),
            )
        )
        known[name] = MemorySettings(
            startup_bytes=boot,
            minimum_bytes=boot // 2,
            maximum_bytes=boot + 800 * MIB,
            buffer_percent=draw(st.sampled_from([5, 20, 100])),
            weight=draw(st.sampled_from([0, 2000, 5000, 10_000])),
        )
        needed, booted = needed + used + KERNEL_BYTES, booted + boot
    capacity = max(booted, needed * draw(st.integers(60, 160)) // 100)
    return guests, known, capacity


def decisions(
    guests: list[Guest], known: dict[str, MemorySettings], capacity: int, share: float
) -> Iterator[Decision]:
    """Decide once a second; until the next every guest does a share of what it is asked."""
    by_name = {guest.name: guest for guest in guests}
    state = State()
    for now_s in range(20, PEACE_S):
        snapshot = Snapshot(
            now_s=now_s,
            host=HostObservation(capacity_bytes=capacity),
            guests=tuple(guest.look(now_s) for guest in guests),
            settings=known,
        )
        decision = decide(snapshot, state, POLICY)
        yield decision
        state = decision.state
        for move in decision.moves:
            by_name[move.guest].pending = move
        for guest in guests:
            guest.hear()
            guest.obey(share)
            guest.thrash()


@pytest.mark.trust("rest")
@given(peaceful(), st.sampled_from([0.3, 0.6, 1.0]))
@settings(max_examples=WORLDS, deadline=None)
def test_with_obedient_guests_and_constant_needs_the_moves_come_to_rest(
    world: tuple[list[Guest], dict[str, MemorySettings], int], share: float
) -> None:
    seen = list(decisions(*world, share))

    last_move_s = max((item.now_s for item in seen if item.moves), default=0.0)
    assert last_move_s < PEACE_S - QUIET_S
    _, known, _ = world
    if seen[-1].tier is Tier.PLENTY:
        for found in seen[-1].guests:
            need = min(found.demand_bytes or 0, known[found.guest].maximum_bytes)
            assert found.assigned_bytes > need - BLOCK_BYTES
