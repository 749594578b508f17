"""How a command ends: exit codes, signals, and readers that went away.

SIGTERM and SIGHUP are Ctrl-C by another name: whatever a command has booted or opened is taken
down before it ends, and its exit code is 128 and the signal's number, as shells have it.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Final

__all__ = [
    "EXIT_BAD",
    "EXIT_CODES",
    "EXIT_INPUT",
    "EXIT_PIPE",
    "EXIT_UNREACHABLE",
    "Ending",
    "settle_stdout",
    "signals_interrupt",
]

EXIT_BAD: Final = 1
EXIT_INPUT: Final = 2
EXIT_UNREACHABLE: Final = 3
EXIT_PIPE: Final = 128 + signal.SIGPIPE

EXIT_CODES: Final = {
    "0": "all is well",
    "1": "it ran, and what it found is not well",
    "2": "what was given cannot be used; nothing was changed",
    "3": "a guest, a hypervisor, the lab or the machine did not do its part",
    "128+N": "ended by signal N, all taken down: 130 Ctrl-C, 143 SIGTERM; 141: its reader left",
}


@dataclass(slots=True)
class Ending:
    """Which signal ended the command, if one did."""

    signal: int = signal.SIGINT

    @property
    def exit_code(self) -> int:
        """The exit code of a command that a signal ended."""
        return 128 + self.signal

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        """Do what Ctrl-C does now: cancel what runs in an event loop, or raise."""
        self.signal = number
        by_ctrl_c = signal.getsignal(signal.SIGINT)
        if callable(by_ctrl_c):
            by_ctrl_c(number, frame)
        else:  # Ctrl-C is ignored, as in a shell's background; other signals still end us
            raise KeyboardInterrupt


@contextmanager
def signals_interrupt() -> Iterator[Ending]:
    """Have SIGTERM and SIGHUP do what Ctrl-C does, unless whoever started us ignores them."""
    ending = Ending()
    ours = [
        number
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is signal.SIG_DFL
    ]
    for number in ours:
        signal.signal(number, ending.interrupt)
    try:
        yield ending
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def settle_stdout() -> None:
    """Write what is still to be written; what cannot be is dropped, so that the end is quiet."""
    if sys.stdout is None:  # closed by whoever started us
        return
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
