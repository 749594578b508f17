"""A chart in the terminal: what a VM needed as an area, what it had as a line above it.

Pure: values in, rows of characters out. Told apart by shape, not by colour alone, so that it can
be read on a monochrome terminal, in a pipe and by who sees no red. An eighth of a row is the
smallest step of the area, a fifth that of the line. Where nothing is known nothing is drawn.
"""

from __future__ import annotations

import enum
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from barostat.units import MIB, format_size

__all__ = ["Chart", "Ink", "Row", "draw", "plain"]

BLOCKS: Final = " ▁▂▃▄▅▆▇█"
DASHES: Final = "⎽⎼─⎻⎺"  # from the bottom of a row to its top
UPRIGHT: Final = "│"
LIMIT: Final = "┄"

LEAST_COLUMNS: Final = 16
LEAST_ROWS: Final = 3

FAR_LIMIT_RATIO: Final = 1.5
"""A limit further above all values than this is left out: it would press them to the floor."""

STEPS: Final = (1.0, 1.25, 1.5, 2.0)
"""The top of the scale is one of these times a power of two, as sizes of memory are."""


class Ink(enum.Enum):
    """What a piece of a row belongs to; whoever prints it chooses a colour."""

    FRAME = "frame"
    AREA = "area"
    LINE = "line"
    LIMIT = "limit"


Row = tuple[tuple[str, Ink], ...]
Point = tuple[float, int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """What to draw.

    Attributes:
        since_s, until_s: the time that the width stands for.
        step_s: how long each point holds.
        area, line: points in the order of time: when it begins, and bytes, or None.
        limits: values that are marked over the whole width, by their names.
        moment: writes a time below the chart.
    """

    since_s: float
    until_s: float
    step_s: float
    area: Sequence[Point]
    line: Sequence[Point]
    moment: Callable[[float], str]
    limits: Mapping[str, int] = field(default_factory=dict)


def draw(chart: Chart, *, width: int, height: int) -> tuple[Row, ...]:
    """Draw a chart: `height` rows of plot, and two below it for the time.

    Args:
        chart: what to draw.
        width: columns of all of it, the scale included; never fewer than fit.
        height: rows of the plot, at least 3.
    """
    height = max(height, LEAST_ROWS)
    limits, top_bytes = _scale(chart)
    labels = {
        height - 1: format_size(top_bytes),
        (height - 1) // 2: format_size(top_bytes * ((height - 1) // 2 + 1) // height),
    }
    margin = max(map(len, labels.values()))
    columns = max(width - margin - 2, LEAST_COLUMNS)
    plot = _Plot(columns, height, top_bytes)
    for limit in limits.values():
        plot.limit(limit)
    plot.area(_columns(chart, chart.area, columns))
    plot.line(_columns(chart, chart.line, columns))
    names = {plot.row_of(limit): name for name, limit in limits.items()}
    rows = [
        (
            (f"{labels.get(row, ''):>{margin}} {'┤' if row in labels else '│'}", Ink.FRAME),
            *plot.pieces(row),
            *(((f" {names[row]}", Ink.LIMIT),) if row in names else ()),
        )
        for row in reversed(range(height))
    ]
    return (*rows, *_below(chart, margin, columns))


def plain(rows: Sequence[Row]) -> str:
    """Make text of a drawing, a line for each row."""
    return "\n".join("".join(text for text, _ in row).rstrip() for row in rows)


def _scale(chart: Chart) -> tuple[Mapping[str, int], int]:
    """Choose which limits are near enough to be drawn, and a round value for the top."""
    values = [value for _, value in (*chart.area, *chart.line) if value is not None]
    highest = max(values, default=0)
    limits = {
        name: limit
        for name, limit in chart.limits.items()
        if not values or limit <= highest * FAR_LIMIT_RATIO
    }
    highest = max([highest, *limits.values(), MIB])
    below = 2 ** math.floor(math.log2(highest))
    return limits, int(next(below * step for step in STEPS if below * step >= highest))


def _columns(chart: Chart, points: Sequence[Point], columns: int) -> list[int | None]:
    """Spread points over columns; of many in one column the highest is shown."""
    found: list[int | None] = [None] * columns
    a_column_s = (chart.until_s - chart.since_s) / columns
    for at_s, value in points:
        if value is None:
            continue
        first = math.floor((at_s - chart.since_s) / a_column_s)
        last = math.ceil((at_s + chart.step_s - chart.since_s) / a_column_s) - 1
        for column in range(max(first, 0), min(last, columns - 1) + 1):
            there = found[column]
            found[column] = value if there is None else max(there, value)
    return found


class _Plot:
    """Cells of characters; the lowest row is number 0."""

    def __init__(self, columns: int, rows: int, top_bytes: int) -> None:
        self._top_bytes = top_bytes
        self._cells = [[(" ", Ink.FRAME)] * columns for _ in range(rows)]

    def row_of(self, value: int) -> int:
        """Say in which row a value lies."""
        return self._part(value, 1)

    def limit(self, value: int) -> None:
        """Mark a value over the whole width."""
        row = self._cells[self.row_of(value)]
        row[:] = [(LIMIT, Ink.LIMIT)] * len(row)

    def area(self, values: Sequence[int | None]) -> None:
        """Fill what lies below the values."""
        for column, value in enumerate(values):
            if value is None:
                continue
            eighths = round(value / self._top_bytes * len(self._cells) * 8)
            for row, cells in enumerate(self._cells):
                filled = min(max(eighths - row * 8, 0), 8)
                if filled:
                    cells[column] = (BLOCKS[filled], Ink.AREA)

    def line(self, values: Sequence[int | None]) -> None:
        """Draw through the values, upright where they jump."""
        before: int | None = None
        for column, value in enumerate(values):
            if value is None:
                before = None
                continue
            row, dash = divmod(self._part(value, len(DASHES)), len(DASHES))
            if before is not None:
                for between in range(min(before, row) + 1, max(before, row)):
                    self._cells[between][column] = (UPRIGHT, Ink.LINE)
            self._cells[row][column] = (DASHES[dash], Ink.LINE)
            before = row

    def pieces(self, row: int) -> Iterator[tuple[str, Ink]]:
        """Give a row, in pieces of one ink each."""
        for ink, cells in itertools.groupby(self._cells[row], key=lambda cell: cell[1]):
            yield "".join(text for text, _ in cells), ink

    def _part(self, value: int, parts: int) -> int:
        """Say in which of a row's parts, counted from the ground, a value lies."""
        most = len(self._cells) * parts
        return min(max(value, 0) * most // self._top_bytes, most - 1)


def _below(chart: Chart, margin: int, columns: int) -> Iterator[Row]:
    """Draw the ground, and the time below it: where it begins, its middle and its end."""
    yield ((f"{'0':>{margin}} └{'─' * columns}", Ink.FRAME),)
    middle_s = (chart.since_s + chart.until_s) / 2
    since, middle, until = map(chart.moment, (chart.since_s, middle_s, chart.until_s))
    room = columns - len(since) - len(until)
    between = f"{middle:^{room}}" if room > len(middle) + 1 else " " * max(room, 1)
    yield ((" " * (margin + 2) + since + between + until, Ink.FRAME),)
