"""Pages that name the tests that show what they say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

__all__ = ["ROOT", "TEST", "named_tests", "not_there", "rows"]

ROOT: Final = Path(__file__).parents[2]
TEST: Final = re.compile(r"`(tests/[\w/.]+\.py)(?:::(\w+))?`")


def named_tests(page: Path) -> list[tuple[str, str]]:
    """List the tests that a page names: file and function, which may be left out."""
    return TEST.findall(page.read_text())


def not_there(page: Path) -> list[str]:
    """List those of them that do not exist."""
    return [
        f"{path}::{name}"
        for path, name in named_tests(page)
        if not (ROOT / path).exists() or (name and f"def {name}(" not in (ROOT / path).read_text())
    ]


def rows(text: str) -> list[list[str]]:
    """Give the cells of every line of every table."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
