"""The console on stdout: a person's terminal, or a file or pipe that wants whole, plain lines.

Escape codes, wrapping and the width of the window are for terminals alone, whatever the
environment says. With `NO_COLOR` even a terminal is spared colour and bold type.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Final, NoReturn

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table

from barostat.service.printable import printable

__all__ = ["StdoutConsole"]

UNBOUNDED_WIDTH: Final = 100_000
"""Wider than any line: what is not a terminal is never wrapped for."""


class StdoutConsole(Console):
    """Prints texts as they are: no markup, no emoji, nothing highlighted by guess.

    What cannot be printed is shown by its code: only we steer the terminal.
    """

    def __init__(self) -> None:
        terminal = sys.stdout is not None and sys.stdout.isatty()
        super().__init__(
            force_terminal=terminal,
            width=None if terminal else UNBOUNDED_WIDTH,
            color_system="auto" if terminal and not os.environ.get("NO_COLOR") else None,
            highlight=False,
            markup=False,
            emoji=False,
        )

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Turn something into pieces of text."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else printable(text, lines=True), style, control)

    def on_broken_pipe(self) -> NoReturn:
        """Leave it to `main` what a reader that went away means."""
        raise BrokenPipeError

    def facts(self, lines: Iterable[tuple[str, str]]) -> RenderableType:
        """Lay out sentences, each about something: `what: sentence` a line.

        On a terminal the sentences wrap beside what they are about, not below it.
        """
        if not self.is_terminal:
            return "\n".join(printable(f"{what}: {sentence}") for what, sentence in lines)
        table = Table.grid(padding=(0, 1))
        table.add_column(no_wrap=True, style="bold")
        table.add_column()
        for what, sentence in lines:
            table.add_row(printable(f"{what}:"), printable(sentence))
        return table
