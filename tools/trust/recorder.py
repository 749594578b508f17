"""A plugin of pytest that notes what each test shows, and what came of it.

`-p tools.trust.recorder --trust-record=FILE` writes one `Outcome` for each marked test item, also
of a run that only collects and of one with several workers. What counts as a case: what a test
says itself (`record_property("cases", n)`), else what Hypothesis says in its statistics (the
examples that passed, for a state machine times its steps), else one. A test that failed is one
failure and no case that held.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import pytest
from tools.trust.promises import PROMISES

__all__ = ["Mark", "Outcome", "read"]

SHOWN: Final = "trust"
EXAMPLES: Final = "trust-examples"
CASES: Final = "cases"
PASSING: Final = re.compile(r"(\d+) passing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What a test shows: a promise, and under which kind of fault; none: as it is every day."""

    promise: str
    fault: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one test item."""

    item: str
    """As pytest names it, with its parameters."""
    marks: tuple[Mark, ...]
    real: bool
    """Whether it ran on real guests."""
    cases: int = 0
    failed: bool = False
    skipped: str = ""
    """Why it did not run here."""

    @property
    def test(self) -> str:
        """Its file and function, without parameters."""
        path, _, name = self.item.partition("::")
        function = name.partition("[")[0].partition("::")[0]  # a state machine is a class of tests
        return f"{path}::{function}"


def read(path: Path) -> tuple[Outcome, ...]:
    """Read what a run noted."""
    return tuple(_outcome(words) for words in json.loads(path.read_text()))


def _outcome(words: dict[str, Any]) -> Outcome:
    return Outcome(**words | {"marks": tuple(Mark(**mark) for mark in words["marks"])})


def pytest_addoption(parser: pytest.Parser) -> None:
    """Say where the notes go."""
    parser.addoption("--trust-record", type=Path, required=True, help="file for what came of it")


def pytest_configure(config: pytest.Config) -> None:
    """Note in the process that has all reports, which no worker has."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Recorder(path=config.getoption("--trust-record")))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every marked test its marks as a property, which its reports carry between processes.

    Raises:
        pytest.UsageError: A mark names no promise that there is, or says too much or nothing.
    """
    for item in items:
        if marks := [asdict(mark) for mark in _marks(item)]:
            real = item.get_closest_marker("lab") is not None
            item.user_properties.append((SHOWN, {"marks": marks, "real": real}))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Add what Hypothesis counted."""
    said: str | None = getattr(item, "hypothesis_statistics", None)
    if call.when == "call" and said is not None:
        examples = sum(map(int, PASSING.findall(said)))
        if not examples and call.excinfo is None:
            raise pytest.UsageError(f"{item.nodeid}: no examples in Hypothesis' words: {said}")
        machine = item.getparent(pytest.Class)  # a state machine is a class, and nothing else here
        steps = machine.obj.settings.stateful_step_count if machine is not None else 1
        item.user_properties.append((EXAMPLES, examples * steps))


def _marks(item: pytest.Item) -> Iterator[Mark]:
    for mark in item.iter_markers(SHOWN):
        said = list(mark.args)
        if mark.kwargs or len(said) not in {1, 2} or not all(map(_is_phrase, said)):
            raise pytest.UsageError(
                f"{item.nodeid}: trust takes a promise and, if there is one, a kind of fault: "
                f'trust("minimum", "a guest is reset"), and not {mark.args} {mark.kwargs}'
            )
        promise, fault = said if len(said) > 1 else (said[0], None)
        if promise not in PROMISES:
            raise pytest.UsageError(
                f"{item.nodeid}: {promise!r} is no promise; there are {', '.join(PROMISES)} "
                "(tools/trust/promises.py)"
            )
        yield Mark(promise=promise, fault=fault)


def _is_phrase(said: object) -> bool:
    return isinstance(said, str) and said == " ".join(said.split()) != ""


@dataclass(slots=True, eq=False)  # pytest keeps plugins in sets
class _Recorder:
    """What came of the marked tests so far."""

    path: Path
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note what there is, where nothing will be run."""
        if session.config.option.collectonly:
            for item in session.items:
                self._met(item.nodeid, item.user_properties)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note one phase of a test."""
        known = self._met(report.nodeid, report.user_properties)
        if known is None:
            return
        if report.failed:
            known = replace(known, cases=0, failed=True)
        elif report.skipped:
            known = replace(known, skipped=report.longreprtext)
        elif report.when == "call" and not known.failed:
            known = replace(known, cases=_cases(report.user_properties))
        self.outcomes[report.nodeid] = known

    def pytest_sessionfinish(self) -> None:
        """Write it all, in an order that does not depend on the run's."""
        notes = sorted(self.outcomes.values(), key=lambda outcome: outcome.item)
        self.path.write_text(json.dumps([asdict(outcome) for outcome in notes]))

    def _met(self, name: str, properties: list[tuple[str, Any]]) -> Outcome | None:
        shown = dict(properties).get(SHOWN)
        if shown is None:
            return None
        return self.outcomes.setdefault(name, _outcome({"item": name, **shown}))


def _cases(properties: list[tuple[str, Any]]) -> int:
    said = dict(properties)
    return int(said.get(CASES, said.get(EXAMPLES, 1)))
