"""One QMP command at a time to a guest's second monitor, which nobody but the lab uses.

Each command has a connection of its own: nothing is kept open, nothing runs in the background.
Barostat's own way to guests is `barostat.hypervisors`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

import msgspec

from barostat.errors import LabError

__all__ = ["execute"]

TIMEOUT_S: Final = 5.0
LONGEST_LINE_BYTES: Final = 2**20
MOST_EVENTS: Final = 1000
"""So many may lie between a command and its answer; more is no QMP."""


async def execute(
    path: Path, command: str, /, *, timeout_s: float = TIMEOUT_S, **arguments: Any
) -> Any:
    """Run one QMP command and return its answer.

    Args:
        path: the monitor's socket.
        command: as QEMU names it; its arguments with "_" for "-".
        timeout_s: for all of it.
        arguments: of the command.

    Raises:
        LabError: nobody answers, not in time, or QEMU said no.
    """
    try:
        async with asyncio.timeout(timeout_s):
            return await _converse(path, command, arguments)
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        why = str(error) or f"nothing within {timeout_s:g} s"
        raise LabError(
            f"QMP {command} to {path}: no answer ({why})", hint="did the guest end?"
        ) from error


async def _converse(path: Path, command: str, arguments: dict[str, Any]) -> Any:
    reader, writer = await asyncio.open_unix_connection(str(path), limit=LONGEST_LINE_BYTES)
    try:
        await reader.readuntil(b"\n")  # the greeting
        await _ask(reader, writer, "qmp_capabilities", {})
        return await _ask(reader, writer, command, arguments)
    finally:
        writer.close()


async def _ask(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    command: str,
    arguments: dict[str, Any],
) -> Any:
    plain = {name.replace("_", "-"): value for name, value in arguments.items()}
    writer.write(msgspec.json.encode({"execute": command, "arguments": plain}) + b"\n")
    for _ in range(MOST_EVENTS):
        answer = msgspec.json.decode(await reader.readuntil(b"\n"))
        if "return" in answer:
            return answer["return"]
        if "error" in answer:
            said = answer["error"].get("desc", "no reason given")
            raise LabError(f"QMP {command}: QEMU says no: {said}")
    raise LabError(f"QMP {command}: {MOST_EVENTS} events and no answer")
