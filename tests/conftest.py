"""What every test stands on."""

from __future__ import annotations

import asyncio
import os

from hypothesis import settings

# Without this pytest-asyncio asks asyncio for the main thread's loop before its first test, asyncio
# makes one, nobody closes it, and the warning fails whichever test the collector comes along in.
asyncio.set_event_loop(None)

settings.register_profile(
    "soak", max_examples=int(os.environ.get("BAROSTAT_SOAK_RUNS", "10000")), print_blob=True
)
