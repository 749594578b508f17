"""Patience with wrong tokens: some from one address, and then its sender is told to wait.

No guess would ever be right: a token is 256 random bits. It tells a program with an old token to
slow down, and never shuts out who has a good one and shares its address.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

__all__ = ["Patience"]

MOST_WRONG: Final = 10
WINDOW_S: Final = 60.0
MOST_ADDRESSES: Final = 1024
"""Of more, the one that was wrong longest ago is forgotten."""

IPV6_PREFIX: Final = 64
"""The addresses of one such network are one machine's to choose from."""


class Patience:
    """Counts wrong tokens by address.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong: OrderedDict[str, list[float]] = OrderedDict()

    def wait_s(self, address: str) -> int:
        """Say how long who sends wrong tokens from an address should wait; 0: not yet."""
        times = self._recent(_network(address))
        return math.ceil(times[0] + WINDOW_S - self._clock()) if len(times) >= MOST_WRONG else 0

    def wrong(self, address: str) -> None:
        """Take note of a wrong token."""
        network = _network(address)
        self._wrong[network] = [*self._recent(network), self._clock()][-MOST_WRONG:]
        self._wrong.move_to_end(network)
        if len(self._wrong) > MOST_ADDRESSES:
            self._wrong.popitem(last=False)

    def _recent(self, network: str) -> list[float]:
        since_s = self._clock() - WINDOW_S
        return [time_s for time_s in self._wrong.get(network, ()) if time_s > since_s]


def _network(address: str) -> str:
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, IPV6_PREFIX), strict=False))
    return str(found)
