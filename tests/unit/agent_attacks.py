"""Hostile agents, each behind a socket NAME.agent in the folder that is given, in a process of
their own: what they cost themselves must not count as what they cost the host.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Final

from tests.unit.agent_peer import hello, line, report

MOST: Final = 2**63 - 1
Attack = Callable[[str, asyncio.StreamWriter], Awaitable[None]]


async def endlessly(writer: asyncio.StreamWriter, pieces: Iterable[bytes], every_s: float) -> None:
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(every_s)


async def ten_megabytes(_: str, writer: asyncio.StreamWriter) -> None:
    await endlessly(writer, itertools.repeat(b"x" * 65536, 160), 0.0)


async def deep(_: str, writer: asyncio.StreamWriter) -> None:
    nested = (b"[" * 4090 + b"\n", b'{"v":' * 800 + b"\n")
    await endlessly(writer, itertools.cycle(nested), 0.01)


async def flood(session: str, writer: asyncio.StreamWriter) -> None:
    lines = hello(session) + line(type="weather") * 99
    await endlessly(writer, itertools.repeat(lines), 0.01)


async def absurd(session: str, writer: asyncio.StreamWriter) -> None:
    writer.write(hello(session))
    words = {"total": MOST, "available": MOST, "swap_in": MOST, "committed": MOST}
    endless = (report(session, number, **words) for number in itertools.count(1))  # type: ignore[arg-type]
    await endlessly(writer, endless, 0.05)


async def digits(_: str, writer: asyncio.StreamWriter) -> None:
    await endlessly(writer, itertools.repeat(b'{"v":' + b"9" * 4080 + b"}\n"), 0.01)


async def boots(session: str, writer: asyncio.StreamWriter) -> None:
    greetings = (hello(session, boot=f"boot-{number}") for number in itertools.count())
    await endlessly(writer, greetings, 0.05)


async def replayed(_: str, writer: asyncio.StreamWriter) -> None:
    stale = (report("0123456789abcdef", number) for number in itertools.count(1))
    await endlessly(writer, stale, 0.05)


async def silence(_: str, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


async def half(session: str, writer: asyncio.StreamWriter) -> None:
    writer.write(hello(session) + report(session, 1)[:200])
    await asyncio.sleep(3600)


async def closing(_: str, writer: asyncio.StreamWriter) -> None:
    pass


async def byte_by_byte(session: str, writer: asyncio.StreamWriter) -> None:
    endless = (hello(session) + report(session, number) for number in itertools.count(1))
    await endlessly(writer, (bytes([byte]) for said in endless for byte in said), 0.0)


ATTACKS: Final[dict[str, Attack]] = {
    attack.__name__: attack
    for attack in (
        ten_megabytes,
        deep,
        flood,
        absurd,
        digits,
        boots,
        replayed,
        silence,
        half,
        closing,
        byte_by_byte,
    )
}


def serving(attack: Attack) -> Callable[..., Awaitable[None]]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            session = json.loads(await reader.readline())["session"]
            await attack(session, writer)
        except (ConnectionError, ValueError):
            pass
        finally:
            writer.close()

    return serve


async def main(folder: Path) -> None:
    for name, attack in ATTACKS.items():
        await asyncio.start_unix_server(serving(attack), str(folder / f"{name}.agent"))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)  # until whoever started us has had enough


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
