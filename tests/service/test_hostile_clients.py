"""Clients that speak HTTP badly, slowly or all at once: limits hold, others go on being served."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from random import Random

import pytest
from tests.hostile.bounds import Note, bounded, cases, nothing_left
from tests.hostile.mutations import garbled

from barostat.service import bodies, peers

from .conftest import Daemon
from .over_tcp import serving_over_tcp

HEAD = b"Host: barostat\r\nConnection: close\r\n"
PATCH = b"PATCH /v1/guests/web/settings HTTP/1.1\r\nContent-Type: application/json\r\n" + HEAD
HEALTH = b"GET /v1/health HTTP/1.1\r\n" + HEAD + b"\r\n"
OTHERS_WAIT_S = 1.0
"""A question beside them takes milliseconds, on a machine that does nothing else."""


async def said(daemon: Daemon, words: bytes, *, within_s: float = 10.0) -> bytes:
    """Send something on the socket; give what is answered, or nothing if it is cut off."""
    reader, writer = await asyncio.open_unix_connection(str(daemon.socket))
    try:
        async with asyncio.timeout(within_s):
            with suppress(ConnectionError):
                writer.write(words)
                await writer.drain()
                return await reader.read(2**16)
        return b""
    finally:
        writer.close()


def patch(body: bytes) -> bytes:
    return PATCH + b"Content-Length: %d\r\n\r\n" % len(body) + body


def get(path: bytes) -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\n" + HEAD + b"\r\n"


@pytest.fixture(autouse=True)
def short_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "REQUEST_DEADLINE_S", 0.5)
    monkeypatch.setattr(bodies, "BODY_DEADLINE_S", 0.5)


@pytest.mark.trust("input", "HTTP requests are malformed, too deep or too long")
@pytest.mark.parametrize(
    ("words", "status"),
    [
        (patch(b"[" * 60_000), 400),
        (patch(b'{"a":' * 10_000), 400),
        (patch(b"[" * 30_000 + b"]" * 30_000), 400),
        (patch(b'{"weight":' + b"9" * 60_000 + b"}"), 400),
        (patch(b'{"weight":' + b"9" * 4_000 + b"}"), 422),
        (patch(b'{"weight":NaN}'), 422),
        (patch(b'{"minimum_bytes":1e400}'), 422),
        (patch(b'{"minimum_bytes":-1}'), 422),
        (patch(b'{"\\ud800":1}'), 422),
        (patch(b"\xff\xfe\x00"), 400),
        (PATCH + b"Transfer-Encoding: chunked\r\n\r\nzzz\r\n", 400),
        (PATCH + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 22 + b"\r\nx", 400),
        (
            PATCH
            + b"Transfer-Encoding: chunked\r\n\r\n"
            + b"ffff\r\n"
            + b"x" * 65535
            + b"\r\n" * 2,
            400,
        ),
        (PATCH + b"Transfer-Encoding: chunked\r\n\r\n10001\r\n" + b"x" * 65537 + b"\r\n", 413),
        (PATCH + b"Content-Length: -5\r\n\r\n", 400),
        (PATCH + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef", 400),
        (PATCH + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", 400),
        (PATCH + b"Content-Length: 50\r\n\r\n{", 408),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 200_000 + b"\r\n\r\n", 400),
        (b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 400),
        (b"\x00" * 100 + b"\r\n\r\n", 400),
        (get(b"/v1/guests/%00/settings"), 404),
        (get(b"/v1/guests/%1b%5b2J%0a/settings"), 404),
        (get(b"/v1/guests/%ed%a0%80/settings"), 404),
        (get(b"/v1/guests/..%2f..%2fetc%2fpasswd/settings"), 404),
        (get(b"/v1/guests/.hidden/settings"), 404),
        (get(b"/v1/guests/" + b"a" * 10_000 + b"/settings"), 422),
        (get(b"/web/..%2f..%2f..%2fetc%2fpasswd"), 404),
        (get(b"/v1/moves?limit=" + b"9" * 5000), 422),
    ],
    ids=lambda value: repr(value[-24:]) if isinstance(value, bytes) else str(value),
)
async def test_what_is_no_good_request_is_refused_in_words(
    daemon: Daemon, words: bytes, status: int
) -> None:
    before = daemon.balancer.paused, (daemon.folder / "web.toml").read_text()
    async with daemon.serving():
        answer = await said(daemon, words)
        well = await said(daemon, HEALTH)

    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"Traceback" not in answer
    assert len(answer) < 16_000
    assert well.startswith(b"HTTP/1.1 200 ")
    assert (daemon.balancer.paused, (daemon.folder / "web.toml").read_text()) == before


@pytest.mark.trust("input", "HTTP requests are garbled")
async def test_garbled_requests_break_nothing_and_leave_nothing(
    daemon: Daemon, record_property: Note
) -> None:
    right = (patch(b'{"weight": 7000}'), HEALTH, get(b"/v1/guests?everyone=true"), get(b"/metrics"))
    tokens = (
        b"\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Expect: 100-continue\r\n",
        b"HTTP/9",
    )

    async def one(chance: Random) -> None:
        answer = await said(daemon, garbled(chance.choice(right), chance, tokens=tokens))
        assert b"HTTP/1.1 5" not in answer
        assert b"Traceback" not in answer

    async with daemon.serving(deadline_s=1000):
        async with nothing_left():
            await one(Random(0))
            with bounded(within_s=10_000):
                for chance in cases(record_property, least=10):
                    await daemon.look()
                    await asyncio.gather(*(one(Random(chance.random())) for _ in range(8)))
        assert (await said(daemon, HEALTH)).startswith(b"HTTP/1.1 200 ")


@asynccontextmanager
async def dripping(port: int, count: int) -> AsyncIterator[None]:
    """Open so many connections that send a head a letter at a time, and never end it."""
    ends = [await asyncio.open_connection("127.0.0.1", port) for _ in range(count)]

    async def drip() -> None:
        while True:
            for _, writer in ends:
                if not writer.is_closing():
                    writer.write(b"x")
            await asyncio.sleep(0.05)  # real connections drip in real time

    dripper = asyncio.create_task(drip())
    try:
        yield
    finally:
        dripper.cancel()
        for _, writer in ends:
            writer.transport.abort()
        await asyncio.wait({dripper})


@pytest.mark.trust("input", "hundreds of clients never end their requests")
async def test_hundreds_who_never_end_their_question_keep_nobody_on_the_host_waiting(
    daemon: Daemon,
) -> None:
    loop = asyncio.get_running_loop()
    async with serving_over_tcp(daemon, deadline_s=60) as tcp:
        assert tcp.server.port is not None
        async with dripping(tcp.server.port, 300):
            slowest_s = 0.0
            for _ in range(20):
                began_s = loop.time()
                assert (await said(daemon, HEALTH)).startswith(b"HTTP/1.1 200 ")
                await daemon.look()
                slowest_s = max(slowest_s, loop.time() - began_s)
    gc.collect()

    assert slowest_s < OTHERS_WAIT_S
