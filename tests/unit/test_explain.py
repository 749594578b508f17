from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from barostat.core.explain import reason_json, sentence, summary, template
from barostat.core.moves import Move, MoveKind
from barostat.core.reasons import ReasonCode, because
from barostat.units import GIB, MIB

KNOWN: Mapping[str, float | str] = {
    "rate_bytes_per_s": 80 * MIB,
    "buffer_percent": 20,
    "failures": 3,
    "wait_s": 12.4,
    "age_s": 7.0,
    "since_s": 31.0,
    "who": "web, db",
    "did": "give",
    "guest": "mail",
    "fault": "minimum is too large",
}


def numbers_of(code: ReasonCode) -> dict[str, float | str]:
    names = re.findall(r"{(\w+)}", template(code))
    return {name: KNOWN.get(name, 512 * MIB) for name in names}


@pytest.mark.parametrize("code", list(ReasonCode))
def test_every_reason_has_a_sentence_with_its_numbers(code: ReasonCode) -> None:
    said = sentence(because(code, **numbers_of(code)))

    assert said
    assert "{" not in said


def test_numbers_are_said_as_people_read_them() -> None:
    growth = because(ReasonCode.GROWTH, rate_bytes_per_s=80.5 * MIB)
    resting = because(ReasonCode.RESTING, did="give", failures=3, wait_s=12.4)
    demand = because(
        ReasonCode.DEMAND, demand_bytes=600 * MIB, buffer_percent=20, want_bytes=12 * GIB
    )

    assert "80 MiB a second" in sentence(growth)
    assert (
        sentence(resting)
        == "it did not give when it was asked (3 times); it is asked again in 12 s"
    )
    assert "600 MiB" in sentence(demand)
    assert "20 % buffer" in sentence(demand)
    assert "12.0 GiB" in sentence(demand)


def test_a_reason_in_json_has_its_code_its_numbers_and_its_sentence() -> None:
    stale = because(ReasonCode.STALE, age_s=7.0)

    assert reason_json(stale) == {
        "code": "stale",
        "numbers": {"age_s": 7.0},
        "sentence": "its statistics are 7 s old",
    }


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (
            MoveKind.GROW,
            "web: grow from 512 MiB to 600 MiB",
        ),
        (
            MoveKind.SHRINK,
            "web: shrink from 512 MiB to 600 MiB",
        ),
        (
            MoveKind.NUDGE,
            "web: go on from 512 MiB to 600 MiB",
        ),
        (MoveKind.CANCEL, "web: stay at 600 MiB"),
    ],
)
def test_every_kind_of_move_is_said_in_one_sentence(kind: MoveKind, said: str) -> None:
    move = Move(
        guest="web",
        kind=kind,
        from_bytes=512 * MIB,
        to_bytes=600 * MIB,
        reasons=(because(ReasonCode.STALE, age_s=7.0), because(ReasonCode.PAUSED, since_s=2.0)),
    )

    assert summary(move) == (
        f"{said}: its statistics are 7 s old; it is paused, "
        "suspended or crashed: its processors stand still"
    )
