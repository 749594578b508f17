"""What a guest says it needs, against what its QEMU holds."""

from __future__ import annotations

from tests.unit.builders import Host, codes, guest, line, of, settings

from barostat.core.lines import least_bytes
from barostat.core.reasons import ReasonCode, because
from barostat.units import MIB

LIAR_HOLDS = {"honest": 1000 * MIB, "liar": 200 * MIB}


def short_host() -> Host:
    host = Host(1600)
    host.settings = {"honest": settings(128), "liar": settings(128)}
    return host


def test_a_guest_that_never_touched_what_it_claims_makes_way_for_one_that_did() -> None:
    guests = guest("honest", used=900), guest("liar", used=900)

    believed = short_host().tick(*guests)
    doubted = short_host().tick(*guests, in_use=LIAR_HOLDS)

    assert of(believed, "honest").target_bytes == of(believed, "liar").target_bytes
    assert of(doubted, "liar").target_bytes <= (200 + 64 + 256) * MIB + 100 * MIB
    assert of(doubted, "honest").target_bytes >= 964 * MIB
    assert codes(doubted, "liar")[-1] is ReasonCode.DOUBTED
    assert ReasonCode.DOUBTED not in codes(doubted, "honest")


def test_where_there_is_enough_everyone_is_believed() -> None:
    guests = guest("honest", used=900), guest("liar", used=900)

    decision = Host(8192).tick(*guests, in_use=LIAR_HOLDS)

    assert of(decision, "liar").target_bytes == of(decision, "honest").target_bytes
    assert ReasonCode.DOUBTED not in codes(decision, "liar")


def test_nobody_is_taken_below_its_minimum_by_doubt() -> None:
    host = short_host()
    host.settings["liar"] = settings(800)

    decision = host.tick(
        guest("honest", used=900), guest("liar", used=900), in_use={"liar": 10 * MIB}
    )

    assert of(decision, "liar").target_bytes >= 800 * MIB


def test_nobody_pays_for_what_a_guest_took_back_and_does_not_use() -> None:
    rest = because(ReasonCode.RESTING, wait_s=30.0, failures=1, did="give")

    assert least_bytes(line(actual=1000, stay=rest)) == 1000 * MIB
    assert least_bytes(line(actual=1000, stay=rest, credible_bytes=600)) == 600 * MIB
    assert least_bytes(line(actual=1000, stay=rest, credible_bytes=60)) == 128 * MIB
