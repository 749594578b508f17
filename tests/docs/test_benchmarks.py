"""`make bench` says what there is; a result can be read by people and by programs."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "reference" / "benchmarks.md"
NAMES = sorted(
    path.stem for path in (ROOT / "benchmarks").glob("*.py") if "\ndef run() " in path.read_text()
)


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def harness() -> ModuleType:
    path = ROOT / "benchmarks" / "harness.py"
    spec = importlib.util.spec_from_file_location("harness", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["harness"] = module  # its dataclasses look for it there
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules["harness"]
    return module


def test_every_benchmark_is_listed_with_what_it_measures() -> None:
    said = bench("--help")

    listed = re.findall(r"^  (\w+): Time .{20,}", said.stdout, re.MULTILINE)
    assert listed == NAMES


def test_a_benchmark_that_is_not_there_is_told_with_those_that_are() -> None:
    said = bench("reacton")

    assert said.returncode == 2
    assert "no benchmark reacton; there are: " + ", ".join(NAMES) in said.stderr
    assert "Traceback" not in said.stderr


def test_every_benchmark_has_its_part_of_the_page() -> None:
    parts = re.findall(r"^## `(\w+)`", PAGE.read_text(), re.MULTILINE)

    assert sorted(parts) == NAMES


def test_a_result_is_stored_with_its_single_measurements_and_its_machine(
    harness: ModuleType, tmp_path: Path
) -> None:
    result = harness.Result(
        title="Lifting",
        columns=("stones", "s"),
        rows=((1, 0.5), (2, 1.5)),
        note="heavier is slower",
        samples={"one stone": [0.4, 0.5, 0.6]},
    )

    path = harness.store("lifting", result, tmp_path / "results")

    stored = msgspec.json.decode(path.read_bytes())
    assert path.name == "lifting.json"
    assert stored["rows"] == [[1, 0.5], [2, 1.5]]
    assert stored["samples"] == {"one stone": [0.4, 0.5, 0.6]}
    assert stored["machine"]["cores"] >= 1
    assert {"date", "processor", "python", "qemu"} <= stored["machine"].keys()


@pytest.mark.parametrize(("percent", "value"), [(50, 3.0), (95, 4.8), (25, 2.0)])
def test_a_percentile_lies_between_what_was_measured(
    harness: ModuleType, percent: int, value: float
) -> None:
    assert harness.percentile([5.0, 1.0, 4.0, 2.0, 3.0], percent) == pytest.approx(value)


def test_jobs_are_timed_in_turn_and_their_first_round_is_left_out(harness: ModuleType) -> None:
    order: list[str] = []

    times = harness.in_turn(
        {"a": lambda: order.append("a"), "b": lambda: order.append("b")}, rounds=2
    )

    assert order == ["a", "b", "a", "b", "a", "b"]
    assert [len(times["a"]), len(times["b"])] == [2, 2]
