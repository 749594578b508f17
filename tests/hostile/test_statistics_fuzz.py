"""A balloon driver may say anything: it is figures that can be true, or nothing."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from tests.hostile.bounds import Note, bounded, cases
from tests.hostile.mutations import ANYTHING
from tests.unit.builders import POLICY, guest, settings

from barostat.core.decide import State, decide
from barostat.core.observation import HostObservation, Snapshot
from barostat.core.statistics import Statistics, read_statistics
from barostat.units import GIB, MIB

KEYS = (
    "total-memory",
    "available-memory",
    "free-memory",
    "disk-caches",
    "swap-in",
    "swap-out",
    "major-faults",
    "minor-faults",
    "oom-kills",
    "alloc-stalls",
    "htlb-pgalloc",
)
LIMIT_BYTES = GIB
INPUTS = 100_000


def words(chance: random.Random) -> dict[str, Any]:
    """What a driver says: figures that could be, near a bound, or anything at all."""
    said: dict[str, Any] = {}
    for key in KEYS:
        match chance.randrange(8):
            case 0:
                continue
            case 1:
                said[f"stat-{key}"] = chance.choice(ANYTHING)
            case 2:
                said[f"stat-{key}"] = LIMIT_BYTES + chance.randrange(-2, 3)
            case 3:
                said[f"stat-{key}"] = chance.randrange(2**64)
            case _:
                said[f"stat-{key}"] = chance.randrange(LIMIT_BYTES)
    return said


def assert_possible(read: Statistics) -> None:
    assert 0 < read.total_bytes <= LIMIT_BYTES * 1.01
    assert 0 <= read.available_bytes <= read.total_bytes
    assert read.disk_caches_bytes is None or 0 <= read.disk_caches_bytes <= read.total_bytes
    counters = (read.swap_in_bytes, read.swap_out_bytes, read.major_faults)
    optional = (read.oom_kills, read.alloc_stalls)
    for counter in (*counters, *(value for value in optional if value is not None)):
        assert type(counter) is int
        assert 0 <= counter < 2**64 - 1


@pytest.mark.trust("input", "a balloon driver says anything at all")
def test_whatever_a_driver_says_is_figures_that_can_be_true_or_nothing(
    record_property: Note,
) -> None:
    chance = random.Random(random.randrange(2**32))
    read_statistics(words(chance), limit_bytes=LIMIT_BYTES)
    believed = 0
    record_property("cases", INPUTS)

    with bounded(within_s=60):
        for _ in range(INPUTS):
            read = read_statistics(words(chance), limit_bytes=LIMIT_BYTES)
            if read is not None:
                believed += 1
                assert_possible(read)

    assert 0.01 < believed / INPUTS < 0.5


@pytest.mark.trust("capacity", "a balloon driver says anything at all")
@pytest.mark.trust("minimum", "a balloon driver says anything at all")
def test_whatever_is_believed_can_be_decided_on_again_and_again(record_property: Note) -> None:
    state = State()
    now_s, capacity = 1000.0, 4096 * MIB

    for number, chance in enumerate(cases(record_property, least=500, seconds=3)):
        now_s += 1.0
        read = read_statistics(words(chance), limit_bytes=LIMIT_BYTES)
        liar = replace(
            guest("liar"), statistics=read, seen_at_s=now_s, statistics_at_s=now_s, disturbed_at_s=0
        )
        honest = replace(guest("web", used=300), seen_at_s=now_s, statistics_at_s=now_s)
        snapshot = Snapshot(
            now_s=now_s,
            host=HostObservation(capacity_bytes=capacity),
            guests=(liar, honest),
            settings={"liar": settings(), "web": settings()},
        )
        decision = decide(snapshot, state, POLICY)
        state = State() if number % 200 == 0 else decision.state

        held = sum(item.promised_bytes for item in decision.guests)
        assert held <= capacity
        for item in decision.guests:
            limits = snapshot.settings[item.guest]
            if item.move is not None:
                assert limits.minimum_bytes <= item.move.to_bytes <= limits.maximum_bytes
