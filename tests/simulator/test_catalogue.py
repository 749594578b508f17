"""The policies by name."""

from __future__ import annotations

import subprocess
import sys

import pytest

from barostat.errors import InputError
from barostat.simulator.policies.catalogue import NAMES, make_policy, rule_of


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("equal_inputs", [False, True])
def test_every_policy_can_be_made_and_has_its_name(name: str, *, equal_inputs: bool) -> None:
    policy = make_policy(name, equal_inputs=equal_inputs)

    assert policy.name == name
    assert policy.period_s > 0


def test_each_call_makes_a_policy_of_its_own() -> None:
    assert make_policy("senpai") is not make_policy("senpai")


def test_no_two_policies_have_one_rule_and_each_is_a_sentence() -> None:
    rules = [rule_of(name) for name in NAMES]

    assert len(set(rules)) == len(NAMES)
    assert all(rule[0].isupper() and rule.endswith(".") and len(rule) < 100 for rule in rules)


@pytest.mark.parametrize("ask", [make_policy, rule_of])
def test_an_unknown_name_is_refused_with_the_nearest_and_all_that_there_are(ask: object) -> None:
    assert callable(ask)
    with pytest.raises(InputError, match="'proxmx'") as refused:
        ask("proxmx")

    assert "did you mean proxmox?" in refused.value.hint
    assert all(name in refused.value.hint for name in NAMES)


def test_a_name_like_none_gets_no_guess() -> None:
    with pytest.raises(InputError) as refused:
        make_policy("zzz")

    assert "did you mean" not in refused.value.hint


def test_names_and_rules_are_there_without_numpy() -> None:
    code = (
        "import sys; from barostat.simulator.policies.catalogue import NAMES, rule_of; "
        "[rule_of(name) for name in NAMES]; sys.exit('numpy' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
