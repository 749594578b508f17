"""Make the page of what a run showed. It says what ran and nothing else.

Two tables list every marked test: the kinds of fault and bad input with theirs, and the promises
with those that need no fault. A test that shows several promises, or under several kinds of fault,
is in several rows, and counted once in the sums.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Final

from tools.trust.promises import PROMISES
from tools.trust.recorder import Mark, Outcome

__all__ = ["GUARDS", "faults", "page", "plain"]

GUARDS: Final = "tests/unit/test_guards.py::test_without_its_guard_a_rule_breaks"
"""Each of its items is a rule that was switched off, and a scenario that noticed."""

FRAME: Final = """\
# What is promised, and what shows it

<!-- Written by `make trust` (tools/trust) from what its tests said: run it again to change it. -->

Barostat moves the memory of machines that must not fall over. This is what it promises, how each
promise is tested, and under which faults. `make trust` ran these tests on {day} and wrote this
page: **{tests:,} tests ({real_tests:,} on real guests), {cases:,} cases, {failed:,} failed**.

A *case* is one input, one step of a random story, or one scenario. *Real guests* are Linux guests
in QEMU, bare or through libvirt, started for the test and observed from outside.

## Promises

| promise | how it is tested | kinds of fault | cases | failed |
|---|---|---:|---:|---:|
{promises}

Random stories, in `tests/property/machine`, keep books of their own: they drive decisions and an
engine over simulated guests of every character through whatever may happen to them, in any order,
and compare what was promised with what was there after every step.

## Rules that are switched off

**{guards:,} rules** protect guests and the host, each in one place of the core. Each has a scenario
that holds with the rule, and was seen to fail with the rule off:
`{guards_test}`. A rule without such a scenario fails the tests.

## Kinds of fault and bad input

**{kinds:,} kinds, {real_kinds:,} of them on real guests.**

| kind | shows | real guests | shown by | cases | failed |
|---|---|---|---|---:|---:|
{faults}

## Shown without a fault

| shows | real guests | shown by | cases | failed |
|---|---|---|---:|---:|
{plain}
{skipped}
## What it does not show

What was not tried. Real guests run Linux from one image, under one QEMU and one libvirt, for
minutes; `make soak` lets eight of them run for as long as you like. Who may do what, and what is
*not* prevented, is in [SECURITY.md](../../SECURITY.md).
"""

SKIPPED: Final = """
## Did not run here

| test | why |
|---|---|
{rows}
"""

WAYS: Final = (
    ("random stories", "tests/property/machine/"),
    ("rules on and off", "tests/unit/test_guards.py"),
    ("kinds of garbled input", "tests/hostile/"),
    ("properties of random input", "tests/property/"),
    ("scenarios", "tests/"),
)
"""What a test is called by its place; the first that fits."""


def page(outcomes: Iterable[Outcome], day: date) -> str:
    """Make the page of these."""
    known = list(outcomes)
    kinds = {mark.fault for _, mark in _shown(known)} - {None}
    real_kinds = {mark.fault for item, mark in _shown(known) if item.real} - {None}
    return FRAME.format(
        day=day.isoformat(),
        tests=len(known),
        real_tests=sum(item.real for item in known),
        cases=_cases(known),
        failed=_failed(known),
        promises="\n".join(_promise(key, known) for key in PROMISES),
        guards=sum(item.test == GUARDS and bool(item.cases) for item in known),
        guards_test=GUARDS,
        kinds=len(kinds),
        real_kinds=len(real_kinds),
        faults="\n".join(faults(known)),
        plain="\n".join(plain(known)),
        skipped=_skipped(known),
    )


def faults(outcomes: Iterable[Outcome]) -> Iterator[str]:
    """Give a row for each kind of fault, those on real guests first."""
    shown = [(item, mark) for item, mark in _shown(outcomes) if mark.fault is not None]
    real = {mark.fault for item, mark in shown if item.real}
    for kind in sorted(
        {mark.fault or "" for _, mark in shown}, key=lambda k: (k not in real, k.casefold())
    ):
        of_it = [(item, mark) for item, mark in shown if mark.fault == kind]
        items = _once(item for item, _ in of_it)
        promised = {mark.promise for _, mark in of_it}
        promises = ", ".join(key for key in PROMISES if key in promised)
        where = "yes" if kind in real else "no"
        yield _row(kind, promises, where, _names(items), *_sums(items))


def plain(outcomes: Iterable[Outcome]) -> Iterator[str]:
    """Give a row for each test and promise where there is no fault."""
    shown = [(item, mark) for item, mark in _shown(outcomes) if mark.fault is None]
    for key in PROMISES:
        of_it = _once(item for item, mark in shown if mark.promise == key)
        for test in sorted({item.test for item in of_it}):
            items = [item for item in of_it if item.test == test]
            where = "yes" if any(item.real for item in items) else "no"
            yield _row(key, where, f"`{test}`", *_sums(items))


def _promise(key: str, outcomes: Iterable[Outcome]) -> str:
    shown = [(item, mark) for item, mark in _shown(outcomes) if mark.promise == key]
    items = _once(item for item, _ in shown)
    kinds = len({mark.fault for _, mark in shown} - {None})
    return _row(f"*{key}*: {PROMISES[key]}", _ways(items), str(kinds), *_sums(items))


def _ways(items: Iterable[Outcome]) -> str:
    """Say how many tests of each way there are: functions, and rules one by one."""
    by_way: dict[str, set[str]] = {}
    for item in items:
        if item.test.startswith("tests/unit/test_guards.py"):
            counted = item.item.partition("[")[2]
        else:
            counted = item.test
        by_way.setdefault(_way(item), set()).add(counted)
    ways = ("on real guests", *(way for way, _ in WAYS))
    return ", ".join(f"{way}: {len(by_way[way])}" for way in ways if way in by_way)


def _way(item: Outcome) -> str:
    if item.real:
        return "on real guests"
    return next(way for way, place in WAYS if item.test.startswith(place))


def _skipped(outcomes: Iterable[Outcome]) -> str:
    rows = [_row(f"`{item.item}`", item.skipped) for item in outcomes if item.skipped]
    return SKIPPED.format(rows="\n".join(rows)) if rows else ""


def _shown(outcomes: Iterable[Outcome]) -> Iterator[tuple[Outcome, Mark]]:
    return ((item, mark) for item in outcomes for mark in item.marks)


def _once(items: Iterable[Outcome]) -> list[Outcome]:
    return list({item.item: item for item in items}.values())


def _names(items: Iterable[Outcome]) -> str:
    return ", ".join(f"`{test}`" for test in sorted({item.test for item in items}))


def _sums(items: Iterable[Outcome]) -> tuple[str, str]:
    known = list(items)
    return f"{_cases(known):,}", f"{_failed(known):,}"


def _cases(items: Iterable[Outcome]) -> int:
    return sum(item.cases for item in items)


def _failed(items: Iterable[Outcome]) -> int:
    return sum(item.failed for item in items)


def _row(*cells: str) -> str:
    escaped = (" ".join(cell.replace("|", "\\|").split()) for cell in cells)
    return f"| {' | '.join(escaped)} |"
