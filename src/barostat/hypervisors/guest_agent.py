"""What is said to qemu-guest-agent and how its answers are read, whatever carries them. No I/O.

An answer is a guest's word: it is bounded, it may have any shape, and of its text no more is shown
to people than a short line of plain characters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from barostat.errors import DeadlineError, RefusedError, UnreachableError

__all__ = [
    "LARGEST_ANSWER_BYTES",
    "no_agent",
    "read_answer",
    "refused_by_agent",
    "silent_agent",
    "strange_agent",
    "write_command",
]

LARGEST_ANSWER_BYTES: Final = 2**20
"""A file of /proc has some KiB, in base64 a third more."""

LONGEST_SHOWN: Final = 120


class _Fault(msgspec.Struct):
    desc: str = ""


class _Answer(msgspec.Struct, rename={"returned": "return"}):
    returned: Any = msgspec.UNSET
    error: _Fault | None = None


def write_command(command: str, arguments: Mapping[str, object]) -> str:
    """Write a command as the agent wants it, without the end of the line."""
    said: dict[str, object] = {"execute": command}
    if arguments:
        said["arguments"] = dict(arguments)
    return msgspec.json.encode(said).decode()


def read_answer(guest: str, command: str, line: bytes) -> object:
    """Read what a command returned.

    Raises:
        RefusedError: the agent said no.
        UnreachableError: this is no answer of an agent's.
    """
    if len(line) > LARGEST_ANSWER_BYTES:
        raise strange_agent(guest, command)
    try:
        answer = msgspec.json.decode(line, type=_Answer)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise strange_agent(guest, command) from error
    if answer.error is not None:
        raise refused_by_agent(guest, command, answer.error.desc)
    if answer.returned is msgspec.UNSET:
        raise strange_agent(guest, command)
    return answer.returned


def _plain(text: str) -> str:
    """Make a guest's text fit to be shown to people."""
    shown = "".join(sign if sign.isascii() and sign.isprintable() else "?" for sign in text)
    return shown if len(shown) <= LONGEST_SHOWN else f"{shown[:LONGEST_SHOWN]}..."


def no_agent(guest: str, why: str) -> RefusedError:
    """Say that nobody is there to be asked."""
    return RefusedError(
        f'VM "{guest}" has no qemu-guest-agent that can be asked: {_plain(why)}',
        hint="give the VM a virtio-serial port org.qemu.guest_agent.0, and install and start "
        "qemu-guest-agent in it; Barostat asks again by itself",
    )


def refused_by_agent(guest: str, command: str, why: str) -> RefusedError:
    """Say that it said no."""
    return RefusedError(
        f'qemu-guest-agent in VM "{guest}" refused `{command}`: {_plain(why)}',
        hint="it may be switched off in the guest's qemu-ga.conf; nothing was changed",
    )


def silent_agent(guest: str, command: str) -> DeadlineError:
    """Say that there was no answer in time."""
    return DeadlineError(
        f'qemu-guest-agent in VM "{guest}" did not answer `{command}` in time',
        hint="it does not run, another program is speaking with it, or the guest has no time for "
        "it; Barostat asks again by itself",
    )


def strange_agent(guest: str, command: str) -> UnreachableError:
    """Say that what answers is no agent."""
    return UnreachableError(
        f'VM "{guest}": what answers `{command}` is no qemu-guest-agent',
        hint="is the port org.qemu.guest_agent.0 of the VM connected to something else?",
    )
