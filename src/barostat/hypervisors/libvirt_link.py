"""Whether libvirt is there: the connection that carries its events, and when to try it again.

The first attempt is waited for; later ones run beside the looks and never delay them. Every attempt
has a deadline. Pauses between attempts double from 0.2 to 2 s, with jitter: the daemon is mostly
this machine's own, an attempt costs it nothing, and its return is to be noticed at once.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Final

from barostat.errors import DeadlineError, HypervisorError, UnreachableError
from barostat.hypervisors.lanes import Lanes
from barostat.hypervisors.libvirt_events import Ear, Heard

__all__ = ["LibvirtLink"]

FIRST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 2.0
JITTER_RATIO: Final = 0.2

FIRST_ATTEMPT_S: Final = 1.0
"""A look waits so long for the first attempt."""

_log = logging.getLogger(__name__)


class LibvirtLink:
    """The connection that carries events.

    Args:
        uri: to what.
        hear: is told of events.
        deadline_s: how long connecting may take.

    Attributes:
        up: it stands.
        fault: why it does not, or what libvirt last failed to do; None while all is well.
    """

    def __init__(self, uri: str, *, hear: Callable[[str, Heard], None], deadline_s: float) -> None:
        self.up = False
        self.fault: HypervisorError | None = None
        self._uri = uri
        self._hear = hear
        self._deadline_s = deadline_s
        self._ears: Lanes[Ear] | None = None
        self._attempt: asyncio.Task[None] | None = None
        self._pause_s = FIRST_PAUSE_S
        self._due_s = 0.0
        self._tried = False

    async def see_to(self) -> bool:
        """See that the connection stands, or is tried again when it is time.

        Returns:
            Whether it stands.
        """
        if self._attempt is not None and self._attempt.done():
            self._attempt.result()  # raises what is our own fault
            self._attempt = None
        loop = asyncio.get_running_loop()
        if not self.up and self._attempt is None and loop.time() >= self._due_s:
            self._attempt = asyncio.create_task(self._connect(), name=f"connect {self._uri}")
            if not self._tried:
                self._tried = True
                await asyncio.wait({self._attempt}, timeout=FIRST_ATTEMPT_S)
        return self.up

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        if self._ears is None:
            self._ears = Lanes(
                lambda: Ear.open(self._uri, loop, hear=self._hear, lost=self._lose),
                workers=1,
                name=f"{self._uri} events",
            )
        try:
            await self._ears.finish(
                self._ears.start(lambda ear: ear.alive), deadline_s=self._deadline_s
            )
        except HypervisorError as error:
            if isinstance(error, DeadlineError):
                error = UnreachableError(
                    f"{self._uri} does not answer within {self._deadline_s:g} s",
                    hint="libvirtd hangs, or is still starting; it is tried again by itself",
                )
            self.fail(error)
            jitter = random.uniform(1 - JITTER_RATIO, 1 + JITTER_RATIO)  # noqa: S311 - no secret
            self._due_s = loop.time() + self._pause_s * jitter
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        else:
            self.up, self._pause_s = True, FIRST_PAUSE_S

    def _lose(self) -> None:
        self.up = False
        self.fail(
            UnreachableError(
                f"{self._uri} has closed the connection",
                hint="is libvirtd being restarted? it is connected to again by itself; guests "
                "keep what they have",
            )
        )

    def fail(self, error: HypervisorError) -> None:
        """Keep the fault, and tell it once, not at every attempt."""
        if self.fault is None:
            _log.warning("%s; %s", error.message, error.hint)
        self.fault = error

    def recover(self) -> None:
        """Take the fault away, and tell that libvirt answers again."""
        if self.fault is not None:
            _log.info("%s answers", self._uri)
        self.fault = None

    async def close(self) -> None:
        """Let go of the connection."""
        if self._attempt is not None:
            self._attempt.cancel()
            await asyncio.wait({self._attempt})
        if self._ears is not None:
            await self._ears.close()
