"""The page of the agent's protocol is what the code speaks: an agent can be written from it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest

from barostat.core.pressure import Status
from barostat.guest import belief, channel, conversation, pauses, protocol, wire
from barostat.guest.base import HostWord
from barostat.guest.conversation import Conduct, Conversation
from barostat.guest.protocol import Done, Hello, Report

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "reference" / "agent-protocol.md").read_text()
EXAMPLE = re.findall(r"^([<>]) (\{.*\})$", PAGE, re.MULTILINE)
WORD = HostWord(
    startup_bytes=1, minimum_bytes=2, maximum_bytes=3, assigned_bytes=4, status=Status.OK
)
TO_THE_VM = {
    "welcome": protocol.welcome("9d1f0c35ab42e678"),
    "ask": protocol.ASK,
    "word": protocol.word(WORD),
    "shrink": protocol.shrink(1, 2),
    "grown": protocol.grown(1),
}


def fields_of(message: str) -> list[str]:
    part = PAGE.partition(f"### `{message}`")[2].partition("\n##")[0]
    return re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE)


def test_every_message_is_explained_and_no_other() -> None:
    explained = re.findall(r"^### `(\w+)`", PAGE, re.MULTILINE)

    assert explained == [*protocol._KINDS, *TO_THE_VM]


@pytest.mark.parametrize("kind", [Hello, Report, Done])
def test_every_field_from_the_vm_is_explained(kind: type[protocol.Message]) -> None:
    spoken = [field.encode_name for field in msgspec.structs.fields(kind)]

    assert fields_of(kind.__name__.lower()) == spoken


@pytest.mark.parametrize("message", TO_THE_VM)
def test_every_field_to_the_vm_is_explained(message: str) -> None:
    spoken = [name for name in json.loads(TO_THE_VM[message]) if name not in {"v", "type"}]

    assert fields_of(message) == spoken


def test_what_may_be_null_is_said_to() -> None:
    for kind in (Hello, Report, Done):
        for field in msgspec.structs.fields(kind):
            row = re.search(rf"^\| `{field.encode_name}` \|(.*?)\|", PAGE, re.MULTILINE)
            assert row is not None
            may_be_none = type(None) in getattr(field.type, "__args__", ())
            assert ("null" in row[1]) == may_be_none, field.name


def test_the_example_is_heard_as_it_is_told() -> None:
    sessions = [json.loads(said)["session"] for way, said in EXAMPLE if '"welcome"' in said]
    talk = Conversation(sessions[0], Conduct(0.0), began_s=0.0)

    news = [
        talk.hear(said.encode(), 0.1 * number)
        for number, (way, said) in enumerate(EXAMPLE)
        if way == ">"
    ]

    assert [type(one) for one in news] == [Hello, Hello, Report, Report, Done]
    assert talk.report is not None
    assert talk.report.why == "falling"


def test_the_example_shows_every_message_as_the_host_sends_it() -> None:
    shown = {json.loads(said)["type"]: said for _, said in EXAMPLE}

    assert shown.keys() == {*protocol._KINDS, *TO_THE_VM}
    for message, sent in TO_THE_VM.items():
        assert json.loads(shown[message]).keys() == json.loads(sent).keys()


@pytest.mark.parametrize(
    "said",
    [
        f"at most {protocol.LINE_BYTES} bytes",
        f"this often when all is calm: {protocol.EVERY_MS} |",
        f"sooner than this after the last: {protocol.LEAST_MS} |",
        f"goes on without: {protocol.HOOK_MS} |",
        f"the first {protocol.SHOWN_CHARACTERS} characters",
        f"at most every {channel.HOOK_EVERY_S:g} s",
        f"A report is used for {belief.FRESH_S:g} s",
        f"more than {belief.MOVED_BYTES_PER_S // 2**30} GiB a second",
        f"another by more than {belief.MOVED_BYTES_PER_S // belief.PAGE_BYTES:,}",
        f"no faster than {belief.STALL_RATIO:g} times",
        f"more than {conversation.LINES_PER_S} lines a second",
        f"after a first {conversation.BURST_LINES};",
        f"change of `boot` within {conversation.BOOT_S:g} s",
        f"again after {pauses.FIRST_MISBEHAVED_S:g} s",
        f"up to {pauses.LONGEST_MISBEHAVED_S / 60:g} minutes",
        f"at most {1 / wire.READ_PAUSE_S:.0f} times a second",
        f"bounded by {wire.UNSENT_BYTES // 1024} KiB",
    ],
)
def test_its_numbers_are_those_of_the_code(said: str) -> None:
    assert said in PAGE.replace("\n", " ")


def test_what_is_said_in_words_is_so() -> None:
    assert (conversation.BAD_LINES, conversation.BAD_WITHIN_S) == (3, 60.0)
    assert channel.WORD_S == 1.0
    for onlining in protocol.ONLININGS:
        assert f"`{onlining}`" in PAGE
    for status in Status:
        assert f"`{status.name.lower()}`" in PAGE
