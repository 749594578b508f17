"""A QEMU that answers as one does, until it is told to answer something else."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from barostat.units import GIB, MIB

Message = dict[str, Any]
Spoil = Callable[[Message, Message], bytes]
"""Takes a command and the right answer, and gives what is sent."""


def as_it_is(_: Message, answer: Message) -> bytes:
    return json.dumps(answer).encode() + b"\r\n"


def returned(command: str, arguments: Message) -> Any:
    """Give what a QEMU of 1 GiB with a balloon and a virtio-mem device returns."""
    plug = {"id": "vmem0", "memaddr": 2**32, "size": 0, "requested-size": 0, "node": 0}
    plug |= {"max-size": GIB, "block-size": 2 * MIB}
    stats = {"stat-total-memory": GIB - 32 * MIB, "stat-available-memory": GIB // 2}
    stats |= {"stat-free-memory": GIB // 4, "stat-disk-caches": GIB // 4, "stat-swap-in": 0}
    properties = {
        "deflate-on-oom": True,
        "guest-stats": {"stats": stats, "last-update": int(time.time())},
    }
    children = [{"name": "balloon0", "type": "child<virtio-balloon-pci>"}]
    answers: Message = {
        "query-memory-size-summary": {"base-memory": GIB, "plugged-memory": 0},
        "query-balloon": {"actual": GIB},
        "query-memory-devices": [{"type": "virtio-mem", "data": plug}],
        "query-status": {"status": "running", "running": True},
        "qom-list": children if arguments.get("path") == "/machine/peripheral" else [],
        "qom-get": properties.get(arguments.get("property", "")),
    }
    return answers.get(command, {})


class PlayedQmp:
    """Serves one socket. `spoil` may be replaced at any time."""

    def __init__(self) -> None:
        self.spoil: Spoil = as_it_is
        self._sessions: set[asyncio.StreamWriter] = set()

    @asynccontextmanager
    async def at(self, path: Path) -> AsyncIterator[None]:
        """Serve until the body ends."""
        server = await asyncio.start_unix_server(self._serve, str(path))
        try:
            yield
        finally:
            server.close()
            for session in self._sessions:
                session.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._sessions.add(writer)
        try:
            await self._answer(reader, writer)
        except ConnectionError:
            return
        finally:
            self._sessions.discard(writer)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'{"QMP": {"version": {"qemu": {"major": 9}}, "capabilities": []}}\r\n')
        decoder, text = json.JSONDecoder(), ""
        while data := await reader.read(65536):
            text += data.decode()
            while text := text.lstrip():
                try:
                    command, end = decoder.raw_decode(text)
                except json.JSONDecodeError:
                    break
                text = text[end:]
                answer = {"return": returned(command["execute"], command.get("arguments", {}))}
                answer |= {"id": command["id"]} if "id" in command else {}
                writer.write(self.spoil(command, answer))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(1):
                        await writer.drain()
