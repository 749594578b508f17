"""A guest's end of the agent's channel, as tests play it: its lines, and who sends them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from barostat.units import MIB

BOOT = "3f2c7e0a-6d1b-4c58-9a77-0b1c2d3e4f50"


def line(**words: object) -> bytes:
    return json.dumps({"v": 1, **words}, separators=(",", ":")).encode() + b"\n"


def hello(session: str = "", *, boot: str = BOOT, **words: object) -> bytes:
    said: dict[str, object] = {
        "agent": "0.1.0",
        "kernel": "6.1.0-32-cloud-amd64",
        "block": 128 * MIB,
        "online": "online_movable",
        "hook": False,
    }
    return line(type="hello", session=session, boot=boot, **{**said, **words})


def report(session: str, seq: int, *, boot: str = BOOT, **words: object) -> bytes:
    """A report of a calm guest with 1 GiB."""
    said: dict[str, object] = {
        "why": "calm",
        "total": 960 * MIB,
        "available": 640 * MIB,
        "free": 512 * MIB,
        "caches": 200 * MIB,
        "committed": 500 * MIB,
        "swap_total": 256 * MIB,
        "swap_free": 255 * MIB,
        "swap_in": 0,
        "swap_out": MIB,
        "major_faults": 300,
        "oom_kills": 0,
        "alloc_stalls": 0,
        "refaulted": 0,
        "scanned": 0,
        "stalled_us": 0,
        "full_stalled_us": 0,
    }
    return line(type="report", session=session, boot=boot, seq=seq, **{**said, **words})


class Peer:
    """A socket with something at its end that a test makes talk.

    Attributes:
        session: of the newest welcome, "" before the first.
        heard: every line that came.
        connections: how often somebody connected.
        greet: what it says to a welcome; nothing unless a test wants it to.
        close_at_once: it hangs up on whoever connects.
        reading: it takes what it is sent.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.session = ""
        self.heard: list[dict[str, Any]] = []
        self.connections = 0
        self.greet: Callable[[str], bytes] = lambda _: b""
        self.close_at_once = False
        self.reading = True
        self.connected = asyncio.Event()
        self._seq = 0
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._serve, str(self.path))
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.hang_up()
        await asyncio.sleep(0.05)  # each connection's task sees its end
        self.path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        self.connected.set()
        try:
            while not self.close_at_once and self.reading and (came := await reader.readline()):
                self._take(json.loads(came))
            if not self.reading:
                await asyncio.sleep(3600)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._writers.remove(writer)
            self.connected.clear()
            writer.close()

    def _take(self, message: dict[str, Any]) -> None:
        self.heard.append(message)
        if message["type"] == "welcome":
            self.session, self._seq = message["session"], 0
            self.say(self.greet(self.session))

    def kinds(self) -> list[str]:
        return [message["type"] for message in self.heard]

    def say(self, *lines: bytes) -> None:
        if self._writers:
            self._writers[-1].write(b"".join(lines))

    def report(self, **words: object) -> None:
        """Say how it is, in turn."""
        self._seq += 1
        self.say(report(self.session, self._seq, **words))  # type: ignore[arg-type]

    @property
    def unsent_bytes(self) -> int:
        """What it said that nobody took yet."""
        return sum(writer.transport.get_write_buffer_size() for writer in self._writers)

    def hang_up(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()


def honest(path: Path, **words: object) -> Peer:
    """A peer that greets as it should and reports once at once."""
    peer = Peer(path)

    def greet(session: str) -> bytes:
        peer._seq = 1
        return hello(session, **words) + report(session, 1)  # type: ignore[arg-type]

    peer.greet = greet
    return peer
