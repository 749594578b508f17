"""What every test stands on."""

from __future__ import annotations

import asyncio

# Without this pytest-asyncio asks asyncio for the main thread's loop before its first test, asyncio
# makes one, nobody closes it, and the warning fails whichever test the collector comes along in.
asyncio.set_event_loop(None)
