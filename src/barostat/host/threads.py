"""Work that may hang for ever, in threads that nobody waits for at the end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from barostat.errors import HostError

__all__ = ["in_thread", "within"]

T = TypeVar("T")


def in_thread(work: Callable[[], T], *, name: str) -> asyncio.Future[T]:
    """Do something in a thread of its own: a read of /proc may hang for ever."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(give: Callable[[], None]) -> None:
        if not future.done():
            give()

    def run() -> None:
        give: Callable[[], None]
        try:
            give = partial(future.set_result, work())
        except Exception as failure:  # noqa: BLE001 - raised where the result is waited for
            give = partial(future.set_exception, failure)
        try:
            loop.call_soon_threadsafe(settle, give)
        except RuntimeError:
            return  # the loop is closed: nobody waits any more

    threading.Thread(target=run, name=name, daemon=True).start()
    return future


async def within(future: asyncio.Future[T], deadline_s: float, *, what: str) -> T:
    """Wait for something that is done in a thread; the thread goes on when the time is over.

    Raises:
        HostError: it took longer.
    """
    done, _ = await asyncio.wait({future}, timeout=deadline_s)
    if not done:
        raise HostError(
            f"{what} took longer than {deadline_s:g} s",
            hint="the host is overloaded, or a process hangs; look for processes in state D",
        )
    return future.result()
