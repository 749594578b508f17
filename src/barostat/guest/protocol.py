"""The agent's protocol, version 1: bytes to values and back (docs/reference/agent-protocol.md).

A line is one JSON object of plain values. All that a guest sends comes through `Lines`, which never
holds more than one line of it, and `parse`, which gives a value whose every figure is in its range,
or raises ProtocolError. The words of that error are ours: nothing that a guest sent is in them, so
that they may be logged and shown. Whether what a value says can be true is `belief`'s to judge.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct, field

from barostat.errors import BarostatError
from barostat.guest.base import HostWord

__all__ = [
    "ASK",
    "Done",
    "Hello",
    "Lines",
    "Message",
    "ProtocolError",
    "Report",
    "grown",
    "parse",
    "shrink",
    "welcome",
    "word",
]

VERSION: Final = 1
LINE_BYTES: Final = 4096
"""The longest line, with its newline. Real ones have under 700."""

EVERY_MS: Final = 1000
"""How often a calm guest reports: as often as Hyper-V's do."""

LEAST_MS: Final = 50
"""How soon, at the earliest, one report follows another."""

HOOK_MS: Final = 2000
"""How long a guest's programs have to give memory by themselves before it is taken."""

SHOWN_CHARACTERS: Final = 64
"""Linux' own bound for a release; nothing longer is shown to a person."""

ONLININGS: Final = frozenset(
    {"online", "online_kernel", "online_movable", "offline", "auto-movable"}
)

_UNPRINTABLE: Final = re.compile(r"[^A-Za-z0-9._+~@:-]")


class ProtocolError(BarostatError):
    """A line that is not of the protocol. Its words are ours alone."""


Session = Annotated[str, Meta(max_length=16)]
Boot = Annotated[str, Meta(min_length=1, max_length=64)]
Figure = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Hello(Struct, frozen=True, kw_only=True):
    """An agent is there: who it is, and what its guest's kernel does with plugged memory.

    Attributes:
        session: that of the welcome which it answers, "" before there was one.
        boot: which boot of the guest this is.
        agent: its version. Like `kernel` fit to be shown: anything unusual reads "?".
        kernel: the guest's release.
        block_bytes: the size of its memory blocks.
        online: one of ONLININGS; None too where it is one that we do not know.
        hook: programs in the guest give memory before it shrinks.
    """

    session: Session
    boot: Boot
    agent: str
    kernel: str
    block_bytes: Figure | None = field(name="block")
    online: str | None
    hook: bool


class Report(Struct, frozen=True, kw_only=True):
    """How it is with a guest's memory. Counters run since its boot; None: its kernel is silent.

    Attributes:
        seq: counts the reports of a session from 1.
        why: what made it report now.
        caches_bytes: Buffers, Cached and SwapCached.
        committed_bytes: Committed_AS.
        alloc_stalls: the sum of allocstall_*.
        refaulted_bytes, scanned_bytes: pages of workingset_refault_file, and of pgscan_kswapd and
            pgscan_direct, in bytes.
        stalled_us, full_stalled_us: PSI's "some" and "full" totals of memory, in microseconds.
    """

    session: Session
    boot: Boot
    seq: Figure
    why: str
    total_bytes: Figure = field(name="total")
    available_bytes: Figure = field(name="available")
    free_bytes: Figure = field(name="free")
    caches_bytes: Figure = field(name="caches")
    committed_bytes: Figure = field(name="committed")
    swap_total_bytes: Figure = field(name="swap_total")
    swap_free_bytes: Figure = field(name="swap_free")
    swap_in_bytes: Figure = field(name="swap_in")
    swap_out_bytes: Figure = field(name="swap_out")
    major_faults: Figure
    oom_kills: Figure | None
    alloc_stalls: Figure | None
    refaulted_bytes: Figure | None = field(name="refaulted")
    scanned_bytes: Figure | None = field(name="scanned")
    stalled_us: Figure | None
    full_stalled_us: Figure | None


class Done(Struct, frozen=True, kw_only=True):
    """The guest's programs gave what they could, or could not (`ok` is False)."""

    session: Session
    boot: Boot
    id: Figure
    ok: bool


Message = Hello | Report | Done
_KINDS: Final[dict[object, type[Message]]] = {"hello": Hello, "report": Report, "done": Done}
_words: Final = msgspec.json.Decoder(dict[str, str | int | bool | None])


def parse(line: bytes) -> Message | None:
    """Read one line from a guest, without its newline.

    Returns:
        What it says; None for a type that this version does not know.

    Raises:
        ProtocolError: it is not a line of the protocol.
    """
    if len(line) >= LINE_BYTES:
        raise ProtocolError("a line is too long", hint=f"send at most {LINE_BYTES} bytes a line")
    if not line.isascii():
        raise ProtocolError("a line is not ASCII", hint="escape other characters as JSON does")
    try:
        words = _words.decode(line)
    except (msgspec.MsgspecError, ValueError) as error:
        hint = "send strings, integers, true, false and null; nothing nested, no fractions"
        raise ProtocolError("a line is not one JSON object of plain values", hint=hint) from error
    version, name = words.get("v"), words.get("type")
    if version is True or version != VERSION or not isinstance(name, str):
        hint = f'send "v":{VERSION} and a "type" in every line'
        raise ProtocolError("a line is of another version, or of no type", hint=hint)
    kind = _KINDS.get(name)
    return None if kind is None else _fitting(words, name, kind)


def _fitting(words: dict[str, str | int | bool | None], name: str, kind: type[Message]) -> Message:
    try:
        message = msgspec.convert(words, kind)
    except msgspec.ValidationError as error:  # names our own keys, and never what was sent
        raise ProtocolError(f'a "{name}" does not fit: {error}') from error
    if not isinstance(message, Hello):
        return message
    return msgspec.structs.replace(
        message,
        agent=_shown(message.agent),
        kernel=_shown(message.kernel),
        online=message.online if message.online in ONLININGS else None,
    )


def _shown(text: str) -> str:
    """Make a guest's word fit for a terminal, a page and a log."""
    return _UNPRINTABLE.sub("?", text[:SHOWN_CHARACTERS])


class Lines:
    """Cuts what comes from a guest into lines, within one buffer of one line's length."""

    def __init__(self) -> None:
        self._buffer = bytearray(LINE_BYTES)
        self._filled = 0

    def room(self) -> memoryview:
        """Say where the next bytes go; never empty."""
        return memoryview(self._buffer)[self._filled :]

    def took(self, count: int) -> Iterator[bytes]:
        """Give the lines that are whole after `count` bytes more; exhaust it before the next.

        Raises:
            ProtocolError: a line is longer than any may be; nothing more can be read.
        """
        began, end = 0, self._filled + count
        newline = self._buffer.find(b"\n", self._filled, end)
        while newline >= 0:
            yield bytes(self._buffer[began:newline])
            began = newline + 1
            newline = self._buffer.find(b"\n", began, end)
        self._filled = end - began
        self._buffer[: self._filled] = self._buffer[began:end]
        if self._filled == LINE_BYTES:
            message = f"it sent a line of more than {LINE_BYTES} bytes"
            raise ProtocolError(message, hint="end every line with a newline")


def _line(kind: str, **words: str | int) -> bytes:
    return msgspec.json.encode({"v": VERSION, "type": kind, **words}) + b"\n"


ASK: Final = _line("ask")
"""Report now."""


def welcome(session: str) -> bytes:
    """Begin a session: what was said before it is stale."""
    return _line("welcome", session=session, every_ms=EVERY_MS, least_ms=LEAST_MS)


def word(said: HostWord) -> bytes:
    """Tell a guest what it has and may have."""
    return _line(
        "word",
        startup=said.startup_bytes,
        minimum=said.minimum_bytes,
        maximum=said.maximum_bytes,
        assigned=said.assigned_bytes,
        status=said.status.name.lower(),
    )


def shrink(number: int, to_bytes: int) -> bytes:
    """Say that memory is about to be taken, down to this assigned size."""
    return _line("shrink", id=number, to=to_bytes, deadline_ms=HOOK_MS)


def grown(to_bytes: int) -> bytes:
    """Say that the guest was given more, up to this assigned size."""
    return _line("grown", to=to_bytes)
