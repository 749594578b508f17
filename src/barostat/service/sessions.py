"""Sessions: what a browser has instead of a token, so that no page's script ever holds one.

A session is a random word in a cookie, and here the hash of the token it was opened with: it opens
what that token opens, and no longer than the token is good. They are few, they end after some hours
and with the daemon.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

__all__ = ["COOKIE", "LASTS_S", "Sessions"]

COOKIE: Final = "__Host-barostat"
"""The prefix has browsers take it over TLS alone, from this host alone, for all its paths."""

LASTS_S: Final = 12 * 3600
"""A working day."""

MOST_SESSIONS: Final = 256
"""Who opens more ends the oldest."""

RANDOM_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class _Session:
    token_digest: str
    ends_s: float


class Sessions:
    """The sessions that are open.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._open: dict[str, _Session] = {}

    def open(self, token_digest: str) -> str:
        """Open a session with a token; gives the word for the cookie."""
        word = secrets.token_urlsafe(RANDOM_BYTES)
        self._forget()
        self._open[_key(word)] = _Session(token_digest=token_digest, ends_s=self._clock() + LASTS_S)
        return word

    def find(self, word: str) -> str | None:
        """Give the hash of the token that a session was opened with; None: it is not open."""
        found = self._open.get(_key(word))
        return None if found is None or found.ends_s <= self._clock() else found.token_digest

    def close(self, word: str) -> None:
        """End a session, if it is open."""
        self._open.pop(_key(word), None)

    def _forget(self) -> None:
        """Forget what has ended, and the oldest where there are too many. They end in order."""
        for key in list(self._open):
            if self._open[key].ends_s > self._clock() and len(self._open) < MOST_SESSIONS:
                return
            del self._open[key]


def _key(word: str) -> str:
    """Hash the word: how long a look-up takes says nothing about it then."""
    return hashlib.sha256(word.encode("utf-8", "surrogateescape")).hexdigest()
