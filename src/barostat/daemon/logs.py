"""Where the daemon's words go: to the standard error, as text for people or JSON for the journal.

Whoever reads may stop reading; the balancing never waits for that. A thread of its own writes, and
what does not fit in its queue is dropped. Whatever came from outside is shown printable: a line of
the log is one line, and no guest's words steer a terminal.
"""

from __future__ import annotations

import logging
import os
import queue
import sys
from collections.abc import MutableMapping
from logging.handlers import QueueHandler, QueueListener
from typing import Any, Final

import structlog
from structlog.types import Processor

from barostat.config.sections import LogSection
from barostat.service.printable import all_printable

__all__ = ["LogOutput"]

MOST_WAITING: Final = 10_000
"""Lines; some minutes of a large host on a bad day."""

_SHARED: Final[tuple[Processor, ...]] = (
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)

_FIRST: Final = ("timestamp", "level", "logger", "event")


class _Outbox(QueueHandler):
    """Hands lines to the thread that writes them."""

    def enqueue(self, record: logging.LogRecord) -> None:
        """Drop what does not fit: who reads us has stopped."""
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            return


class LogOutput:
    """Writes what the whole process logs, from now until closed."""

    def __init__(self, section: LogSection) -> None:
        waiting: queue.Queue[logging.LogRecord] = queue.Queue(MOST_WAITING)
        self._outbox = _Outbox(waiting)
        self._level_before = logging.getLogger().level
        self._writer = QueueListener(waiting, logging.StreamHandler(sys.stderr))
        structlog.configure(
            processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
            logger_factory=structlog.stdlib.LoggerFactory(),
            wrapper_class=structlog.stdlib.BoundLogger,
        )
        self.apply(section)
        self._writer.start()
        logging.getLogger().addHandler(self._outbox)

    def apply(self, section: LogSection) -> None:
        """Write at this level and in this format from now on."""
        self._outbox.setFormatter(
            structlog.stdlib.ProcessorFormatter(
                foreign_pre_chain=_SHARED,
                processors=[
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    _tidied,
                    *_rendered(section),
                ],
            )
        )
        logging.getLogger().setLevel(section.level.upper())

    def close(self) -> None:
        """Write what is still to be written, and stop."""
        logging.getLogger().removeHandler(self._outbox)
        logging.getLogger().setLevel(self._level_before)
        self._writer.stop()
        structlog.reset_defaults()


def _rendered(section: LogSection) -> tuple[Processor, ...]:
    terminal = sys.stderr.isatty()
    if section.format == "json" or (section.format == "auto" and not terminal):
        return (structlog.processors.format_exc_info, structlog.processors.JSONRenderer())
    colors = terminal and not os.environ.get("NO_COLOR")
    plain = structlog.dev.plain_traceback
    return (structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain),)


def _tidied(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put first what everybody reads first, and show what cannot be printed by its code."""
    first = {key: event[key] for key in _FIRST if key in event}
    return {key: all_printable(value) for key, value in (first | dict(event)).items()}
