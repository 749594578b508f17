"""Blocking calls in worker threads, so that one that never returns costs its own guest only.

Each worker has a connection of its own and makes one call at a time. A call belongs to a guest's
lane, or to none: a lane has one call at a time. A call that exceeds its deadline makes its worker
*lost*: another takes its place, up to a bound, and until the call returns after all its lane is
*late*, which fails whatever is asked there at once. Workers are daemons: a process ends while one
of them hangs.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Final, Generic, Protocol, TypeVar

from barostat.errors import DeadlineError

__all__ = ["Call", "Connection", "Lanes"]

LOST_LIMIT: Final = 12
"""A call that hangs holds one of libvirtd's 20 workers too (libvirtd.conf, max_workers): others
need some as well."""

QUEUE_DEADLINE_S: Final = 5.0
"""How long a call may wait for a worker: they are all busy with calls that have deadlines."""

CLOSE_DEADLINE_S: Final = 1.0


class Connection(Protocol):
    """What a worker works with."""

    @property
    def alive(self) -> bool:
        """Whether it can still be used."""
        ...

    def close(self) -> None:
        """Let go of it; never raises."""
        ...


C = TypeVar("C", bound=Connection)
T = TypeVar("T")


class Call(Generic[C, T]):
    """A call that was started: to be waited for with `Lanes.finish`.

    Attributes:
        late: it exceeded its deadline and has not returned.
    """

    def __init__(self, work: Callable[[C], T]) -> None:
        self.work = work
        self.late = False
        self.asked_s = time.monotonic()
        self.began_s: float | None = None
        self.worker: _Worker[C] | None = None
        self.withdrawn = False
        self.returned = False
        self.lanes: set[str] = set()
        self.loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[T] = self.loop.create_future()


class _Worker(threading.Thread, Generic[C]):
    """One thread and its connection, opened when it is first needed and again when it was lost."""

    def __init__(self, lanes: Lanes[C], name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.lost = False
        self._lanes = lanes
        self._connection: C | None = None

    def run(self) -> None:
        while not self.lost:
            call = self._lanes.queue.get()
            if call is None:
                break
            if self._lanes.begin(call, self):
                self._make(call)
        self._drop()

    def _make(self, call: Call[C, Any]) -> None:
        answer, error = None, None
        try:
            answer = call.work(self._usable())
        except Exception as failure:  # noqa: BLE001 - it is raised where the call is waited for
            error = failure
        self._lanes.end(call)
        with contextlib.suppress(RuntimeError):  # the event loop is closed: nobody waits any more
            call.loop.call_soon_threadsafe(self._lanes.settle, call, answer, error)

    def _usable(self) -> C:
        if self._connection is not None and not self._connection.alive:
            self._drop()
        if self._connection is None:
            self._connection = self._lanes.connect()
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class Lanes(Generic[C]):
    """Workers, and which guest waits for which call. All but the workers' own is for one loop.

    Args:
        connect: opens a connection; called in a worker.
        workers: how many calls are made at once.
        name: of the threads.
    """

    def __init__(self, connect: Callable[[], C], *, workers: int, name: str) -> None:
        self.connect = connect
        self.queue: queue.SimpleQueue[Call[C, Any] | None] = queue.SimpleQueue()
        self._limit = workers
        self._name = name
        self._workers: list[_Worker[C]] = []
        self._lost = 0
        self._lanes: dict[str, Call[C, Any]] = {}
        self._lock = threading.Lock()

    def late(self, lane: str) -> bool:
        """Say whether a call in this lane has not returned in time, and still has not."""
        call = self._lanes.get(lane)
        return call is not None and call.late

    async def call(self, work: Callable[[C], T], *, lane: str, deadline_s: float) -> T:
        """Make a call in a lane, after the one that is there.

        Raises:
            DeadlineError: it did not return in time, or the lane is late.
            Exception: whatever the call raised.
        """
        until_s = time.monotonic() + deadline_s
        while (before := self._lanes.get(lane)) is not None:
            left_s = until_s - time.monotonic()
            if before.late or left_s <= 0:
                raise _silent(lane, deadline_s)
            await asyncio.wait({before.answer}, timeout=left_s)
        call = self.start(work)
        self.hold(call, lane)
        try:
            return await self.finish(call, deadline_s=deadline_s)
        except DeadlineError as error:
            raise _silent(lane, deadline_s) from error

    def start(self, work: Callable[[C], T]) -> Call[C, T]:
        """Start a call in no lane. Whoever starts one waits for it with `finish`."""
        call: Call[C, T] = Call(work)
        self._staff()
        self.queue.put(call)
        return call

    def hold(self, call: Call[C, Any], lane: str) -> None:
        """Have a lane wait for a call: it is what keeps that guest from answering."""
        if not call.returned:
            call.lanes.add(lane)
            self._lanes[lane] = call

    async def finish(self, call: Call[C, T], *, deadline_s: float) -> T:
        """Wait for what a call returns, for so long from when a worker began with it.

        Raises:
            DeadlineError: it did not return in time.
            Exception: whatever the call raised.
        """
        try:
            while not call.answer.done():
                left_s = self._until_s(call, deadline_s) - time.monotonic()
                if left_s <= 0 and self._give_up(call):
                    raise DeadlineError(
                        f"no answer within {deadline_s:g} s",
                        hint="the hypervisor hangs, or the host is overloaded",
                    )
                wait_s = min(left_s, deadline_s) if left_s > 0 else deadline_s
                await asyncio.wait({call.answer}, timeout=wait_s)
        except asyncio.CancelledError:
            self._give_up(call)
            raise
        return call.answer.result()

    def _until_s(self, call: Call[C, Any], deadline_s: float) -> float:
        if call.began_s is not None:
            return call.began_s + deadline_s
        # With all workers lost it waits for one of them to return.
        return call.asked_s + (QUEUE_DEADLINE_S if self._workers else deadline_s)

    def _give_up(self, call: Call[C, Any]) -> bool:
        """Wait no longer. False if the call has returned and its answer is on its way."""
        with self._lock:
            if call.returned:
                return False
            if call.worker is None:
                call.withdrawn = True
            else:
                call.late = call.worker.lost = True
        call.answer.cancel()
        if call.worker is None:
            self._leave(call)
        else:
            self._workers.remove(call.worker)
            self._lost += 1
            self._staff()
        return True

    def _staff(self) -> None:
        """Start a worker where one is missing."""
        if len(self._workers) < min(self._limit, self._limit + LOST_LIMIT - self._lost):
            worker = _Worker(self, self._name)
            self._workers.append(worker)
            worker.start()

    def _leave(self, call: Call[C, Any]) -> None:
        for lane in call.lanes:
            if self._lanes.get(lane) is call:
                del self._lanes[lane]

    def begin(self, call: Call[C, Any], worker: _Worker[C]) -> bool:
        """Note, in a worker, that it takes a call on. False if nobody wants it any more."""
        with self._lock:
            if not call.withdrawn:
                call.worker, call.began_s = worker, time.monotonic()
            return not call.withdrawn

    def end(self, call: Call[C, Any]) -> None:
        """Note, in a worker, that a call has returned."""
        with self._lock:
            call.returned = True

    def settle(self, call: Call[C, Any], answer: object, error: Exception | None) -> None:
        """Take in, in the event loop, what a call returned; its lanes are free again."""
        self._leave(call)
        if call.late:
            call.late = False
            self._lost -= 1
            self._staff()
        elif error is not None:
            call.answer.set_exception(error)
        else:
            call.answer.set_result(answer)

    async def close(self) -> None:
        """Have the workers end; those that hang are left to end with the process."""
        workers, self._workers, self._limit = self._workers, [], 0
        for _ in workers:
            self.queue.put(None)
        await asyncio.to_thread(_join, workers)


def _join(workers: list[_Worker[C]]) -> None:
    until_s = time.monotonic() + CLOSE_DEADLINE_S
    for worker in workers:
        worker.join(max(0.0, until_s - time.monotonic()))


def _silent(lane: str, deadline_s: float) -> DeadlineError:
    return DeadlineError(
        f'VM "{lane}" does not answer within {deadline_s:g} s',
        hint="its QEMU hangs or is stopped, or the host is overloaded; it is asked again by itself "
        "when it answers",
    )
