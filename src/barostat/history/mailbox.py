"""What waits to be written, between the event loop, which never waits, and the writer's thread.

Bounded twice: passes, which come every second, are refused first, so that what happens seldom and
matters (who changed what) finds room even while nothing can be written for a long time.
"""

from __future__ import annotations

import threading
from collections import deque

from barostat.history.store import Entry, Looked

__all__ = ["Mailbox"]


class Mailbox:
    """A queue of entries from one thread to another.

    Args:
        passes: no pass is taken in while so many entries wait.
        most: nothing is taken in while so many entries wait.

    Attributes:
        dropped: entries that were refused or lost, ever.
    """

    def __init__(self, *, passes: int, most: int) -> None:
        self.dropped = 0
        self._passes = passes
        self._most = most
        self._waiting: deque[Entry] = deque()
        self._closed = False
        self._changed = threading.Condition()

    def offer(self, entry: Entry) -> None:
        """Take an entry in, or refuse and count it. Never waits for the writer."""
        with self._changed:
            room = self._passes if isinstance(entry, Looked) else self._most
            if self._closed or len(self._waiting) >= room:
                self.dropped += 1
                return
            self._waiting.append(entry)
            self._changed.notify_all()

    def __len__(self) -> int:
        return len(self._waiting)

    def peek(self) -> tuple[Entry, ...]:
        """Wait for entries and show them all; none when it is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            return tuple(self._waiting)

    def remove(self, count: int) -> None:
        """Take out the first ones: they are written."""
        with self._changed:
            for _ in range(count):
                self._waiting.popleft()

    def lose(self, count: int) -> None:
        """Take out the first ones and count them: they cannot be written, now or ever."""
        self.remove(count)
        self.dropped += count

    def rest(self, pause_s: float) -> None:
        """Wait for so long, or until it is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed, pause_s)

    def close(self) -> None:
        """Take nothing in any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """Whether nothing is taken in any more."""
        with self._changed:
            return self._closed
