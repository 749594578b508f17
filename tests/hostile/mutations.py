"""What is nearly right, made wrong in every way that comes to mind: bytes, text, JSON."""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from typing import Any, Final

NUMBERS: Final = (
    0,
    1,
    -1,
    2**31,
    2**53 + 1,
    2**63 - 1,
    2**63,
    2**64 - 1,
    2**64,
    -(2**63),
    10**30,
    -(10**300),
    1e308,
    -1e-320,
    float("nan"),
    float("inf"),
    float("-inf"),
)
WORDS: Final = (
    "",
    "0",
    "-1",
    "running",
    "\x00",
    "\x1b[2J\x1b]0;title\x07",
    "a\nb: fake",
    "\u202e\u200b\x9b31m",
    "\ud800",
    "x" * 10_000,
    "9" * 5_000,
    "٣٤",
    "²",
    "../../etc/passwd",
    "%s{0}{{}}",
    "<!ENTITY a 'b'>",
    "virtio-mem",
)
NESTED: Final[tuple[Any, ...]] = (
    [],
    {},
    [[]],
    [None] * 100,
    {"a": {"a": {"a": {}}}},
    {"status": []},
)
ANYTHING: Final = (*NUMBERS, *WORDS, *NESTED, None, True, False)


def anything(chance: random.Random) -> Any:
    """Give any JSON."""
    return copy.deepcopy(chance.choice(ANYTHING))


def mutated(value: Any, chance: random.Random, *, times: int = 1) -> Any:
    """Replace, drop or add something somewhere in what JSON can hold."""
    value = copy.deepcopy(value)
    for _ in range(times):
        places = list(_places(value))
        if not places:
            return anything(chance)
        where, key = chance.choice(places)
        match chance.randrange(4):
            case 0 if isinstance(where, list):
                where.insert(key, anything(chance))
            case 0:
                where[chance.choice(WORDS)] = anything(chance)
            case 1:
                del where[key]
            case _:
                where[key] = anything(chance)
    return value


def _places(value: Any) -> list[tuple[Any, Any]]:
    """List everything that stands in something, as that and its key there."""
    found: list[tuple[Any, Any]] = []
    if isinstance(value, dict | list):
        keys: Sequence[Any] = list(value) if isinstance(value, dict) else range(len(value))
        for key in keys:
            found.append((value, key))
            found += _places(value[key])
    return found


def garbled(data: bytes, chance: random.Random, *, tokens: Sequence[bytes] = ()) -> bytes:
    """Flip, cut, double and replace pieces of what is nearly right."""
    made = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        place = chance.randrange(len(made) + 1)
        end = min(len(made), place + chance.choice((1, 1, 4, 30, 300)))
        match chance.randrange(6):
            case 0:
                del made[place:]
            case 1:
                del made[place:end]
            case 2:
                made[place:place] = made[place:end] * chance.choice((1, 2, 50))
            case 3 if tokens:
                made[place:end] = chance.choice(tokens)
            case 4:
                made[place:end] = chance.choice(WORDS).encode(errors="surrogatepass")
            case _:
                made[place : place + 1] = chance.randbytes(chance.choice((1, 1, 8)))
    return bytes(made[: 2**17])
