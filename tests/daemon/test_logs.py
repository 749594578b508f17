"""The log's output: whole lines, printable, in the format that was asked for."""

from __future__ import annotations

import json
import logging
from typing import Literal

import pytest
import structlog

from barostat.config.sections import LogSection
from barostat.daemon.logs import LogOutput


def written(
    capsys: pytest.CaptureFixture[str],
    section: LogSection,
    *,
    then: LogSection | None = None,
) -> list[str]:
    """Log a few things, and give the lines."""
    output = LogOutput(section)
    try:
        structlog.stdlib.get_logger("barostat.test").info("web: grow\x1b[31m\nforged", size=3)
        logging.getLogger("uvicorn").warning("%d of %s", 5, "them")
        oops = ZeroDivisionError("oops")
        logging.getLogger("barostat").error("it failed", exc_info=oops)
        if then is not None:
            output.apply(then)
        structlog.stdlib.get_logger("barostat.test").debug("fine print")
    finally:
        output.close()
    return capsys.readouterr().err.splitlines()


def test_json_is_one_document_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    grow, them, failed = (json.loads(line) for line in written(capsys, LogSection()))

    assert list(grow) == ["timestamp", "level", "logger", "event", "size"]
    assert grow["event"] == "web: grow\\x1b[31m\\nforged"
    assert (grow["level"], grow["logger"], grow["size"]) == ("info", "barostat.test", 3)
    assert (them["level"], them["event"]) == ("warning", "5 of them")
    assert "ZeroDivisionError: oops" in failed["exception"]


def test_when_it_is_closed_others_log_at_the_level_they_had(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = logging.getLogger().level

    written(capsys, LogSection(), then=LogSection(level="error"))

    assert logging.getLogger().level == before


def test_text_has_no_escape_codes_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    lines = written(capsys, LogSection(format="text"))

    assert "web: grow\\x1b[31m\\nforged" in lines[0]
    assert "\x1b" not in "".join(lines)
    assert any("ZeroDivisionError: oops" in line for line in lines)


@pytest.mark.parametrize(("level", "lines"), [("debug", 4), ("info", 3), ("error", 1)])
def test_what_is_less_weighty_is_left_out(
    capsys: pytest.CaptureFixture[str], level: Literal["debug", "info", "error"], lines: int
) -> None:
    assert len(written(capsys, LogSection(level=level))) == lines


def test_level_and_format_change_while_it_runs(capsys: pytest.CaptureFixture[str]) -> None:
    lines = written(capsys, LogSection(), then=LogSection(level="debug", format="text"))

    assert "fine print" in lines[-1]
    assert not lines[-1].startswith("{")
