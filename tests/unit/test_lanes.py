"""Blocking calls: one that hangs costs its own lane, and no more workers than there may be."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from barostat.errors import DeadlineError
from barostat.hypervisors.lanes import LOST_LIMIT, Lanes

SOON_S = 0.05
LONG_S = 5.0


class Line:
    """A connection that can be cut, and remembers that it was closed."""

    def __init__(self) -> None:
        self.alive = True
        self.closed = threading.Event()

    def close(self) -> None:
        self.closed.set()

    def cut(self) -> Line:
        self.alive = False
        return self


class Exchange:
    """Opens connections, and hangs calls until they are let go."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.release = threading.Event()
        self.refuses = False

    def connect(self) -> Line:
        if self.refuses:
            raise ConnectionError("nobody there")
        self.lines.append(Line())
        return self.lines[-1]

    def hang(self, line: Line) -> Line:
        assert self.release.wait(60)
        return line


@pytest.fixture
def exchange() -> Exchange:
    return Exchange()


@pytest_asyncio.fixture
async def lanes(exchange: Exchange) -> AsyncIterator[Lanes[Line]]:
    lanes = Lanes(exchange.connect, workers=2, name="test")
    yield lanes
    exchange.release.set()
    await lanes.close()


async def free(lanes: Lanes[Line], lane: str) -> None:
    async with asyncio.timeout(LONG_S):
        while lanes.late(lane):  # noqa: ASYNC110 - a worker's return has no event of ours
            await asyncio.sleep(0)


def get(line: Line) -> Line:
    return line


def fail(_: Line) -> None:
    raise LookupError("no such thing")


async def test_a_call_is_made_on_a_connection_that_is_opened_once(
    lanes: Lanes[Line], exchange: Exchange
) -> None:
    first = await lanes.call(get, lane="a", deadline_s=LONG_S)

    answers = [await lanes.call(get, lane="a", deadline_s=LONG_S) for _ in range(10)]

    assert {first, *answers} == set(exchange.lines)
    assert len(exchange.lines) <= 2


async def test_what_a_call_raises_is_raised_where_it_is_waited_for(lanes: Lanes[Line]) -> None:
    with pytest.raises(LookupError):
        await lanes.call(fail, lane="a", deadline_s=LONG_S)

    assert not lanes.late("a")


async def test_a_connection_that_was_lost_is_closed_and_opened_anew(exchange: Exchange) -> None:
    lanes: Lanes[Line] = Lanes(exchange.connect, workers=1, name="test")

    cut = await lanes.call(Line.cut, lane="a", deadline_s=LONG_S)
    fresh = await lanes.call(get, lane="a", deadline_s=LONG_S)
    await lanes.close()

    assert cut.closed.is_set()
    assert fresh is not cut
    assert fresh.closed.is_set()  # by `close`


async def test_a_connection_that_cannot_be_opened_fails_its_call_and_is_tried_again(
    lanes: Lanes[Line], exchange: Exchange
) -> None:
    exchange.refuses = True
    with pytest.raises(ConnectionError):
        await lanes.call(get, lane="a", deadline_s=LONG_S)

    exchange.refuses = False

    assert await lanes.call(get, lane="a", deadline_s=LONG_S) in exchange.lines


async def test_a_call_that_hangs_makes_its_lane_late_until_it_returns(
    lanes: Lanes[Line], exchange: Exchange
) -> None:
    with pytest.raises(DeadlineError, match='"a"'):
        await lanes.call(exchange.hang, lane="a", deadline_s=SOON_S)
    late = lanes.late("a")
    with pytest.raises(DeadlineError) as at_once:
        await asyncio.wait_for(lanes.call(get, lane="a", deadline_s=60), LONG_S)
    other = await lanes.call(get, lane="b", deadline_s=LONG_S)

    exchange.release.set()
    await free(lanes, "a")
    back = await lanes.call(get, lane="a", deadline_s=LONG_S)

    assert late
    assert at_once.value.hint
    assert other.alive
    assert back in exchange.lines


async def test_the_connection_of_a_call_that_hung_is_closed_when_it_returns(
    lanes: Lanes[Line], exchange: Exchange
) -> None:
    with pytest.raises(DeadlineError):
        await lanes.call(exchange.hang, lane="a", deadline_s=SOON_S)

    exchange.release.set()

    assert await asyncio.to_thread(exchange.lines[0].closed.wait, LONG_S)


async def test_calls_of_one_lane_are_made_one_after_the_other(
    lanes: Lanes[Line], exchange: Exchange
) -> None:
    first = asyncio.create_task(lanes.call(exchange.hang, lane="a", deadline_s=LONG_S))
    second = asyncio.create_task(lanes.call(get, lane="a", deadline_s=LONG_S))
    await lanes.call(get, lane="b", deadline_s=LONG_S)  # there is a worker free all the time
    waited = not second.done()

    exchange.release.set()

    assert waited
    assert (await first).alive
    assert (await second).alive


async def test_a_lane_can_be_made_to_wait_for_a_call_that_was_started_for_many(
    lanes: Lanes[Line], exchange: Exchange
) -> None:
    call = lanes.start(exchange.hang)
    with pytest.raises(DeadlineError):
        await lanes.finish(call, deadline_s=SOON_S)

    lanes.hold(call, "a")
    held = lanes.late("a"), lanes.late("b")
    exchange.release.set()
    await free(lanes, "a")
    lanes.hold(call, "a")  # it has returned: nothing to wait for

    assert held == (True, False)
    assert not lanes.late("a")


async def test_lost_workers_are_replaced_up_to_a_bound(
    lanes: Lanes[Line], exchange: Exchange
) -> None:
    for number in range(LOST_LIMIT):
        with pytest.raises(DeadlineError):
            await lanes.call(exchange.hang, lane=f"hung {number}", deadline_s=0.01)
    still = await lanes.call(get, lane="a", deadline_s=LONG_S)
    for number in range(2):
        with pytest.raises(DeadlineError):
            await lanes.call(exchange.hang, lane=f"last {number}", deadline_s=0.01)
    with pytest.raises(DeadlineError):
        await lanes.call(get, lane="a", deadline_s=0.01)

    exchange.release.set()
    for number in range(LOST_LIMIT):
        await free(lanes, f"hung {number}")

    assert still.alive
    assert (await lanes.call(get, lane="a", deadline_s=LONG_S)).alive
    assert len(exchange.lines) <= 2 * (LOST_LIMIT + 2)


async def test_a_call_whose_waiter_is_cancelled_holds_its_lane_until_it_returns(
    lanes: Lanes[Line], exchange: Exchange
) -> None:
    began = threading.Event()

    def hang(line: Line) -> Line:
        began.set()
        return exchange.hang(line)

    waiting = asyncio.create_task(lanes.call(hang, lane="a", deadline_s=LONG_S))
    await asyncio.wait({waiting}, timeout=0)
    await asyncio.to_thread(began.wait, LONG_S)

    waiting.cancel()
    await asyncio.wait({waiting})

    assert waiting.cancelled()
    assert lanes.late("a")
    exchange.release.set()
    await free(lanes, "a")
