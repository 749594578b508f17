"""The accounts, in every order and with every outcome of what was asked."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from barostat.core.ledger import Ledger, held_bytes

NAMES = ("a", "b", "c", "d")
sizes = st.integers(0, 1000)
names = st.sampled_from(NAMES)


@pytest.mark.trust("capacity")
@given(
    capacity=st.integers(0, 3000),
    promised=st.dictionaries(names, sizes),
    grants=st.lists(st.tuples(names, st.integers(0, 3000), sizes), max_size=20),
)
@settings(max_examples=500, deadline=None)
def test_grants_never_pass_the_capacity_and_never_take_away(
    capacity: int, promised: dict[str, int], grants: list[tuple[str, int, int]]
) -> None:
    ledger = Ledger(capacity)
    for name, size in promised.items():
        ledger.promise(name, size)
    most = max(capacity, ledger.promised_bytes)

    for name, wanted, leave in grants:
        before, in_hand = ledger.promised_to(name), ledger.in_hand_bytes
        granted = ledger.grant(name, wanted, leave_bytes=leave)

        assert before <= granted <= max(before, wanted)
        assert granted == ledger.promised_to(name)
        assert ledger.promised_bytes == sum(map(ledger.promised_to, NAMES))
        assert ledger.promised_bytes <= most
        if granted > before:
            assert ledger.in_hand_bytes >= leave
        elif wanted > before:
            assert in_hand <= leave, "it would have been covered"


@pytest.mark.trust("capacity")
@given(sizes, sizes, sizes)
@settings(max_examples=200, deadline=None)
def test_a_guest_holds_no_less_than_any_of_what_it_has_may_take_or_was_asked(
    actual: int, wished: int, goal: int
) -> None:
    held = held_bytes(actual, wished, goal)

    assert held >= actual
    assert held >= wished
    assert held >= goal
    assert held in {actual, wished, goal}


@dataclass
class Account:
    """A guest: what it has, what its hypervisor was told, what we asked, what is on the wire."""

    actual: int
    told: int
    goal: int
    wire: list[int] = field(default_factory=list)

    @property
    def may_have(self) -> int:
        return max([self.actual, self.told, *self.wire[-1:]])


class Accounts(RuleBasedStateMachine):
    """Guests are asked to grow from what is in hand, and to shrink; they do what they like."""

    @initialize(capacity=st.integers(4, 4000), share=st.integers(0, 100))
    def begin(self, capacity: int, share: int) -> None:
        size = capacity // len(NAMES) * share // 100
        self.capacity = capacity
        self.accounts = {name: Account(size, size, size) for name in NAMES}

    def _ledger(self) -> Ledger:
        ledger = Ledger(self.capacity)
        for name, account in self.accounts.items():
            ledger.promise(name, held_bytes(account.actual, account.told, account.goal))
        return ledger

    @rule(wanted=st.dictionaries(names, st.integers(0, 4000), min_size=1))
    def some_are_granted_more_at_once(self, wanted: dict[str, int]) -> None:
        ledger = self._ledger()
        for name, size in wanted.items():
            account = self.accounts[name]
            granted = ledger.grant(name, size)
            if granted > account.goal:
                account.goal = granted
                account.wire.append(granted)

    @rule(name=names, share=st.integers(0, 100))
    def one_is_asked_to_give(self, name: str, share: int) -> None:
        account = self.accounts[name]
        account.goal = account.actual * share // 100
        account.wire.append(account.goal)

    @rule(name=names)
    def one_is_told_what_was_asked_last(self, name: str) -> None:
        account = self.accounts[name]
        if account.wire:  # an operation under way is replaced by a newer one
            account.told = account.wire[-1]
            account.wire.clear()

    @rule(name=names, share=st.integers(0, 100))
    def one_does_some_of_what_it_was_told(self, name: str, share: int) -> None:
        account = self.accounts[name]
        account.actual += (account.told - account.actual) * share // 100

    @invariant()
    def never_more_than_there_is(self) -> None:
        assert sum(account.may_have for account in self.accounts.values()) <= self.capacity


Accounts.TestCase.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
test_in_every_order_and_with_every_outcome_the_accounts_hold = Accounts.TestCase
for _promise in ("capacity", "confirmed"):
    test_in_every_order_and_with_every_outcome_the_accounts_hold = pytest.mark.trust(
        _promise, "what was asked is done late, in part or not at all, in any order"
    )(test_in_every_order_and_with_every_outcome_the_accounts_hold)
