"""Pieces of work, in several processes.

Each process is given what all pieces share once, when it begins. Nothing outlives the call: when a
piece fails, or somebody presses Ctrl-C, the other processes are ended at once.
"""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from barostat.errors import BarostatError

__all__ = ["Progress", "play_all"]

Stage = TypeVar("Stage")
Work = TypeVar("Work")
Done = TypeVar("Done")

Progress = Callable[[float], object]
"""Told the share that is done."""

_job: Callable[[Any], Any] | None = None


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
        return _play_in_processes(play, stage, work, count, tell)
    done: list[Done] = []
    for item in work:
        done.append(play(stage, item))
        tell(len(done) / len(work))
    return done


def _play_in_processes(
    play: Callable[[Stage, Work], Done],
    stage: Stage,
    work: Sequence[Work],
    count: int,
    tell: Progress,
) -> list[Done]:
    others = set(multiprocessing.active_children())
    pool = concurrent.futures.ProcessPoolExecutor(
        count,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_prepare,
        initargs=(play, stage),
    )
    try:
        futures = [pool.submit(_play, item) for item in work]
        for number, future in enumerate(concurrent.futures.as_completed(futures), start=1):
            future.result()  # an error ends the rest
            tell(number / len(work))
        return [future.result() for future in futures]
    except BrokenProcessPool as error:
        raise BarostatError(
            "a process of the simulation was ended by somebody else",
            hint="if memory ran out: use fewer workers",
        ) from error
    finally:
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()
        pool.shutdown(cancel_futures=True)


def _prepare(play: Callable[[Stage, Work], Done], stage: Stage) -> None:
    """Make a process ready. At Ctrl-C it ends without a word: the one that began it speaks."""
    global _job  # noqa: PLW0603 - what a process of the pool works on
    signal.signal(signal.SIGINT, signal.SIG_DFL)

    def job(item: Work) -> Done:
        return play(stage, item)

    _job = job


def _play(item: object) -> Any:
    if _job is None:
        raise RuntimeError("no process of the pool works before it is prepared")
    return _job(item)
