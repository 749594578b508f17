"""Charts in the terminal: what was needed as an area, what was had as a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from barostat.cli.chart import Chart, Ink, draw, plain
from barostat.units import GIB, MIB

Values = Sequence[int | None]


def chart(
    area: Values = (),
    line: Values = (),
    *,
    limits: Mapping[str, int] | None = None,
    seconds: int = 0,
) -> Chart:
    """One value a second, in MiB."""
    return Chart(
        since_s=100,
        until_s=100 + (seconds or max(len(area), len(line))),
        step_s=1,
        area=[(100 + at, None if mib is None else mib * MIB) for at, mib in enumerate(area)],
        line=[(100 + at, None if mib is None else mib * MIB) for at, mib in enumerate(line)],
        limits={name: mib * MIB for name, mib in (limits or {}).items()},
        moment=lambda at_s: f"{at_s:.0f} s",
    )


def lines(of: Chart, *, height: int = 4) -> list[str]:
    """A drawing with as many columns as seconds, as far as the scale's labels allow."""
    columns = round(of.until_s - of.since_s)
    return plain(draw(of, width=len("1024 MiB") + 2 + columns, height=height)).split("\n")


def test_a_chart_has_its_scale_its_plot_and_its_time() -> None:
    assert lines(chart([*range(0, 1000, 50)], [512] * 10 + [1024] * 10)) == [
        "1024 MiB ┤          ⎺⎺⎺⎺⎺⎺⎺⎺⎺⎺",
        "         │⎽⎽⎽⎽⎽⎽⎽⎽⎽⎽ ▁▃▄▆▇████",
        " 512 MiB ┤      ▁▃▄▆██████████",
        "         │ ▂▃▅▆███████████████",
        "       0 └────────────────────",
        "          100 s  110 s   120 s",
    ]


def test_the_area_rises_by_eighths_of_a_row() -> None:
    rising = [32 * step for step in range(33)]

    *cells, _, _ = lines(chart(rising))

    assert cells[-1].endswith("│ ▁▂▃▄▅▆▇█████████████████████████")
    assert cells[0].endswith(" ▁▂▃▄▅▆▇█")


def test_the_line_is_seen_before_the_area() -> None:
    rows = draw(chart([512] * 20, [512] * 20), width=30, height=4)

    inks = {ink for row in rows for text, ink in row if text.strip()}
    assert inks == {Ink.FRAME, Ink.AREA, Ink.LINE}


def test_a_jump_of_the_line_is_drawn_upright() -> None:
    top, upper, lower, ground = lines(chart(line=[100] * 8 + [1000] * 12))[:4]

    assert top.endswith("┤        " + "⎺" * 12)
    assert upper.endswith("│        │")
    assert lower.endswith("┤        │")
    assert ground.endswith("│" + "⎼" * 8)


def test_where_nothing_is_known_nothing_is_drawn_and_the_line_does_not_bridge_it() -> None:
    top, upper, lower, ground = lines(chart(line=[100] * 5 + [None] * 10 + [1000] * 5))[:4]

    assert top.endswith("┤" + " " * 15 + "⎺" * 5)
    assert upper.endswith("│")
    assert lower.endswith("┤")
    assert ground.endswith("│" + "⎼" * 5)


def test_limits_are_marked_and_named() -> None:
    found = lines(chart([300] * 10 + [None] * 10, limits={"minimum": 250, "maximum": 400}))

    assert found[0].endswith("┄" * 20 + " maximum")
    assert found[2].endswith("█" * 10 + "┄" * 10 + " minimum")


def test_a_limit_far_above_everything_is_left_out() -> None:
    found = lines(chart([300] * 20, limits={"maximum": 65536}))

    assert not any("maximum" in row for row in found)
    assert found[0].startswith("320 MiB")


@pytest.mark.parametrize(
    ("highest", "top"), [(1, "1 MiB"), (100, "128 MiB"), (150, "160 MiB"), (1500, "1536 MiB")]
)
def test_the_top_of_the_scale_is_a_round_size(highest: int, top: str) -> None:
    assert top in lines(chart([highest] * 20))[0]


def test_many_values_in_one_column_show_the_highest() -> None:
    spike = [100] * 50 + [1024] + [100] * 49

    found = draw(chart(spike), width=30, height=4)

    assert plain(found).split("\n")[0].count("█") == 1


def test_one_value_over_many_columns_fills_them() -> None:
    found = draw(
        Chart(
            since_s=0,
            until_s=600,
            step_s=300,
            area=[(0, GIB), (300, 2 * GIB)],
            line=[],
            moment=str,
        ),
        width=30,
        height=4,
    )

    assert plain(found).split("\n")[0].endswith(" " * 10 + "█" * 10)


def test_values_outside_the_time_are_left_out() -> None:
    before = chart([1024] * 20)
    later = Chart(
        since_s=110, until_s=130, step_s=1, area=before.area, line=(), moment=before.moment
    )

    assert lines(later)[0].count("█") == 10


def test_a_window_that_is_too_small_gets_the_smallest_chart() -> None:
    found = plain(draw(chart([100] * 5), width=1, height=0)).split("\n")

    assert len(found) == 3 + 2
    assert {len(row) for row in found[:3]} == {len("128 MiB ┤") + 16}


def test_nothing_at_all_is_an_empty_chart() -> None:
    found = lines(chart(seconds=20, limits={"maximum": 1024}))

    assert found[0].endswith("maximum")
    assert found[-1].endswith("120 s")
