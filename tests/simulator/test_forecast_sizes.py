"""Whose sizes are wrong: decayed percentiles by hand, and what is told of them and what is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.simulator.pasts import past, sized

from barostat.core.settings import MemorySettings, change_faults, setting_faults
from barostat.simulator.forecast.recorded import days_of
from barostat.simulator.forecast.report import change_command
from barostat.simulator.forecast.sizes import Needs, advice_of, advise, decayed, needs_of
from barostat.units import MIB


def needs(
    *, quiet: float = 500, peak: float = 2000, highest: float = 1800, days: int = 10
) -> Needs:
    return Needs(
        days=days,
        quiet_bytes=quiet * MIB,
        peak_bytes=peak * MIB,
        highest_bytes=highest * MIB,
    )


def mib(settings: MemorySettings) -> tuple[int, int, int]:
    sizes = settings.minimum_bytes, settings.startup_bytes, settings.maximum_bytes
    return tuple(size // MIB for size in sizes)  # type: ignore[return-value]


def test_a_day_ago_weighs_half() -> None:
    values, ago = np.array([30.0, 20.0, 10.0]), np.array([0.0, 1, 2])  # weights 1, 1/2, 1/4

    assert decayed(values, ago, 0.1) == 10  # a seventh of the weight
    assert decayed(values, ago, 3 / 7) == 20
    assert decayed(values, ago, 0.5) == 30


def test_a_peak_of_yesterday_counts_and_one_of_last_week_does_not() -> None:
    ago = np.arange(8.0)

    assert decayed(np.where(ago == 1, 900.0, 100.0), ago, 0.9) == 900
    assert decayed(np.where(ago == 7, 900.0, 100.0), ago, 0.9) == 100


def test_a_vm_s_needs_are_of_its_days() -> None:
    day = [100.0] * 6 + [200.0] * 18
    demand = [*day, *day[:-1], 400.0]

    found = needs_of(np.array(demand) * MIB, days_of(past({"web": demand})))

    assert found is not None
    assert found.days == 2
    assert found.quiet_bytes == pytest.approx(100 * 1.15 * MIB)
    assert found.peak_bytes == pytest.approx(400 * 1.15 * MIB)
    assert found.highest_bytes == 400 * MIB


def test_a_vm_that_said_nothing_has_no_needs() -> None:
    assert needs_of(np.full(24, np.nan), days_of(past({"web": [1.0] * 24}))) is None


def test_sizes_that_will_do_are_left() -> None:
    assert advise("web", sized(minimum=512, startup=1024, maximum=2048), needs()) is None


def test_a_difference_that_does_not_matter_is_not_told() -> None:
    near = sized(minimum=64, startup=1024, maximum=1920)  # 2048 would be 6 % more

    assert advise("web", near, needs(peak=2048)) is None
    assert advise("web", sized(64, 64, 128), needs(quiet=64, peak=192, highest=1)) is None


def test_a_maximum_that_holds_a_vm_back_is_raised_while_it_runs() -> None:
    found = advise("web", sized(maximum=1024), needs(days=1))

    assert found is not None
    assert mib(found.better) == (64, 1024, 2048)
    assert (found.running, found.off) == (("maximum_bytes",), ())
    command = change_command(found, found.running)
    assert command == ("barostat", "set", "web", "--maximum", "2048MiB")


def test_a_minimum_beyond_the_quiet_need_is_lowered_while_it_runs() -> None:
    found = advise("web", sized(minimum=1024, maximum=2048), needs())

    assert found is not None
    assert mib(found.better) == (512, 1024, 2048)
    assert found.running == ("minimum_bytes",)


def test_a_minimum_below_the_quiet_need_costs_nothing_and_is_left() -> None:
    assert advise("web", sized(minimum=64, maximum=2048), needs(quiet=900)) is None


def test_what_takes_a_vm_that_is_off_is_told_apart() -> None:
    found = advise("web", sized(minimum=1024, startup=4096, maximum=8192), needs())

    assert found is not None
    assert mib(found.better) == (512, 2048, 2048)
    assert found.running == ("minimum_bytes",)
    assert found.off == ("startup_bytes", "maximum_bytes")


def test_a_startup_below_the_quiet_need_is_raised() -> None:
    found = advise("web", sized(startup=256, maximum=2048), needs(quiet=1000))

    assert found is not None
    assert mib(found.better) == (64, 1024, 2048)


def test_nothing_is_taken_from_a_vm_before_a_week_was_seen() -> None:
    large = sized(minimum=1024, startup=4096, maximum=8192)

    assert advise("web", large, needs(days=6)) is None
    assert advise("web", large, needs(days=7)) is not None


def test_a_maximum_is_never_below_what_was_ever_needed() -> None:
    found = advise("web", sized(maximum=8192), needs(peak=1000, highest=3000))

    assert found is not None
    assert found.better.maximum_bytes == 3008 * MIB


def test_devices_that_allow_no_more_are_told_of() -> None:
    found = advise("web", sized(maximum=1024), needs(), devices_bytes=1536 * MIB)

    assert found is not None
    assert mib(found.better) == (64, 1024, 1536)
    assert found.capped


def test_who_is_not_moved_or_not_known_is_left_out() -> None:
    demand = [3900.0] * 48
    recorded = past(
        dict.fromkeys(("small", "off", "without", "unknown"), demand),
        settings={
            "small": sized(maximum=2048),
            "off": replace(sized(maximum=2048), enabled=False),
            "without": None,
        },
    )

    assert [found.vm for found in advice_of(recorded)] == ["small"]


SIZES = st.integers(1, 300).map(lambda blocks: blocks * 32)


@given(st.tuples(SIZES, SIZES, SIZES), st.tuples(SIZES, SIZES, SIZES), st.integers(1, 30))
def test_what_is_advised_is_always_allowed_and_is_final(
    now: tuple[int, int, int], needed: tuple[int, int, int], days: int
) -> None:
    minimum, startup, maximum = sorted(now)
    quiet, highest, peak = sorted(needed)
    wanted = needs(quiet=quiet, peak=peak, highest=highest, days=days)
    before = sized(minimum, startup, maximum)

    found = advise("web", before, wanted)

    if found is None:
        return
    assert not setting_faults(found.better)
    assert found.running or found.off
    running = {name: getattr(found.better, name) for name in found.running}
    half = replace(before, **running)
    assert not setting_faults(half)
    assert not change_faults(before, half)
    assert advise("web", found.better, wanted) is None
