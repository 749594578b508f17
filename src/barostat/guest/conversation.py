"""What was said in one session with an agent, and how it behaves. Pure: time is an argument.

A session is one welcome's. Only what carries it, and the boot of the last hello that carried it,
and a number above the last, is heard: the rest is stale, whoever sent it. An agent that sends too
much, nonsense too often, or another boot all the time, misbehaves: it is left alone for a while.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

from barostat.guest.belief import plausible
from barostat.guest.protocol import Done, Hello, Message, ProtocolError, Report, parse

__all__ = ["Conduct", "Conversation", "MisbehavingError"]

LINES_PER_S: Final = 25
"""An agent that reports as often as it may sends 20, and has something left to answer with."""

BURST_LINES: Final = 250
"""Some seconds of reports may wait while the host itself is held up: that is not the guest's doing.
So many take 10 ms to read."""

BAD_LINES: Final = 3
BAD_WITHIN_S: Final = 60.0
"""One is what an agent's restart leaves in the channel; a third in a minute is no accident."""

BOOT_S: Final = 10.0
"""No guest that its host did not see being reset boots more often than this."""


class MisbehavingError(ProtocolError):
    """An agent that nobody should listen to for a while; the message says what it did."""


class Conduct:
    """How the agent at one connection behaves, whatever sessions it has."""

    def __init__(self, now_s: float) -> None:
        self._tokens = float(BURST_LINES)
        self._counted_s = now_s
        self._bad_s: deque[float] = deque(maxlen=BAD_LINES)
        self._booted_s = -math.inf

    def line(self, now_s: float) -> None:
        """Note that it sent a line.

        Raises:
            MisbehavingError: it sends too many.
        """
        self._tokens += (now_s - self._counted_s) * LINES_PER_S
        self._tokens = min(self._tokens, BURST_LINES) - 1
        self._counted_s = now_s
        if self._tokens < 0:
            raise MisbehavingError(f"it sends more than {LINES_PER_S} lines a second")

    def bad(self, fault: ProtocolError, now_s: float) -> None:
        """Note that a line was none of the protocol.

        Raises:
            MisbehavingError: it sends too many of these.
        """
        self._bad_s.append(now_s)
        if len(self._bad_s) == BAD_LINES and now_s - self._bad_s[0] <= BAD_WITHIN_S:
            raise MisbehavingError(
                f"it sent {BAD_LINES} bad lines within a minute; the last: {fault.message}"
            ) from fault

    def booted(self, now_s: float) -> None:
        """Note that it says it is of another boot, though nobody saw one.

        Raises:
            MisbehavingError: it says so too often.
        """
        if now_s - self._booted_s < BOOT_S:
            raise MisbehavingError(f"it says it booted twice within {BOOT_S:g} s")
        self._booted_s = now_s


class Conversation:
    """One session.

    Attributes:
        session: its name.
        began_s: when it was opened.
        hello: who answered the welcome, None while nobody did.
        report: the newest that is believed, None before the first.
        report_at_s: when it was read.
        doubt: why a newer one is not believed; empty while the newest is.
    """

    def __init__(self, session: str, conduct: Conduct, *, began_s: float) -> None:
        self.session = session
        self.began_s = began_s
        self.hello: Hello | None = None
        self.report: Report | None = None
        self.report_at_s = began_s
        self.doubt = ""
        self._conduct = conduct
        self._seq = 0

    def hear(self, line: bytes, now_s: float) -> Message | None:
        """Take one line.

        Returns:
            What is news: a report that is believed, a hello, or an answer. A hello of another
            session than this is from an agent that waits to be welcomed, and nothing else.

        Raises:
            MisbehavingError: nobody should listen to this agent for a while.
        """
        self._conduct.line(now_s)
        try:
            message = parse(line)
        except ProtocolError as fault:
            self._conduct.bad(fault, now_s)
            return None
        if isinstance(message, Hello):
            return self._greeted(message, now_s)
        if message is None or self.hello is None:
            return None
        if message.session != self.session or message.boot != self.hello.boot:
            return None
        return message if isinstance(message, Done) else self._reported(message, now_s)

    def _greeted(self, hello: Hello, now_s: float) -> Hello:
        if hello.session != self.session:
            return hello
        if self.hello is not None and hello.boot != self.hello.boot:
            self._conduct.booted(now_s)
            self.report, self.doubt = None, ""  # its counters begin anew
        self.hello, self._seq = hello, 0
        return hello

    def _reported(self, report: Report, now_s: float) -> Report | None:
        if report.seq <= self._seq:
            return None
        self._seq = report.seq
        before, believed = self.report, report
        if before is not None:
            likely = plausible(before, report, elapsed_s=now_s - self.report_at_s)
            if likely is None:
                self.doubt = "its counters grow faster than memory can be moved"
                return None
            believed = likely
        self.report, self.report_at_s, self.doubt = believed, now_s, ""
        return believed
