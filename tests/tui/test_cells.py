"""Bars, sparklines and columns: told apart by their signs, never wider than their cell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barostat.core.pressure import Status
from barostat.tui import cells
from barostat.tui.columns import COLUMNS, PADDING, fit
from barostat.tui.trail import STEP_S, STEPS_KEPT, Trails
from barostat.units import MIB

from .conftest import World


@pytest.mark.parametrize(
    ("assigned", "target", "drawn"),
    [
        (50, 50, "█████·····"),
        (50, 80, "█████░░░··"),
        (80, 50, "█████▒▒▒··"),
        (55, 56, "█████▌····"),
        (0, 0, "··········"),
        (100, 100, "██████████"),
        (200, 100, "█████▒▒▒▒▒"),
    ],
)
def test_a_bar_shows_what_is_had_and_what_should_be(assigned: int, target: int, drawn: str) -> None:
    assert cells.bar(assigned * MIB, target * MIB, 100 * MIB, width=10).plain == drawn


@given(st.integers(0, 2**50), st.integers(0, 2**50), st.integers(0, 2**50), st.integers(1, 40))
def test_a_bar_is_as_wide_as_its_cell(assigned: int, target: int, scale: int, width: int) -> None:
    assert cells.bar(assigned, target, scale, width=width).cell_len == width


def test_a_sparkline_rises_with_pressure_and_leaves_silence_blank() -> None:
    drawn = cells.sparkline((0.0, None, 0.5, 1.0, 9.0), width=7)

    assert drawn.plain == "  ▁ ▄▇█"
    assert cells.sparkline((0.5,) * 9, width=4).plain == "▄▄▄▄"


def test_what_is_not_known_is_a_dash() -> None:
    assert (cells.size(None), cells.percent(None)) == ("-", "-")
    assert cells.status(Status.UNKNOWN).plain == "-"


@given(st.integers(0, 300), st.integers(0, 255))
def test_columns_fit_their_window_and_the_ones_that_matter_stay(width: int, longest: int) -> None:
    fitted = fit(width, longest_name=longest)
    keys = [column.key for column, _ in fitted]

    assert keys[:4] == ["vm", "status", "assigned", "demand"]
    assert all(column.least <= wide <= column.most for column, wide in fitted)
    if len(fitted) > 4:
        assert sum(wide + PADDING for _, wide in fitted) <= width


def test_every_column_fits_in_a_wide_window() -> None:
    assert len(fit(150, longest_name=12)) == len(COLUMNS)


async def test_a_trail_keeps_the_worst_of_every_step_and_no_more_than_it_may(
    world: World,
) -> None:
    await world.look()
    guests = (await world.desk.overview()).guests
    calm, pressed = (
        [guest.model_copy(update={"pressure": value}) for guest in guests] for value in (0.5, 0.9)
    )
    trails = Trails()

    trails.note(calm, now_s=0)
    trails.note(pressed, now_s=1)
    trails.note(calm, now_s=2)
    trails.note(calm, now_s=3 * STEP_S)
    assert trails.of("web", 10) == (0.9, None, None, 0.5)
    assert trails.of("web", 2) == (None, 0.5)

    for second in range(1000):
        trails.note(calm, now_s=second)
    assert len(trails.of("web", 1000)) == STEPS_KEPT

    trails.note(calm[:1], now_s=1001)
    assert trails.of(guests[1].name, 10) == ()
