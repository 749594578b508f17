"""How many more VMs fit: the rule by hand, the draws, and the trial in the simulator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.simulator.pasts import past, sized

from barostat.simulator.forecast import replay
from barostat.simulator.forecast.fit import fit_of, need_of, needed_bytes
from barostat.simulator.forecast.replay import check, unchecked
from barostat.units import GIB, MIB

SLO = 0.001


def test_the_rule_is_mean_and_three_deviations_where_that_is_more() -> None:
    total = np.array([100.0, 100, 200, 200])  # mean 150, deviation 50

    assert needed_bytes(total, np.ones(4, dtype=np.bool_)) == pytest.approx(300)


def test_the_rule_is_the_last_peak_and_a_tenth_where_that_is_more() -> None:
    total = np.array([1000.0, 100, 100, 100])
    recent = np.array([False, True, True, True])

    assert needed_bytes(total, recent) == pytest.approx(1100)


def test_what_the_rule_is_made_of_is_told() -> None:
    recorded = past({"web": [900.0] + [300.0] * 30, "db": [100.0] * 31})

    need = need_of(recorded)

    assert need.mean_bytes == pytest.approx(400 * MIB)
    assert need.deviation_bytes == pytest.approx(0)
    assert (need.peak_bytes, need.peak_at_s) == (1000 * MIB, 0)
    assert need.bytes == pytest.approx(1100 * MIB)


def test_what_a_vm_holds_is_within_its_bounds_and_all_it_has_where_it_is_not_moved() -> None:
    recorded = past(
        {name: [600.0] for name in ("low", "high", "off", "without")},
        settings={
            "low": sized(minimum=800),
            "high": sized(startup=256, maximum=512),
            "off": replace(sized(), enabled=False),
            "without": None,
        },
    )

    assert (recorded.held_bytes[0] / MIB).tolist() == [800, 512, 2048, 2048]


def test_vms_that_hold_the_same_fit_as_often_as_the_rule_has_room() -> None:
    # 500 MiB each, and a tenth: 550 MiB a VM, of which 16 GiB hold 29.
    recorded = past({"web": [500.0] * 48, "db": [500.0] * 48})

    found = fit_of(replace(recorded, settings={}, unsettled="nobody knows"), slo_ratio=SLO)

    assert found.vms == 2
    assert (found.by_rule, found.by_rule_median, found.more) == (27, 27, 27)
    assert found.check is None
    assert "nobody knows" in found.unchecked


def test_vms_that_need_memory_at_other_times_are_not_added_up_by_their_peaks() -> None:
    day, night = [1000.0] * 12 + [100.0] * 12, [100.0] * 12 + [1000.0] * 12
    recorded = replace(past({"day": day, "night": night}), settings={}, unsettled="unknown")

    together = need_of(recorded)

    assert together.bytes == pytest.approx(1210 * MIB)  # by peaks of each it would be 2200


def test_a_host_that_is_too_full_takes_nobody() -> None:
    found = fit_of(past({"web": [1000.0] * 192}, capacity_gib=1, step_s=900.0), slo_ratio=SLO)

    assert (found.more, found.by_rule) == (0, 0)
    assert "too many" in found.unchecked


def test_vms_that_left_long_ago_are_neither_counted_nor_drawn() -> None:
    gone = [9000.0] * 24 + [np.nan] * 48

    found = fit_of(
        replace(past({"web": [500.0] * 72, "gone": gone}), settings={}, unsettled="unknown"),
        slo_ratio=SLO,
    )

    assert found.vms == 1
    assert found.need.peak_bytes == 500 * MIB
    assert found.more == 28


@settings(max_examples=30)
@given(
    st.lists(st.floats(200, 4000), min_size=24, max_size=30),
    st.floats(1, 8),
    st.integers(0, 5),
)
def test_more_memory_never_takes_fewer_vms(
    demand: list[float], capacity_gib: float, seed: int
) -> None:
    recorded = replace(
        past({"web": demand, "db": demand[::-1]}, capacity_gib=capacity_gib),
        settings={},
        unsettled="unknown",
    )
    larger = replace(recorded, capacity_bytes=recorded.capacity_bytes + GIB)

    first, second = (fit_of(host, slo_ratio=SLO, draws=5, seed=seed) for host in (recorded, larger))

    assert second.more >= first.more


def quarters(*, capacity_gib: float, minimum: int = 64) -> dict[str, float]:
    """The trial of two VMs that need 600 MiB for a day of quarters of an hour."""
    recorded = past(
        {"web": [600.0] * 96, "db": [600.0] * 96},
        capacity_gib=capacity_gib,
        settings={name: sized(minimum=minimum, maximum=2048) for name in ("web", "db")},
        step_s=900.0,
    )
    assert not unchecked(recorded)
    drawn = np.zeros((2, 4), dtype=np.int64)
    found = check(recorded, drawn, most=4, slo_ratio=SLO)
    return {"more": found.more, "lacking": found.lacking_ratio, "rows": found.rows}


def test_what_fits_by_the_rule_and_in_the_trial_is_confirmed() -> None:
    assert quarters(capacity_gib=8) == {"more": 4, "lacking": 0, "rows": 96}


def test_a_trial_in_which_memory_lacks_takes_fewer() -> None:
    found = quarters(capacity_gib=2.5)  # of 600 MiB each, and what a kernel keeps: four at most

    assert 1 <= found["more"] <= 2
    assert found["lacking"] <= SLO


def test_minimums_that_a_host_cannot_hold_do_not_fit() -> None:
    assert quarters(capacity_gib=3, minimum=1024)["more"] == 1


def test_it_is_said_why_nothing_is_tried_out() -> None:
    assert "60 min" in unchecked(past({"web": [1.0] * 48}))
    assert "no whole day" in unchecked(past({"web": [1.0] * 10}, step_s=300.0))
    assert "settings" in unchecked(replace(past({"web": [1.0]}), unsettled="no film"))


def test_what_lacks_on_any_host_is_no_reason_to_take_fewer() -> None:
    # Every quarter of an hour `web` needs ten times as much at once, faster than memory comes.
    recorded = past(
        {"web": [4000.0, 40000.0] * 48},
        capacity_gib=512,
        settings={"web": sized(maximum=65536)},
        step_s=900.0,
    )

    found = check(recorded, np.zeros((2, 4), dtype=np.int64), most=4, slo_ratio=0.0001)

    assert found.more == 4
    assert found.anyway_ratio is not None
    assert found.lacking_ratio == pytest.approx(found.anyway_ratio, abs=0.0001)


def test_several_processes_come_to_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = quarters(capacity_gib=8)

    monkeypatch.setattr(replay, "ALONE_GUEST_ROWS", 0)

    assert quarters(capacity_gib=8) == alone
