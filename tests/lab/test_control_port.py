"""The control port's host end, against a peer that says what a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import fields
from pathlib import Path

import msgspec
import pytest

from barostat.errors import LabError
from barostat.lab.witness import ControlPort, Witness

Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def report(**figures: int) -> bytes:
    """Write a report line; figures that a test does not name are 0."""
    return msgspec.json.encode({field.name: 0 for field in fields(Witness)} | figures) + b"\n"


@asynccontextmanager
async def connected(tmp_path: Path, peer: Peer) -> AsyncIterator[ControlPort]:
    """Connect a port to a peer; leave when both ends are closed."""
    path, left = tmp_path / "port", asyncio.Event()

    async def peer_that_closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await peer(reader, writer)
            await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()
            left.set()

    async with await asyncio.start_unix_server(peer_that_closes, str(path)):
        port = await ControlPort.connect(path)
        try:
            yield port
        finally:
            port.close()
            await asyncio.wait_for(left.wait(), 5)


def saying(*parts: bytes) -> Peer:
    """Make a peer that says its parts and then only listens."""

    async def peer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()

    return peer


async def test_reports_are_read_however_they_are_cut(tmp_path: Path) -> None:
    line = report(sequence=7, held_bytes=4096)

    async with connected(tmp_path, saying(line[:50], line[50:])) as port:
        witness = await port.until(lambda _: True, timeout_s=5)

    assert (witness.sequence, witness.held_bytes) == (7, 4096)


async def test_lines_that_are_no_reports_are_counted_and_passed_over(tmp_path: Path) -> None:
    nonsense = [b"\xff\xfe\n", b"{}\n", b"[1,2]\n", report(sequence=1)[:-40] + b"\n"]

    async with connected(tmp_path, saying(*nonsense, report(sequence=2))) as port:
        witness = await port.until(lambda _: True, timeout_s=5)

        assert witness.sequence == 2
        assert port.bad_lines == 4


async def test_a_line_without_end_is_thrown_away(tmp_path: Path) -> None:
    endless = b"x" * 100_000

    async with connected(tmp_path, saying(endless, b"\n" + report(sequence=3))) as port:
        witness = await port.until(lambda _: True, timeout_s=5)

        assert witness.sequence == 3
        assert port.bad_lines >= 1


async def test_a_command_returns_when_the_workload_says_it_has_understood(tmp_path: Path) -> None:
    async def obedient(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(report(command=41))
        number, rest = (await reader.readline()).split(b" ", 1)
        heard = int(rest == b"hold 4096 500\n") * 4096
        writer.write(report(command=int(number), wished_bytes=heard))

    async with connected(tmp_path, obedient) as port:
        witness = await port.tell("hold 4096 500", timeout_s=5)

    assert (witness.command, witness.wished_bytes) == (42, 4096)


async def test_a_workload_that_never_answers_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    async with connected(tmp_path, saying(report())) as port:
        with pytest.raises(TimeoutError):
            await port.tell("ping", timeout_s=0.05)


async def test_a_port_that_closes_ends_every_wait(tmp_path: Path) -> None:
    async def leaving(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with connected(tmp_path, leaving) as port:
        with pytest.raises(LabError, match="closed"):
            await port.until(lambda _: True, timeout_s=5)
