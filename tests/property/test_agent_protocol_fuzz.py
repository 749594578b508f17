"""Whatever comes from a guest is a value within its bounds or a ProtocolError, soon and quietly."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.agent_peer import hello, line, report

from barostat.guest.conversation import Conduct, Conversation, MisbehavingError
from barostat.guest.protocol import (
    LINE_BYTES,
    Done,
    Hello,
    Lines,
    Message,
    ProtocolError,
    Report,
    parse,
)

SESSION: Final = "0123456789abcdef"
BOOT: Final = "3f2c7e0a-6d1b-4c58-9a77-0b1c2d3e4f50"
VALID: Final = [
    raw.rstrip()
    for raw in (
        hello(SESSION),
        hello(""),
        report(SESSION, 1),
        report(SESSION, 2, oom_kills=None, stalled_us=None),
        line(type="done", session=SESSION, boot=BOOT, id=1, ok=True),
    )
]
INPUTS_OF_A_KIND: Final = 20_000
SESSIONS: Final = 200
STRANGE: Final[list[Any]] = [
    None,
    True,
    -1,
    0,
    2**53,
    2**63 - 1,
    2**63,
    2**64,
    10**300,
    1.5,
    -0.0,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "1",
    "x" * 5000,
    "\x00",
    "\x1b[2J",
    "é",
    "\ud800",
    "😀",
    [],
    {},
    [[[[]]]],
    {"total": 1},
]


def any_bytes(rng: random.Random) -> bytes:
    return rng.randbytes(rng.choice((0, 1, 7, 60, 500, 4096)))


def mutated(rng: random.Random) -> bytes:
    """A valid line of which bytes were changed, dropped, doubled or cut off."""
    raw = bytearray(rng.choice(VALID))
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(raw) or 1)
        match rng.randrange(5):
            case 0:
                raw[at : at + 1] = rng.randbytes(1)
            case 1:
                del raw[at : at + rng.randint(1, 9)]
            case 2:
                raw[at:at] = raw[at : at + rng.randint(1, 50)]
            case 3:
                raw[at:at] = rng.choice((b"{", b"[", b'"', b"\\u00", b",", b"9" * 30, b"e9", b"-"))
            case _:
                del raw[at:]
    return bytes(raw)


def retyped(rng: random.Random) -> bytes:
    """A valid line of which values, or whole keys, are others."""
    words = json.loads(rng.choice(VALID))
    for _ in range(rng.randint(1, 3)):
        key = rng.choice([*words, "extra", "v", "type"])
        if rng.random() < 0.2:
            words.pop(key, None)
        else:
            words[key] = rng.choice(STRANGE)
    ascii_only = rng.random() < 0.8
    return json.dumps(words, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")


def nested(rng: random.Random) -> bytes:
    opening = rng.choice((b"[", b'{"v":', b'{"v":1,"x":[', b'{"a":{"b":'))
    return opening * rng.randint(1, 5000 // len(opening)) + rng.choice((b"", b"1", b"}" * 50))


def numbered(rng: random.Random) -> bytes:
    """A report with one figure of many digits, or of a shape that only looks like a number."""
    digits = "".join(rng.choices("0123456789", k=rng.choice((1, 19, 20, 39, 400, 3000))))
    shape = rng.choice(("{}", "-{}", "{}.0", "{}e5", "1e{}", "0x{}", "+{}", "NaN", "Infinity"))
    raw = rng.choice(VALID[2:4])
    return raw.replace(b'"total":', b'"total":' + shape.format(digits).encode() + b',"x":', 1)


def heard(raw: bytes) -> Message | None:
    """Parse, and check all that holds for whatever comes out."""
    fault = ""
    try:
        message = parse(raw)
    except ProtocolError as error:
        message, fault = None, error.message
    assert fault.isascii()
    assert fault == "" or fault.isprintable()
    assert len(fault) < 200
    if fault:
        return None
    assert len(raw) < LINE_BYTES
    assert raw.isascii()
    if message is not None:
        for value in msgspec.structs.asdict(message).values():
            assert value is None or isinstance(value, str) or 0 <= value < 2**63
    if isinstance(message, Hello):
        assert (message.agent + message.kernel).isprintable()
        assert len(message.kernel) <= 64
    return message


@pytest.mark.trust("input", "an agent's lines are garbled")
@pytest.mark.parametrize("made", [any_bytes, mutated, retyped, nested, numbered])
def test_no_line_makes_more_of_the_parser_than_it_may(
    made: Callable[[random.Random], bytes], record_property: Callable[[str, object], None]
) -> None:
    record_property("cases", INPUTS_OF_A_KIND)
    rng = random.Random(made.__name__)
    kinds = {type(heard(made(rng))) for _ in range(INPUTS_OF_A_KIND)}

    assert type(None) in kinds
    assert kinds <= {type(None), Hello, Report, Done}


@pytest.mark.trust("input", "an agent's lines are garbled")
@given(st.binary(max_size=6000) | st.text(max_size=2000).map(lambda text: text.encode()))
@settings(max_examples=1000, deadline=None)
def test_any_bytes_are_parsed_or_refused(raw: bytes) -> None:
    heard(raw)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@pytest.mark.trust("input", "an agent's lines are garbled")
@given(st.dictionaries(st.sampled_from(sorted(json.loads(VALID[2]))), JSON, max_size=3))
@settings(max_examples=200, deadline=None)
def test_any_json_is_parsed_or_refused(words: dict[str, object]) -> None:
    heard(json.dumps(json.loads(VALID[2]) | words).encode("utf-8", "surrogatepass"))


@pytest.mark.trust("input", "an agent's lines come in any pieces")
@given(st.lists(st.binary(max_size=3000), max_size=20), st.integers(1, LINE_BYTES))
@settings(max_examples=300, deadline=None)
def test_lines_come_out_as_they_went_in_however_they_are_cut(said: list[bytes], piece: int) -> None:
    expected = [one.replace(b"\n", b"") for one in said]
    lines, stream = Lines(), b"".join(one + b"\n" for one in expected)
    out: list[bytes] = []

    while stream:
        count = min(piece, len(room := lines.room()), len(stream))
        room[:count] = stream[:count]
        stream = stream[count:]
        out += lines.took(count)

    assert out == expected


@pytest.mark.trust("input", "an agent's lines are garbled")
@pytest.mark.parametrize("made", [mutated, retyped])
def test_no_sequence_of_lines_makes_a_session_hold_what_is_out_of_bounds(
    made: Callable[[random.Random], bytes], record_property: Callable[[str, object], None]
) -> None:
    record_property("cases", SESSIONS)
    rng, now_s = random.Random(made.__name__), 0.0
    for _ in range(SESSIONS):
        talk = Conversation(SESSION, Conduct(now_s), began_s=now_s)
        talk.hear(VALID[0], now_s)
        for _ in range(50):
            now_s += rng.choice((0.0, 0.05, 1.0, 60.0))
            before = talk.report
            try:
                news = talk.hear(rng.choice((made(rng), rng.choice(VALID))), now_s)
            except MisbehavingError:
                break
            after = talk.report
            assert not isinstance(news, Report) or news is after
            if before is not None and after is not None and before.boot == after.boot:
                assert after.swap_out_bytes >= before.swap_out_bytes
                assert after.seq == before.seq or isinstance(news, Report)


@pytest.mark.trust("input", "an agent's lines are made to take long")
def test_the_longest_lines_take_time_in_proportion_to_their_length() -> None:
    def worst_s(size: int) -> float:
        shapes = [
            b"[" * size,
            b'{"v":' * (size // 5),
            b'{"v":1,"type":"' + b"x" * (size - 17) + b'"}',
            b'{"v":' + b"9" * (size - 6) + b"}",
            b'{"v":1,"x":"' + b"\\u0041" * ((size - 14) // 6) + b'"}',
            b"{" + b",".join(b'"k%d":1' % number for number in range(size // 9)) + b"}",
        ]
        return max(min(time_of(shape) for _ in range(30)) for shape in shapes)

    def time_of(raw: bytes) -> float:
        began = time.perf_counter()
        heard(raw)
        return time.perf_counter() - began

    short_s, long_s = worst_s(1000), worst_s(4000)

    assert long_s < 4 * short_s * 4  # four times the length; quadratic would be another four
