from __future__ import annotations

from collections.abc import Iterable

import pytest

from barostat.core.growth import first_marks, risen
from barostat.units import MIB


def rates(looks: Iterable[tuple[float, float]]) -> list[float]:
    """How fast it rises after each look (when, MiB), in MiB a second."""
    steps = iter(looks)
    at_s, size = next(steps)
    marks, found = first_marks(at_s, int(size * MIB)), []
    for at_s, size in steps:
        rate, marks = risen(marks, at_s, int(size * MIB), 1.0)
        found.append(rate / MIB)
    return found


def test_once_a_second_growth_is_that_since_the_look_before() -> None:
    assert rates([(0, 100), (1, 150), (2, 150), (3.1, 260)]) == pytest.approx([50, 0, 100])


def test_half_a_second_is_long_enough() -> None:
    assert rates([(0, 100), (0.5, 150), (1.0, 160)]) == pytest.approx([100, 20])


def test_steady_growth_is_seen_whole_ten_times_a_second() -> None:
    steady = rates((tenth / 10, 22 * tenth) for tenth in range(40))

    assert steady[5:] == [pytest.approx(220)] * len(steady[5:])


def test_growth_that_begins_is_seen_within_half_a_second() -> None:
    calm = [(second, 100.0) for second in range(3)]
    begins = [(2 + tenth / 10, 100 + 22.0 * tenth) for tenth in range(1, 6)]

    found = rates([*calm, *begins])

    assert found[-5:] == pytest.approx([44, 88, 132, 176, 220])


def test_noise_of_a_tenth_of_a_second_is_not_multiplied_by_ten() -> None:
    noisy = rates((tenth / 10, 100 + 5 * (tenth % 2)) for tenth in range(40))

    assert max(noisy) <= 10


def test_growth_that_ended_is_forgotten_within_a_second() -> None:
    grew = [(tenth / 10, 22.0 * tenth) for tenth in range(20)]
    rests = [(2 + tenth / 10, 418.0) for tenth in range(11)]

    assert rates([*grew, *rests])[-1] == 0
