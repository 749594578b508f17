"""Pieces of work, in several processes.

Each process is given what all pieces share once, when it begins. Nothing outlives the call: when a
piece fails, or somebody presses Ctrl-C, the other processes are ended at once. The pool of
`concurrent.futures` is not used: it cannot end its processes, and does not always see one die.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

from barostat.errors import BarostatError

__all__ = ["Progress", "play_all"]

Stage = TypeVar("Stage")
Work = TypeVar("Work")
Done = TypeVar("Done")

Progress = Callable[[float], object]
"""Told the share that is done."""


def play_all(
    play: Callable[[Stage, Work], Done],
    stage: Stage,
    work: Sequence[Work],
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> list[Done]:
    """Do all pieces of work.

    Args:
        play: does one; a function of a module, so that other processes find it.
        stage: what all pieces share.
        work: the pieces; those that take long come best first.
        workers: processes; as many as there are processors unless it is said. One is this one.
        progress: told the share that is done.

    Returns:
        What was done, in the order of the pieces.

    Raises:
        BarostatError: a process was ended by somebody else.
    """
    tell = progress or (lambda _share: None)
    count = min(workers or len(os.sched_getaffinity(0)), len(work))
    if count > 1:
        return _Crew(play, stage, work, tell).play(count)
    done: list[Done] = []
    for item in work:
        done.append(play(stage, item))
        tell(len(done) / len(work))
    return done


class _Crew(Generic[Stage, Work, Done]):
    """Processes, each with a pipe to it, and the pieces that they have not done."""

    def __init__(
        self,
        play: Callable[[Stage, Work], Done],
        stage: Stage,
        work: Sequence[Work],
        tell: Progress,
    ) -> None:
        self._play, self._stage, self._work, self._tell = play, stage, work, tell
        self._left = iter(enumerate(work))
        self._done: dict[int, Done] = {}
        self._pipes: list[Connection] = []
        self._processes: list[multiprocessing.process.BaseProcess] = []

    def play(self, count: int) -> list[Done]:
        try:
            for _ in range(count):
                self._begin()
            while len(self._done) < len(self._work):
                for pipe in wait(self._pipes):
                    self._take(pipe)  # type: ignore[arg-type]  # of all that can be waited for
            return [self._done[number] for number in range(len(self._work))]
        finally:
            for process in self._processes:
                process.terminate()
            for process in self._processes:
                process.join()

    def _begin(self) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=_serve, args=(theirs, self._play, self._stage), daemon=True
        )
        process.start()
        theirs.close()  # with its end open here too, nobody would see the process die
        self._processes.append(process)
        self._pipes.append(ours)
        self._give(ours)

    def _give(self, pipe: Connection) -> None:
        """Give the next piece, if one is left."""
        if (item := next(self._left, None)) is not None:
            pipe.send(item)

    def _take(self, pipe: Connection) -> None:
        """Take what a process has done, and give it more."""
        try:
            number, done, error = pipe.recv()
            if error is None:
                self._give(pipe)
        except (EOFError, ConnectionError) as ended:
            raise BarostatError(
                "a process of the simulation was ended by somebody else",
                hint="if memory ran out: use fewer workers",
            ) from ended
        if error is not None:
            raise error
        self._done[number] = done
        self._tell(len(self._done) / len(self._work))


def _serve(pipe: Connection, play: Callable[[Any, Any], Any], stage: object) -> None:
    """Do pieces until no more come. At Ctrl-C, end without a word: who began it speaks."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    while (job := _next(pipe)) is not None:
        number, item = job
        try:
            pipe.send((number, play(stage, item), None))
        except Exception as error:  # noqa: BLE001 - it is raised where the work was given
            if not isinstance(error, BarostatError):
                error.add_note(traceback.format_exc())
            pipe.send((number, None, error))


def _next(pipe: Connection) -> tuple[int, Any] | None:
    try:
        job: tuple[int, Any] = pipe.recv()
    except EOFError:  # who began it is gone
        return None
    return job
