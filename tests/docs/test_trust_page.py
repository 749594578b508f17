"""The page of what can be trusted names every test that shows it, and no other; nothing failed."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from tests.docs.evidence import rows
from tools.trust.__main__ import PAGE, collected
from tools.trust.page import faults, plain
from tools.trust.promises import PROMISES
from tools.trust.recorder import Outcome

FIGURES = 2
"""The last columns: cases and failed, which a run says and not the tests themselves."""
KINDS, REAL_KINDS = 40, 25


@pytest.fixture(scope="module")
def shown() -> tuple[Outcome, ...]:
    return collected()


def without_figures(lines: Iterable[str]) -> set[tuple[str, ...]]:
    return {tuple(row[:-FIGURES]) for row in rows("\n".join(lines)) if row[-1].isdigit()}


def on_the_page() -> list[str]:
    return PAGE.read_text().splitlines()


def test_it_names_every_marked_test_and_kind_of_fault_and_no_other(
    shown: tuple[Outcome, ...],
) -> None:
    named = {row for row in without_figures(on_the_page()) if not row[0].startswith("*")}

    assert named == without_figures(faults(shown)) | without_figures(plain(shown))


def test_nothing_on_it_failed_or_did_not_run() -> None:
    figures = [row[-FIGURES:] for row in rows(PAGE.read_text()) if row[-1].isdigit()]

    assert figures
    assert all(failed == "0" and cases != "0" for cases, failed in figures)


def test_every_promise_is_on_it_and_shown_by_a_test(shown: tuple[Outcome, ...]) -> None:
    said = {row[0].split("*")[1] for row in rows(PAGE.read_text()) if row[0].startswith("*")}

    assert said == set(PROMISES)
    assert {mark.promise for item in shown for mark in item.marks} == set(PROMISES)


def test_there_are_kinds_of_fault_enough_and_most_of_them_on_real_guests(
    shown: tuple[Outcome, ...],
) -> None:
    kinds = [(mark.fault, item.real) for item in shown for mark in item.marks if mark.fault]

    assert len({fault for fault, _ in kinds}) >= KINDS
    assert len({fault for fault, real in kinds if real}) >= REAL_KINDS
