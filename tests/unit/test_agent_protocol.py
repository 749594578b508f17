"""Lines of an agent become values, or a fault in our own words; what goes to it is small."""

from __future__ import annotations

import json

import pytest
from tests.unit.agent_peer import BOOT, hello, line, report

from barostat.core.pressure import Status
from barostat.guest import protocol
from barostat.guest.base import HostWord
from barostat.guest.protocol import Done, Hello, Lines, ProtocolError, Report, parse
from barostat.units import MIB

SESSION = "0123456789abcdef"


def fault_of(raw: bytes) -> ProtocolError:
    with pytest.raises(ProtocolError) as caught:
        parse(raw)
    return caught.value


def test_a_hello_says_who_is_there() -> None:
    said = parse(hello(SESSION, hook=True).rstrip())

    assert said == Hello(
        session=SESSION,
        boot=BOOT,
        agent="0.1.0",
        kernel="6.1.0-32-cloud-amd64",
        block_bytes=128 * MIB,
        online="online_movable",
        hook=True,
    )


def test_a_report_keeps_its_sizes_and_says_none_where_the_kernel_is_silent() -> None:
    said = parse(report(SESSION, 7, refaulted=None, oom_kills=None).rstrip())

    assert isinstance(said, Report)
    assert (said.seq, said.total_bytes, said.available_bytes) == (7, 960 * MIB, 640 * MIB)
    assert (said.refaulted_bytes, said.oom_kills, said.stalled_us) == (None, None, 0)


def test_the_end_of_a_hook_carries_its_number() -> None:
    said = parse(line(type="done", session=SESSION, boot=BOOT, id=3, ok=False).rstrip())

    assert said == Done(session=SESSION, boot=BOOT, id=3, ok=False)


def test_what_a_newer_agent_says_beyond_this_version_is_passed_over() -> None:
    assert parse(line(type="weather", session=SESSION, sunny=True).rstrip()) is None
    assert isinstance(parse(hello(SESSION, colour="blue", taste=None).rstrip()), Hello)


@pytest.mark.parametrize("words", ["\x1b[31mred", "[bold]x[/]", "<script>", "a b", "é"])
def test_names_are_made_fit_to_be_shown(words: str) -> None:
    said = parse(hello(SESSION, kernel=words, agent=words * 100).rstrip())

    assert isinstance(said, Hello)
    assert not set(said.kernel + said.agent) & set("\x1b[]<> é")
    assert len(said.agent) <= 64


def test_a_way_of_onlining_that_nobody_knows_is_as_good_as_none() -> None:
    said = parse(hello(SESSION, online="sideways").rstrip())

    assert isinstance(said, Hello)
    assert said.online is None


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "not one JSON object"),
        (b"null", "not one JSON object"),
        (b"[" * 4000, "not one JSON object"),
        (b'{"v":' * 700, "not one JSON object"),
        (b'{"v":1,"type":"report","extra":{}}', "not one JSON object"),
        (b'{"v":1,"type":"report","extra":[]}', "not one JSON object"),
        (b'{"v":1,"type":"report","extra":0.5}', "not one JSON object"),
        (b'{"v":1,"type":"report","extra":NaN}', "not one JSON object"),
        (b'{"v":1,"type":"report"}{}', "not one JSON object"),
        (b'{"v":1,"type":"\\ud800"}', "not one JSON object"),
        (b'{"v":' + b"9" * 4080 + b"}", "another version"),
        (b'{"type":"report"}', "another version"),
        (b'{"v":true,"type":"report"}', "another version"),
        (b'{"v":2,"type":"report"}', "another version"),
        (b'{"v":1}', "no type"),
        (b'{"v":1,"type":7}', "no type"),
        ('{"v":1,"type":"café"}'.encode(), "not ASCII"),
        (b" " * 4096, "too long"),
        (b'{"v":1,"type":"hello"}', '"hello" does not fit'),
        (report(SESSION, -1).rstrip(), '"report" does not fit'),
        (report(SESSION, 1, total=2**63).rstrip(), "$.total"),
        (report(SESSION, 1, total=1.0).rstrip(), "not one JSON object"),
        (report(SESSION, 1, total=None).rstrip(), "$.total"),
        (report(SESSION, 1, oom_kills="many").rstrip(), "$.oom_kills"),
        (report(SESSION + "0", 1).rstrip(), "$.session"),
        (report(SESSION, 1, boot="").rstrip(), "$.boot"),
        (hello(SESSION, hook=1).rstrip(), "$.hook"),
    ],
    ids=lambda value: repr(value[:24]),
)
def test_a_bad_line_is_a_fault_in_our_words(raw: bytes, why: str) -> None:
    fault = fault_of(raw)

    assert why in fault.message
    assert fault.message.isascii()
    assert len(fault.message) < 200


def test_a_fault_repeats_nothing_that_was_sent() -> None:
    for raw in (
        report(SESSION, 1, why="secret", total="secret"),
        b'{"v":1,"type":"report","secret":[1]}',
        b'{"v":1,"type":"hello","secret"',
        hello(SESSION, boot="secret" * 20),
    ):
        assert "secret" not in fault_of(raw.rstrip()).message


def test_lines_are_cut_wherever_the_pieces_end() -> None:
    lines, said = Lines(), b"first\n\nsecond\nthird"
    heard: list[bytes] = []

    for byte in said:
        lines.room()[:1] = bytes([byte])
        heard += lines.took(1)

    assert heard == [b"first", b"", b"second"]


def test_a_line_of_exactly_the_bound_is_heard_and_a_longer_one_never_held() -> None:
    lines = Lines()
    lines.room()[:4096] = b"x" * 4095 + b"\n"
    assert list(lines.took(4096)) == [b"x" * 4095]

    lines.room()[:4096] = b"x" * 4096
    with pytest.raises(ProtocolError, match="more than 4096 bytes"):
        list(lines.took(4096))


def test_what_goes_to_the_guest_is_one_small_line_each() -> None:
    said = HostWord(
        startup_bytes=1, minimum_bytes=2, maximum_bytes=3, assigned_bytes=4, status=Status.UNKNOWN
    )

    sent = [
        protocol.welcome(SESSION),
        protocol.ASK,
        protocol.word(said),
        protocol.shrink(5, 6),
        protocol.grown(7),
    ]

    assert [json.loads(one) for one in sent] == [
        {"v": 1, "type": "welcome", "session": SESSION, "every_ms": 1000, "least_ms": 50},
        {"v": 1, "type": "ask"},
        {
            "v": 1,
            "type": "word",
            "startup": 1,
            "minimum": 2,
            "maximum": 3,
            "assigned": 4,
            "status": "unknown",
        },
        {"v": 1, "type": "shrink", "id": 5, "to": 6, "deadline_ms": 2000},
        {"v": 1, "type": "grown", "to": 7},
    ]
    assert all(one.endswith(b"\n") and len(one) < 4096 for one in sent)
