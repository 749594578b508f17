"""Carry out moves. One outstanding operation a guest; a newer move for a guest replaces the older.

An operation sends wishes, watches the guest's real size, and sends the next wish (deflate, then
plug) the moment the last has come true. A guest's own programs are told before it shrinks, and
after it grew. It judges nothing: whether a guest is stuck, and what to do then, is decided by the
core from what is observed. Every wait has a deadline; a guest that hangs or dies costs its own
operation only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, assert_never

from barostat.core.moves import Move, MoveKind
from barostat.core.observation import Devices
from barostat.errors import BarostatError, HypervisorError
from barostat.guest.base import Insight
from barostat.hypervisors.base import Hypervisor, Wish
from barostat.hypervisors.movers import (
    cancel_wishes,
    next_wishes,
    nudge_wishes,
    reachable_bytes,
)

__all__ = ["Actor", "Outcome"]

OPERATION_S: Final = 30.0
"""An operation watches its guest for at most this long; the core asks again if it still wants."""

LOOK_S: Final = 0.1
"""How long to wait for an event before looking again: events are a hint, sizes are the truth."""

WARN_S: Final = 3.0
"""How long a guest's programs are waited for before it shrinks, whoever forgets to stop waiting."""

SETTLE_S: Final = 2.0
"""How long stopping may take to cancel what is unfinished."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an operation ended.

    Attributes:
        move: what was to be done, as last asked.
        arrived: the guest has what it was asked to have.
        assigned_bytes: what it had at the last look, None if it was never seen.
        took_s: from the first wish to the end.
        error: why it ended early, or None.
    """

    move: Move
    arrived: bool
    assigned_bytes: int | None
    took_s: float
    error: BarostatError | None = None


@dataclass(slots=True)
class _Operation:
    move: Move
    task: asyncio.Task[None] | None = None
    fresh: bool = True  # the move has not been looked at yet
    turned: asyncio.Event = field(default_factory=asyncio.Event)  # it is to shrink no more
    seen: Devices | None = None

    def replace(self, move: Move) -> None:
        """Go on with a newer move."""
        self.move, self.fresh = move, True
        if move.kind in {MoveKind.GROW, MoveKind.CANCEL}:
            self.turned.set()


class Actor:
    """Carries out moves on the guests of one hypervisor.

    Args:
        hypervisor: whose guests.
        tasks: whoever supervises the operations.
        clock: monotonic seconds.
        on_outcome: told of the end of every operation.
        insight: the way to the programs in the guests, None where nobody is there.
        before_grow: makes room for a guest of that name to have so much, and is waited for; where
            it fails the guest is not asked to grow.
    """

    def __init__(
        self,
        hypervisor: Hypervisor,
        tasks: asyncio.TaskGroup,
        *,
        clock: Callable[[], float],
        on_outcome: Callable[[Outcome], None],
        insight: Insight | None = None,
        before_grow: Callable[[str, int], Awaitable[None]] | None = None,
    ) -> None:
        self._hypervisor = hypervisor
        self._tasks = tasks
        self._clock = clock
        self._on_outcome = on_outcome
        self._insight = insight
        self._before_grow = before_grow
        self._operations: dict[str, _Operation] = {}

    @property
    def busy(self) -> frozenset[str]:
        """The guests with an operation under way."""
        return frozenset(self._operations)

    def perform(self, moves: Sequence[Move]) -> None:
        """Start carrying out moves; those of the same guests that are under way are replaced."""
        for move in moves:
            running = self._operations.get(move.guest)
            if running is not None:
                running.replace(move)
                continue
            operation = _Operation(move)
            self._operations[move.guest] = operation
            operation.task = self._tasks.create_task(
                self._run(operation), name=f"move {move.guest}"
            )

    async def settle(self) -> None:
        """End what is under way: every guest keeps what it has, every wish is cancelled."""
        left = list(self._operations)
        for operation in list(self._operations.values()):
            if operation.task is not None:
                operation.task.cancel()
        try:
            async with asyncio.timeout(SETTLE_S):
                await asyncio.gather(*(self._cancel(guest) for guest in left))
        except TimeoutError:
            return

    async def _cancel(self, guest: str) -> None:
        try:
            for wish in cancel_wishes(await self._hypervisor.devices(guest)):
                await self._hypervisor.request(guest, wish)
        except HypervisorError:
            return  # it cannot be reached: it keeps what it has

    async def _run(self, operation: _Operation) -> None:
        started_s = self._clock()
        arrived, error = False, None
        try:
            async with asyncio.timeout(OPERATION_S):
                await self._carry_out(operation)
                arrived = True
        except TimeoutError:
            pass
        except BarostatError as failure:
            error = failure
        finally:
            del self._operations[operation.move.guest]
        devices = operation.seen
        self._on_outcome(
            Outcome(
                move=operation.move,
                arrived=arrived,
                assigned_bytes=None if devices is None else devices.assigned_bytes,
                took_s=self._clock() - started_s,
                error=error,
            )
        )

    async def _carry_out(self, operation: _Operation) -> None:
        """Go on until the guest has what it was last asked to have."""
        while True:
            prepared = operation.move
            if operation.fresh and prepared.kind is MoveKind.SHRINK:
                await self._warn(operation)
            elif operation.fresh and prepared.kind is MoveKind.GROW:
                await self._make_room(prepared)
            if operation.move is not prepared and operation.move.kind is MoveKind.GROW:
                continue  # for this one no room was made yet
            operation.seen = devices = await self._step(operation)
            if operation.fresh:
                continue
            move = operation.move
            if _arrived(move, devices):
                break
            await self._hypervisor.changed(move.guest, timeout_s=LOOK_S)
        if move.kind is MoveKind.GROW and self._insight is not None:
            await self._insight.after_grow(move.guest, devices.assigned_bytes)

    async def _make_room(self, move: Move) -> None:
        if self._before_grow is not None:
            await self._before_grow(move.guest, move.to_bytes)

    async def _warn(self, operation: _Operation) -> None:
        """Let the guest's programs give by themselves first, unless it is to shrink no more."""
        if self._insight is None:
            return
        guest, to_bytes = operation.move.guest, operation.move.to_bytes
        operation.turned.clear()
        async with asyncio.TaskGroup() as tasks:
            warned = tasks.create_task(self._insight.before_shrink(guest, to_bytes))
            turned = tasks.create_task(operation.turned.wait())
            both = (warned, turned)
            await asyncio.wait(both, timeout=WARN_S, return_when=asyncio.FIRST_COMPLETED)
            for task in both:
                task.cancel()

    async def _step(self, operation: _Operation) -> Devices:
        """Look at the guest, send what it should be asked for now, and say what was seen."""
        move, fresh = operation.move, operation.fresh
        operation.fresh = False
        devices = await self._hypervisor.devices(move.guest)
        for wish in _wishes(move, devices, fresh=fresh):
            await self._hypervisor.request(move.guest, wish)
        return devices


def _wishes(move: Move, devices: Devices, *, fresh: bool) -> tuple[Wish, ...]:
    """Say what to send for a move; a nudge is sent once and then watched like any other."""
    match move.kind:
        case MoveKind.CANCEL:
            return cancel_wishes(devices)
        case MoveKind.NUDGE if fresh:
            return nudge_wishes(devices) or next_wishes(devices, move.to_bytes)
        case MoveKind.GROW | MoveKind.SHRINK | MoveKind.NUDGE:
            if _arrived(move, devices):
                return ()
            return next_wishes(devices, move.to_bytes, fallback=move.by_balloon)
        case _:
            assert_never(move.kind)


def _arrived(move: Move, devices: Devices) -> bool:
    """Say whether the guest has what the move was to lead to, as near as its devices allow."""
    have = devices.assigned_bytes
    if move.kind is MoveKind.CANCEL:
        return True
    growing = move.to_bytes > move.from_bytes
    if (have >= move.to_bytes) if growing else (have <= move.to_bytes):
        return True
    return have == reachable_bytes(devices, move.to_bytes, up=growing)
