from __future__ import annotations

import pytest

from barostat.core.pressure import Status, buffer_available_ratio, pressure_ratio, status_of


def test_pressure_is_one_where_a_guest_has_exactly_what_it_needs() -> None:
    assert pressure_ratio(800, 800) == 1.0
    assert pressure_ratio(800, 1000) == 0.8
    assert pressure_ratio(1200, 1000) == 1.2


def test_pressure_of_a_guest_without_memory_is_no_error() -> None:
    assert pressure_ratio(800, 0) == 800


def test_the_buffer_that_is_there_is_a_share_of_the_buffer_that_was_wished_for() -> None:
    assert buffer_available_ratio(1000, 1100, buffer_percent=20) == 0.5
    assert buffer_available_ratio(1000, 900, buffer_percent=20) == -0.5
    assert buffer_available_ratio(0, 100, buffer_percent=20) == 100


@pytest.mark.parametrize(
    ("assigned", "buffer", "status"),
    [
        (1161, 20, Status.OK),
        (1160, 20, Status.LOW),
        (1000, 20, Status.LOW),
        (999, 20, Status.WARNING),
        (1400, 50, Status.LOW),
        (1401, 50, Status.OK),
    ],
)
def test_status_follows_hyper_vs_table(assigned: int, buffer: int, status: Status) -> None:
    assert status_of(1000, assigned, buffer_percent=buffer) is status


def test_status_is_judged_by_demand_even_at_the_maximum() -> None:
    # Hyper-V shows Warning for a VM at its maximum of 4096 MB with a demand of 4423 MB.
    assert status_of(4423, 4096, buffer_percent=20) is Status.WARNING
