"""Hosts that are supposed: the three forms, what they make of a history, and what cannot be."""

from __future__ import annotations

import numpy as np
import pytest
from tests.simulator.pasts import past

from barostat.errors import InputError
from barostat.simulator.forecast.recorded import Recorded
from barostat.simulator.forecast.what_if import (
    Add,
    Capacity,
    Change,
    Remove,
    apply_changes,
    read_what_if,
)
from barostat.units import GIB


@pytest.fixture
def host() -> Recorded:
    """A host of 4 GiB; one of its VMs left long ago."""
    gone = [500.0] * 24 + [np.nan] * 48
    return past({"web": [500.0] * 72, "db": [2500.0] * 72, "old": gone}, capacity_gib=4)


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("add 5 like web", (Add(5, "web"),)),
        ("  remove  db ", (Remove("db"),)),
        ("capacity 192GiB", (Capacity(192 * GIB),)),
        ("capacity 1.5 GiB", (Capacity(3 * GIB // 2),)),
        (
            "add 1 like web, remove db,capacity 8GiB",
            (Add(1, "web"), Remove("db"), Capacity(8 * GIB)),
        ),
        ("remove a, b", (Remove("a, b"),)),
    ],
)
def test_words_are_read(text: str, changes: tuple[Change, ...]) -> None:
    assert read_what_if(text) == changes


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "nothing that can be supposed"),
        ("more of web", "nothing that can be supposed"),
        ("add web", "nothing that can be supposed"),
        ("add -1 like web", "nothing that can be supposed"),
        ("add 0 like web", "adds 0 VMs"),
        ("add 5000 like web", "adds 5000 VMs"),
        ("capacity much", "not a size"),
        ("capacity 5GB", "decimal"),
        ("capacity 0", "no memory at all"),
    ],
)
def test_nonsense_is_refused_with_what_would_be_right(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        read_what_if(text)

    assert caught.value.hint


def test_vms_that_are_added_need_what_the_other_one_did(host: Recorded) -> None:
    found = apply_changes(host, (Add(2, "web"),))

    assert found.vms == ("web", "db", "old", "web (2)", "web (3)")
    assert np.array_equal(found.demand_bytes[:, 3], host.demand_bytes[:, 0])
    assert found.settings["web (3)"] == host.settings["web"]
    assert len(found.here) == 4


def test_a_name_that_is_taken_is_not_given_again(host: Recorded) -> None:
    twice = apply_changes(host, (Add(1, "web"), Add(1, "web"), Add(1, "web (2)")))

    assert twice.vms[3:] == ("web (2)", "web (3)", "web (2) (2)")


def test_a_vm_that_is_removed_is_gone(host: Recorded) -> None:
    found = apply_changes(host, (Remove("db"),))

    assert found.vms == ("web", "old")
    assert found.demand_bytes.shape == (72, 2)


def test_a_vm_that_is_not_there_is_told_with_the_nearest(host: Recorded) -> None:
    with pytest.raises(InputError, match='no VM "wbe"') as caught:
        apply_changes(host, (Remove("wbe"),))

    assert caught.value.hint == 'did you mean "web"?'


def test_a_vm_that_left_cannot_be_removed(host: Recorded) -> None:
    with pytest.raises(InputError, match="in the last 24 hours"):
        apply_changes(host, (Add(1, "old"),))


def test_a_capacity_below_what_runs_now_is_refused(host: Recorded) -> None:
    with pytest.raises(InputError, match="less than the VMs that run need now, 3000 MiB"):
        apply_changes(host, (Capacity(2 * GIB),))

    assert apply_changes(host, (Remove("db"), Capacity(2 * GIB))).capacity_bytes == 2 * GIB


def test_more_vms_than_fit_can_be_supposed(host: Recorded) -> None:
    assert apply_changes(host, (Add(50, "db"),)).now_bytes > host.capacity_bytes


def test_somebody_must_be_left(host: Recorded) -> None:
    with pytest.raises(InputError, match="no VM on the host"):
        apply_changes(host, (Remove("db"), Remove("web")))
