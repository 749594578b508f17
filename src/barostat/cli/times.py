"""Times as people write them: how long, how long ago, and when."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any, Final

import click

__all__ = ["DURATION", "MOMENT", "format_moment"]

_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LONGEST_DIGITS: Final = 6


class _Duration(click.ParamType[float]):
    """So long: a number and a unit."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Turn "90s", "1h" or "30d" into seconds."""
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"([0-9]+)([smhdw])", value.strip())
        if found is None or len(found[1]) > _LONGEST_DIGITS or int(found[1]) == 0:
            self.fail(
                f'"{value}" is no length of time; write it as "90s", "15m", "1h", "30d" or "2w"',
                param,
                ctx,
            )
        return float(int(found[1]) * _UNITS_S[found[2]])


class _Moment(click.ParamType[datetime]):
    """A time of day, the last one there was, or a date with one. Local time."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Turn "14:32", "14:32:10" or "2026-11-23 14:32" into a moment."""
        if isinstance(value, datetime):
            return value
        now = datetime.now().astimezone()
        text = value.strip()
        if re.fullmatch(r"[0-9]{1,2}:[0-9]{2}(:[0-9]{2})?", text):
            text = f"{now.date()} {text.zfill(8 if text.count(':') > 1 else 5)}"
            past = timedelta(days=1)
        else:
            past = timedelta()
        try:
            found = datetime.fromisoformat(text).astimezone()
        except (ValueError, OverflowError, OSError):
            self.fail(
                f'"{value}" is no time; write it as "14:32" or "2026-11-23 14:32:10"', param, ctx
            )
        return found - past if found > now else found


DURATION: Final = _Duration()
MOMENT: Final = _Moment()


def format_moment(at_s: float, *, seconds: bool = False) -> str:
    """Say when something was, in local time.

    Args:
        at_s: seconds since 1970.
        seconds: to the second.
    """
    form = "%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M"
    return datetime.fromtimestamp(at_s).astimezone().strftime(form)
