"""VMs that are about to start: who asks, for whom memory is set aside, and for how long.

Whether a VM may start is decided by the core at every pass, as all else is. What is set aside for
it is kept until it is seen to run, is released, or has not come for too long. Whoever asks has an
answer in the time that they give it: yes, no and what there is, or that nobody could tell.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from barostat.core.decision import Decision
from barostat.core.observation import GuestObservation, Reservation, RunState, Snapshot
from barostat.core.reasons import ReasonCode
from barostat.errors import ConflictError, ServiceError

__all__ = ["RESERVE_S", "Answer", "Outcome", "Starting"]

RESERVE_S: Final = 120.0
"""libvirt starts a VM in a second, a restore from a slow disk takes a minute."""

NO_ROOM_S: Final = 12.0
"""A VM that has just booted gives nothing for 10 s (`Policy.settle_s`): so long there is hope."""

SEEN_TO_RUN: Final = 2
"""The first look after a question may have begun before the VM ended that is now started anew."""

LARGEST_CROWD: Final = 256
"""So many VMs may be about to start at once; each is gone through at every pass."""


class Outcome(enum.Enum):
    """What came of asking."""

    ADMITTED = "admitted"  # its startup is set aside
    RUNS = "runs"  # it is there already, and has its memory
    NO_ROOM = "no-room"  # all that others may give for it does not suffice
    LATE = "late"  # what others are to give for it did not come in time


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Whether a VM may start.

    Attributes:
        guest: which.
        size_bytes: its startup.
        outcome: what came of it.
        available_bytes: what there is, or could be made free, of its startup.
        kept_s: how long it is set aside, if it is.
    """

    guest: str
    size_bytes: int
    outcome: Outcome
    available_bytes: int
    kept_s: float | None = None


@dataclass(slots=True)
class _Question:
    asked: Reservation
    answer: asyncio.Future[Answer] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    available_bytes: int | None = None
    no_room_since_s: float | None = None
    seen: int = 0

    def settle(self, outcome: Outcome, available_bytes: int, kept_s: float | None = None) -> None:
        """Answer, unless the one who asked waits no longer."""
        if not self.answer.done():
            answer = Answer(
                guest=self.asked.guest,
                size_bytes=self.asked.size_bytes,
                outcome=outcome,
                available_bytes=max(0, min(available_bytes, self.asked.size_bytes)),
                kept_s=kept_s,
            )
            self.answer.set_result(answer)


@dataclass(frozen=True, slots=True)
class _Kept:
    reservation: Reservation
    until_s: float


class Starting:
    """The VMs that are about to start.

    Args:
        clock: the balancer's monotonic seconds.

    Attributes:
        reserve_s: how long memory is set aside for a VM that does not come; may be replaced.
    """

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self.reserve_s = RESERVE_S
        self._clock = clock
        self._kept: dict[str, _Kept] = {}
        self._questions: dict[str, _Question] = {}

    async def admit(self, asked: Reservation, *, timeout_s: float) -> Answer:
        """Wait until a VM may start: until its startup is in hand and set aside for it.

        What it was admitted with before stays set aside, whatever the answer is.

        Raises:
            ConflictError: the same was asked again meanwhile, and who asked last is answered.
            ServiceError: nobody could look at the guests in time, or too many VMs start.
        """
        earlier = self._questions.pop(asked.guest, None)
        if earlier is not None:
            earlier.answer.cancel()
        if len(self._questions.keys() | self._kept.keys()) >= LARGEST_CROWD:
            raise ServiceError(
                f"{LARGEST_CROWD} VMs are about to start already",
                hint="wait until some of them run; `barostat list` names them",
            )
        question = self._questions[asked.guest] = _Question(asked)
        try:
            return await self._answered(question, timeout_s)
        finally:
            if self._questions.get(asked.guest) is question:
                del self._questions[asked.guest]

    async def _answered(self, question: _Question, timeout_s: float) -> Answer:
        await asyncio.wait({question.answer}, timeout=timeout_s)
        if question.answer.cancelled():
            raise ConflictError(
                f'it was asked again meanwhile whether VM "{question.asked.guest}" may start',
                hint="only who asked last is answered",
            )
        if question.answer.done():
            return question.answer.result()
        if question.available_bytes is None:
            raise ServiceError(
                f"the guests could not be looked at within {timeout_s:g} s",
                hint="ask again; the daemon's log says what it waits for",
            )
        question.settle(Outcome.LATE, question.available_bytes)
        return question.answer.result()

    def release(self, guest: str) -> int | None:
        """Give up what is set aside for a VM that will not start, and end the wait for it.

        Returns:
            How much that was, in bytes; None if nothing was asked for it.
        """
        question, kept = self._questions.pop(guest, None), self._kept.pop(guest, None)
        if question is not None:
            question.answer.cancel()
        if kept is not None:
            return kept.reservation.size_bytes
        return None if question is None else 0

    def reservations(self) -> tuple[Reservation, ...]:
        """Give what is asked for, in the order of coming; what was not made use of ends here."""
        now_s = self._clock()
        self._kept = {name: kept for name, kept in self._kept.items() if now_s < kept.until_s}
        return tuple(self._wanted())

    def _wanted(self) -> Iterator[Reservation]:
        for name, kept in self._kept.items():
            if name not in self._questions:
                yield kept.reservation
        for question in self._questions.values():
            yield question.asked

    def decided(self, snapshot: Snapshot, decision: Decision) -> None:
        """Take note of what was decided of those who wait."""
        held = decision.state.set_aside_bytes
        for asked in snapshot.reservations:
            question = self._questions.get(asked.guest)
            if question is None or question.asked is not asked:
                continue
            if held.get(asked.guest, 0) >= asked.size_bytes:
                self._admit(question)
            else:
                self._refuse_if_hopeless(question, decision)

    def _admit(self, question: _Question) -> None:
        asked, kept_s = question.asked, self.reserve_s
        self._kept[asked.guest] = _Kept(asked, self._clock() + kept_s)
        del self._questions[asked.guest]
        question.settle(Outcome.ADMITTED, asked.size_bytes, kept_s)

    def _refuse_if_hopeless(self, question: _Question, decision: Decision) -> None:
        guest, now_s = question.asked.guest, self._clock()
        possible = _possible_bytes(guest, decision)
        question.available_bytes = possible
        if possible is None:
            own = decision.state.set_aside_bytes.get(guest, 0)
            question.available_bytes = max(0, own + decision.in_hand_bytes)
            question.no_room_since_s = None
            return
        if question.no_room_since_s is None:
            question.no_room_since_s = now_s
        too_large = question.asked.size_bytes > decision.capacity_bytes
        if too_large or now_s - question.no_room_since_s >= NO_ROOM_S:
            question.settle(Outcome.NO_ROOM, possible)

    def seen(self, guests: Sequence[GuestObservation]) -> None:
        """Take note of who was seen in a look at all: who runs needs nothing set aside."""
        for guest in guests:
            if guest.run_state is RunState.UNREACHABLE:
                continue  # it may have ended, and be about to start anew
            self._kept.pop(guest.name, None)
            question = self._questions.get(guest.name)
            if question is None:
                continue
            question.seen += 1
            if question.seen >= SEEN_TO_RUN:
                question.settle(Outcome.RUNS, question.asked.size_bytes)


def _possible_bytes(guest: str, decision: Decision) -> int | None:
    """Say what could be made free for a VM; None if all of its startup could."""
    for alarm in decision.alarms:
        if alarm.code is ReasonCode.NO_ROOM and alarm.numbers["guest"] == guest:
            return int(alarm.numbers["possible_bytes"])
    return None
