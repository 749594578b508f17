"""Decisions out of turn: for those that cannot wait, and for nobody else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.builders import Host, codes, devices, guest, of, settings

from barostat.core.decide import Decision
from barostat.core.moves import MoveKind
from barostat.core.observation import GuestObservation
from barostat.core.reasons import ReasonCode
from barostat.units import MIB


def moved(decision: Decision) -> dict[str, MoveKind]:
    return {move.guest: move.kind for move in decision.moves}


def two_short(at: float = 100.0) -> tuple[GuestObservation, GuestObservation]:
    return guest("first", used=900, at=at), guest("second", used=900, at=at)


def test_only_those_that_cannot_wait_are_moved() -> None:
    decision = Host().tick(*two_short(), hurried=["second"])

    assert moved(decision) == {"second": MoveKind.GROW}
    assert of(decision, "first").promised_bytes == 1024 * MIB
    assert ReasonCode.DEMAND in codes(decision, "first"), "why it waits is said"


def test_where_nobody_hurries_everybody_has_a_turn() -> None:
    assert moved(Host().tick(*two_short())).keys() == {"first", "second"}


def test_what_is_remembered_of_the_others_stays_as_it_was() -> None:
    host = Host()
    host.tick(guest("first", used=400, at=99), guest("second", used=400, at=99), at=99)
    before = host.state.guests["first"]

    decision = host.tick(*two_short(), hurried=["second"])

    kept = decision.state.guests["first"]
    assert kept.wish == before.wish
    assert kept.grown_at_s == before.grown_at_s
    assert decision.state.guests["second"].grown_at_s == 100


@pytest.mark.trust("confirmed", "a guest cannot wait for its turn")
def test_nothing_is_taken_from_anybody_out_of_turn() -> None:
    host = Host(2060)
    seen = guest("idle", used=100), guest("busy", used=950)

    out_of_turn = host.tick(*seen, hurried=["busy"])
    in_turn = Host(2060).tick(*seen)

    assert moved(in_turn)["idle"] is MoveKind.SHRINK
    assert "idle" not in moved(out_of_turn)


@pytest.mark.trust("confirmed", "a guest cannot wait for its turn")
def test_grants_out_of_turn_come_only_from_what_is_in_hand() -> None:
    decision = Host(2060).tick(guest("idle", used=100), guest("busy", used=950), hurried=["busy"])

    assert of(decision, "busy").promised_bytes <= (2060 - 1024) * MIB
    assert decision.in_hand_bytes >= 0


def test_the_share_of_a_heavier_guest_that_waits_for_its_turn_is_left_for_it() -> None:
    host = Host(2248)
    host.settings["heavy"] = settings(weight=10_000)
    host.settings["light"] = settings(weight=1)
    seen = guest("heavy", used=1000), guest("light", used=1000)

    out_of_turn = host.tick(*seen, hurried=["light"])
    later = tuple(replace(item, seen_at_s=100.2) for item in seen)
    in_turn = host.tick(*later, at=100.2)

    assert "heavy" not in moved(out_of_turn)
    assert moved(in_turn)["heavy"] is MoveKind.GROW
    assert of(in_turn, "heavy").promised_bytes >= of(in_turn, "heavy").target_bytes
    assert in_turn.in_hand_bytes >= 0


def test_a_shrink_of_another_that_should_end_ends_at_its_turn() -> None:
    host = Host()
    host.tick(guest("gives", used=100), guest("busy", used=500))
    silent = replace(guest("gives", used=100, at=100), seen_at_s=106.0)

    out_of_turn = host.tick(silent, guest("busy", used=950, at=106), at=106, hurried=["busy"])
    in_turn = host.tick(silent, guest("busy", used=950, at=106.1), at=106.1)

    assert moved(out_of_turn) == {"busy": MoveKind.GROW}
    assert moved(in_turn)["gives"] is MoveKind.CANCEL


def test_the_tick_after_fills_the_pool_again() -> None:
    host = Host(2200)
    for at in (99.0, 100.0):  # the idle one settles, the busy one jumps
        host.tick(guest("idle", used=800, at=at), guest("busy", used=600, at=at), at=at)
    jumped = guest("busy", used=1000, at=100.2)

    hurried = host.tick(guest("idle", used=300, at=100), jumped, at=100.2, hurried=["busy"])
    grown = devices(plugged=of(hurried, "busy").promised_bytes // MIB - 1024)
    after = host.tick(
        guest("idle", used=300, at=101), guest("busy", used=1000, has=grown, at=101), at=101
    )

    assert moved(hurried) == {"busy": MoveKind.GROW}
    assert hurried.in_hand_bytes < hurried.pool_bytes
    assert moved(after)["idle"] is MoveKind.SHRINK
