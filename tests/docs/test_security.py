"""The threat model: every line of it is shown by a test, and says what it is."""

from __future__ import annotations

import re

import pytest
from tests.docs.evidence import ROOT, TEST, named_tests, not_there, rows

PAGE = ROOT / "SECURITY.md"
ATTACKERS = (
    "A guest's kernel, or root in a guest",
    "An unprivileged user in a guest",
    "A local user of the host",
    "A member of the barostat group",
    "A network client",
    "Who stole a token",
    "Who stole a client's certificate",
    "A user of libvirt with rights on one domain",
    "A hostile QEMU process",
    "Who can write the history file",
    "Who chooses a VM's name",
)


def section(title: str) -> str:
    found = re.search(
        rf"^### {re.escape(title)}$(.*?)^##", PAGE.read_text(), re.MULTILINE | re.DOTALL
    )
    return "" if found is None else found[1]


def test_every_test_that_it_names_exists() -> None:
    assert len(named_tests(PAGE)) > 50
    assert not_there(PAGE) == []


@pytest.mark.parametrize("attacker", ATTACKERS)
def test_of_every_attacker_each_line_is_shown_by_a_test(attacker: str) -> None:
    lines = [row for row in rows(section(attacker)) if row[-1] != "shown by"]

    assert len(lines) >= 2
    for kind, what, shown in lines:
        assert kind in {"can", "cannot", "not prevented"}
        assert what
        assert TEST.fullmatch(shown), what


def test_there_is_a_section_for_each_attacker_and_no_other() -> None:
    assert tuple(re.findall(r"^### (.+)$", PAGE.read_text(), re.MULTILINE)) == ATTACKERS


def test_everything_that_is_not_prevented_is_said_plainly() -> None:
    kinds = [row[0] for row in rows(PAGE.read_text())]

    assert kinds.count("not prevented") >= 5
