from __future__ import annotations

from tests.docs.evidence import ROOT, TEST, named_tests, not_there, rows

PAGE = ROOT / "docs/explanation/hyper-v.md"


def test_every_test_that_is_called_a_proof_exists() -> None:
    assert len(named_tests(PAGE)) > 30
    assert not_there(PAGE) == []


def test_every_feature_has_a_test_or_is_said_to_be_missing() -> None:
    features = [row for row in rows(PAGE.read_text()) if row[0] != "feature"]

    bare = [row[0] for row in features if not TEST.search(row[-1]) and "not yet" not in row[-2]]

    assert bare == []
