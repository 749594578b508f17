from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/explanation/hyper-v.md"
TEST = re.compile(r"`(tests/[\w/.]+\.py)(?:::(\w+))?`")


def rows() -> list[list[str]]:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if row[0] != "feature"]


def test_every_test_that_is_called_a_proof_exists() -> None:
    named = TEST.findall(PAGE.read_text())

    missing = [
        f"{path}::{name}"
        for path, name in named
        if not (ROOT / path).exists() or (name and f"def {name}(" not in (ROOT / path).read_text())
    ]

    assert len(named) > 30
    assert missing == []


def test_every_feature_has_a_test_or_is_said_to_be_missing() -> None:
    bare = [row[0] for row in rows() if not TEST.search(row[-1]) and "not yet" not in row[-2]]

    assert bare == []
