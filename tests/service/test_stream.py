"""The live stream over real sockets: what listeners get, and what those cost who do not listen."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import time
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
import uvicorn

from barostat.core.moves import Move, MoveKind
from barostat.core.reasons import ReasonCode, because
from barostat.engine.loop import Tick
from barostat.host.accounts import Accounts
from barostat.host.brake import Stage
from barostat.host.host import HostReport
from barostat.host.memory import Memory
from barostat.service import connections, stream
from barostat.service.app import create_app
from barostat.service.connections import ImpatientProtocol
from barostat.service.desk import LocalDesk
from barostat.service.stream import MOST_LISTENERS, TickStream, add_stream_route
from barostat.units import GIB, MIB

from .conftest import Daemon

REQUEST = b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nLast-Event-ID: 12\r\n\r\n"


class Streaming:
    """A daemon whose stream is served on a UNIX socket."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.stream = TickStream(daemon.control)

    async def look(self) -> None:
        """Do one pass and tell of it."""
        await self.daemon.look()
        newest = self.daemon.control.newest
        assert newest is not None
        self.stream.on_tick(newest)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Ask for the stream."""
        reader, writer = await asyncio.open_unix_connection(str(self.daemon.socket), limit=2**20)
        writer.write(REQUEST)
        await writer.drain()
        return reader, writer

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve until the body ends; then nothing of it is left."""
        app = create_app(LocalDesk(self.daemon.control))
        add_stream_route(app, self.stream)
        self.daemon.socket.parent.mkdir(exist_ok=True)
        config = uvicorn.Config(
            app, uds=str(self.daemon.socket), http=ImpatientProtocol, lifespan="off",
            log_config=None, timeout_graceful_shutdown=2,
        )  # fmt: skip
        server = uvicorn.Server(config)
        async with asyncio.TaskGroup() as tasks, asyncio.timeout(100):
            tasks.create_task(server._serve())  # the rest of `serve` is about signals
            while not server.started:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0)
            yield
            self.stream.close()
            server.should_exit = True


@pytest_asyncio.fixture
async def streaming(daemon: Daemon) -> AsyncIterator[Streaming]:
    made = Streaming(daemon)
    async with made.serving():
        yield made


async def read_event(reader: asyncio.StreamReader) -> tuple[str, Any]:
    """Read one event, whatever it came in pieces of."""
    name, data = "", b""
    async with asyncio.timeout(10):
        while True:
            line = (await reader.readline()).strip()
            if line.startswith(b"event: "):
                name = line[7:].decode()
            elif line.startswith(b"data: "):
                data = line[6:]
            elif line.startswith(b": "):
                return "comment", line[2:].decode()
            elif line == b"" and data:
                return name, json.loads(data)


async def until_there_are(listeners: int, streaming: Streaming) -> None:
    async with asyncio.timeout(10):
        while streaming.stream.listeners != listeners:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0)


async def read_head(reader: asyncio.StreamReader) -> str:
    async with asyncio.timeout(10):
        return (await reader.readuntil(b"\r\n\r\n")).decode()


async def test_a_listener_is_told_the_newest_pass_at_once_and_then_every_pass(
    streaming: Streaming,
) -> None:
    await streaming.look()
    reader, writer = await streaming.connect()

    head = await read_head(reader)
    recent, first = await read_event(reader), await read_event(reader)
    await streaming.look()
    second = await read_event(reader)
    writer.close()

    assert "200 OK" in head
    assert "content-type: text/event-stream" in head
    assert "content-length" not in head
    assert recent == ("recent", {"moves": []})
    assert (first[0], first[1]["number"]) == ("pass", 1)
    assert (second[0], second[1]["number"]) == ("pass", 2)
    guests = first[1]["overview"]["guests"]
    assert [(guest["name"], guest["assigned_bytes"]) for guest in guests] == [
        ("db", 512 * MIB),
        ("web", 512 * MIB),
    ]
    assert first[1]["overview"]["host"]["capacity_bytes"] == 4 * GIB


async def test_the_moves_of_a_pass_are_sentences_and_come_again_for_who_is_new(
    streaming: Streaming,
) -> None:
    await streaming.look()
    reader, writer = await streaming.connect()
    await read_head(reader)
    await read_event(reader)
    await read_event(reader)
    streaming.stream.on_tick(moving(streaming.daemon))
    moves = (await read_event(reader))[1]["moves"]
    new, new_writer = await streaming.connect()
    await read_head(new)
    recent = await read_event(new)
    writer.close()
    new_writer.close()

    assert [(move["guest"], move["kind"]) for move in moves] == [("web", "grow")]
    assert moves[0]["sentence"].startswith("web: grow from 512 MiB to 1024 MiB: it lately grew")
    assert abs(moves[0]["at_s"] - time.time()) < 60
    assert recent == ("recent", {"moves": moves})


def moving(daemon: Daemon) -> Tick:
    """The newest pass, with a move."""
    tick = daemon.control.newest
    assert tick is not None
    reason = because(ReasonCode.GROWTH, rate_bytes_per_s=MIB)
    move = Move(
        guest="web", kind=MoveKind.GROW, from_bytes=512 * MIB, to_bytes=GIB, reasons=(reason,)
    )
    return replace(tick, decision=replace(tick.decision, moves=(move,)))


async def test_a_daemon_that_only_observes_tells_the_same_wish_once(daemon: Daemon) -> None:
    daemon.control.moving = False
    told = TickStream(daemon.control)
    for _ in range(3):
        told.on_tick(moving(daemon))

    assert [move.guest for move in told._moves] == ["web"]


async def test_the_box_is_told_where_it_is_looked_at(daemon: Daemon) -> None:
    accounts = Accounts(
        capacity_bytes=4 * GIB, reserve_bytes=GIB, overhead_bytes=1, foreign_bytes=2,
        hugetlb_bytes=3,
    )  # fmt: skip
    memory = Memory(
        total_bytes=8 * GIB, available_bytes=GIB, hugetlb_bytes=0, swapped_out_bytes=0,
        stall_ratio=None,
    )  # fmt: skip
    report = HostReport(
        seen_at_s=0.0, memory=memory, accounts=accounts, stage=Stage.FREE, wanted_back_bytes=0,
        swap_out_bytes_per_s=0.0, outside_bytes=0, vms=0, foreign=(), unfit={}, alarms=(),
    )  # fmt: skip
    told = TickStream(daemon.control, report=lambda: report)
    assert daemon.control.newest is not None
    told.on_tick(daemon.control.newest)

    frame = json.loads(told._newest(daemon.control.newest).partition(b"data: ")[2])

    assert frame["box"] == {
        "total_bytes": 8 * GIB, "available_bytes": GIB, "reserve_bytes": GIB,
        "overhead_bytes": 1, "foreign_bytes": 2, "hugetlb_bytes": 3,
    }  # fmt: skip


async def test_who_hears_no_pass_is_told_that_we_are_there_and_how_late_it_is(
    streaming: Streaming, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT_S", 0.05)
    reader, writer = await streaming.connect()
    await read_head(reader)
    late = await read_event(reader)
    monkeypatch.setattr(streaming.daemon.control, "_newest", None)
    waiting = await read_event(reader)
    while waiting[0] == "late":
        waiting = await read_event(reader)
    writer.close()

    assert late[0] == "late"
    assert late[1]["age_s"] >= 0
    assert waiting == ("comment", "waiting for the first look")


async def test_one_listener_too_many_is_refused_with_a_hint(
    streaming: Streaming, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "MOST_LISTENERS", 1)
    await streaming.look()
    reader, writer = await streaming.connect()
    await read_head(reader)
    refused, refused_writer = await streaming.connect()

    assert "503" in await read_head(refused)
    assert b"answers everybody" in await refused.readuntil(b"}")
    writer.close()
    refused_writer.close()
    await until_there_are(0, streaming)
    again, again_writer = await streaming.connect()
    assert "200 OK" in await read_head(again)
    again_writer.close()


async def test_a_listener_that_half_closes_or_vanishes_leaves_its_place(
    streaming: Streaming,
) -> None:
    half, half_writer = await streaming.connect()
    gone, gone_writer = await streaming.connect()
    await read_head(half)
    await read_head(gone)
    half_writer.write_eof()
    gone_writer.transport.abort()
    await streaming.look()

    await until_there_are(0, streaming)
    half_writer.close()


async def test_a_stopping_daemon_ends_the_streams_in_good_order(
    daemon: Daemon, caplog: pytest.LogCaptureFixture
) -> None:
    made = Streaming(daemon)
    async with made.serving():
        await made.look()
        reader, writer = await made.connect()
        await read_head(reader)

    async with asyncio.timeout(5):
        assert (await reader.read()).endswith(b"0\r\n\r\n")
    writer.close()
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_who_reads_nothing_is_cut_off(
    streaming: Streaming, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "UNREAD_DEADLINE_S", 0.2)
    monkeypatch.setattr(stream, "_event", lambda *_, **__: b"x" * 2**20)
    reader, writer = await streaming.connect()
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    await streaming.look()

    await until_there_are(1, streaming)
    await until_there_are(0, streaming)
    writer.close()
    del reader


async def read_all(reader: asyncio.StreamReader, counted: list[int]) -> None:
    while got := await reader.read(2**16):
        counted[0] += len(got)


@pytest.mark.lab
@pytest.mark.timeout(180)
async def test_200_listeners_of_whom_half_never_read_cost_no_tick_and_no_memory(
    streaming: Streaming, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Passes are told as fast as they can be, so that what would pile up does within the test."""
    large = b"event: pass\ndata: " + b"x" * 60_000 + b"\n\n"  # of 60 VMs
    monkeypatch.setattr(streaming.stream, "_newest", lambda _: large)
    counted = [0]
    held, used_bytes, took_s = [], [], []
    async with asyncio.TaskGroup() as tasks:
        for number in range(MOST_LISTENERS):
            reader, writer = await streaming.connect()
            held.append(writer)
            if number % 2:
                tasks.create_task(read_all(reader, counted))
            else:
                writer.transport.pause_reading()  # type: ignore[attr-defined]
        tracemalloc.start()
        for number in range(40):
            began_s = time.perf_counter()
            await streaming.look()
            took_s.append(time.perf_counter() - began_s)
            for _ in range(20):
                await asyncio.sleep(0)
            if number in (15, 39):
                gc.collect()
                used_bytes.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
        listeners = streaming.stream.listeners
        for writer in held:
            writer.close()

    assert listeners == MOST_LISTENERS
    assert counted[0] > 100 * 10 * len(large)
    assert used_bytes[1] < used_bytes[0] + 2 * MIB
    assert max(took_s) < 0.1
