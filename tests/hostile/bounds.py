"""The bounds that hold whatever comes in: time, memory, and nothing left running.

Every fuzz here runs for some seconds; `BAROSTAT_FUZZ=60` has it run 60 times as long. Cases are
made from Python's random numbers, which pytest-randomly seeds: `--randomly-seed=N` repeats them.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from barostat.units import MIB

Note = Callable[[str, object], None]
"""Of pytest's `record_property`: `make trust` counts the cases that are noted so."""

FUZZ_S: Final = 4.0
LONGER: Final = float(os.environ.get("BAROSTAT_FUZZ", "1"))

KEPT_BYTES: Final = 4 * MIB
"""What may be kept of all that came in: caches of the standard library, the table of its words."""


def cases(note: Note, *, least: int = 100, seconds: float = FUZZ_S) -> Iterator[random.Random]:
    """Give a source of chance for each case, for so long, and for at least so many; note them."""
    seed, end_s = random.randrange(2**32), time.monotonic() + seconds * LONGER
    number = 0
    while number < least or time.monotonic() < end_s:
        yield random.Random(f"{seed} {number}")
        number += 1
    note("cases", number)


@contextmanager
def bounded(
    *, within_s: float, peak_bytes: int = 16 * MIB, kept_bytes: int = KEPT_BYTES
) -> Iterator[None]:
    """Assert that what is done takes no longer, needs no more memory, and keeps next to nothing.

    Memory counts from here: run something once before, so that what is loaded once is loaded.
    """
    gc.collect()
    tracemalloc.start()
    before_bytes, began_s = tracemalloc.get_traced_memory()[0], time.monotonic()
    try:
        yield
        took_s = time.monotonic() - began_s
        peak = tracemalloc.get_traced_memory()[1] - before_bytes
        gc.collect()
        kept = tracemalloc.get_traced_memory()[0] - before_bytes
        where = tracemalloc.take_snapshot().statistics("lineno")[:5] if kept >= kept_bytes else []
    finally:
        tracemalloc.stop()
    assert took_s < within_s
    assert peak < peak_bytes, f"{peak} bytes were needed"
    assert kept < kept_bytes, f"{kept} bytes are kept: {where}"


@asynccontextmanager
async def nothing_left(*, grace_s: float = 1.0) -> AsyncIterator[None]:
    """Assert that no task is left that was not there before, within a moment."""
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before
    if left:
        _, left = await asyncio.wait(left, timeout=grace_s)
    assert not left
