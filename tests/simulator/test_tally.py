"""What is taken down of a run, worked out by hand."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from tests.simulator.worlds import hosts_of, trace_of, world_of

from barostat.simulator.policies.static import Static
from barostat.simulator.run import run
from barostat.simulator.tally import Tally
from barostat.simulator.trace import Trace
from barostat.simulator.unevenness import highest
from barostat.simulator.world import World
from barostat.units import GIB, MIB

TOTAL_RESERVE_BYTES = 8 * MIB + 2 * GIB / 128
"""What the kernel of a guest of 2 GiB keeps free."""


@dataclass
class Asks:
    """A policy that asks the first guest for one size after another, a second apart."""

    sizes_mib: list[float]
    wait_s: float = 1.0
    name: str = "asks"
    period_s: float = 0.0
    asked: int = field(default=0)

    def act(self, world: World) -> float | None:
        if self.asked >= len(self.sizes_mib):
            return None
        target = world.target_bytes.copy()
        target[0, 0] = self.sizes_mib[self.asked] * MIB
        world.ask(target)
        self.asked += 1
        return self.wait_s


def tally_of(trace: Trace, policy: object = None, *, ratio: float = 0.5) -> Tally:
    hosts = hosts_of(trace, ratio=ratio)
    tally = Tally(hosts, tolerance_ratio=0.0)
    world = run(trace, hosts, policy or Static(), tally)  # type: ignore[arg-type]
    tally.end(world)
    return tally


def test_needs_and_what_was_missing_of_them_are_integrated() -> None:
    tally = tally_of(trace_of((500.0, 500.0), (3072.0, 500.0), (500.0, 500.0)))
    guests = tally.guests

    assert guests["on_s"].tolist() == [[900.0, 900.0]]
    assert guests["demand_byte_s"][0, 0] == pytest.approx((500 + 3072 + 500) * MIB * 300)
    assert guests["unmet_byte_s"].tolist() == [[pytest.approx(1024 * MIB * 300), 0.0]]
    assert guests["short_s"].tolist() == [[300.0, 0.0]]
    assert guests["waste_byte_s"][0, 0] == pytest.approx(2 * (2048 - 500) * MIB * 300)
    paged = 1024 * MIB + TOTAL_RESERVE_BYTES
    assert guests["swap_in_bytes"][0, 0] == pytest.approx(paged * 300 / 60)


def test_a_guest_that_is_off_counts_for_nothing() -> None:
    tally = tally_of(trace_of((500.0, 500.0), (float("nan"), 500.0), (500.0, 500.0)))

    assert tally.guests["on_s"].tolist() == [[600.0, 900.0]]
    assert tally.guests["churn_bytes"].sum() == 0
    assert tally.guests["moves"].sum() == 0


def test_a_minute_is_judged_alone_when_the_shortage_ends_within_it() -> None:
    short = [(3072.0, 500.0)] * 2  # 20 s of 1 GiB, of 3 GiB needed: a third of a minute
    trace = trace_of((500.0, 500.0), *short, *[(500.0, 500.0)] * 20, step_s=10.0)

    assert tally_of(trace).guests["bad_s"].tolist() == [[60.0, 0.0]]


def test_calm_time_before_a_shortage_does_not_thin_it_out() -> None:
    calm, short = (500.0, 500.0), (3072.0, 500.0)
    long_calm = trace_of(calm, short, calm, calm, step_s=100.0)

    assert tally_of(long_calm).guests["bad_s"][0, 0] == 180.0  # the minutes from 60 s to 240 s


def test_a_minute_in_which_needs_changed_is_not_bad_where_it_has_grace() -> None:
    trace = trace_of((500.0, 500.0), (3072.0, 500.0), (500.0, 500.0))
    hosts = hosts_of(trace)
    tally = Tally(hosts, grace_s=60.0)
    tally.end(run(trace, hosts, Static(), tally))

    assert tally.guests["bad_s"].tolist() == [[240.0, 0.0]]


@pytest.mark.parametrize(("missing_ratio", "bad_s"), [(0.001, 0.0), (0.003, 300.0)])
def test_a_minute_is_bad_when_too_much_is_paged_in(missing_ratio: float, bad_s: float) -> None:
    needed_mib = (2 * GIB - TOTAL_RESERVE_BYTES) / MIB / (1 - missing_ratio)

    assert tally_of(trace_of((needed_mib, 100.0))).guests["bad_s"][0, 0] == bad_s


def test_moves_and_reversals_within_ten_minutes_are_counted() -> None:
    trace = trace_of(*[(500.0, 500.0)] * 9)
    soon = tally_of(trace, Asks([1024, 2048, 2048, 1024], wait_s=5.0))
    late = tally_of(trace, Asks([1024, 2048], wait_s=700.0))

    assert soon.guests["moves"][0, 0] == 3
    assert soon.guests["reversals"][0, 0] == 2
    assert soon.guests["churn_bytes"][0, 0] == pytest.approx(3 * 1024 * MIB)
    assert late.guests["moves"][0, 0] == 2
    assert late.guests["reversals"][0, 0] == 0


def test_more_than_there_is_is_a_breach_until_it_is_taken_back() -> None:
    trace = trace_of(*[(500.0, 500.0)] * 2)
    tally = tally_of(trace, Asks([3072, 2048, 4096, 2048], wait_s=10.0))

    assert tally.per_host["breaches"].tolist() == [2.0]
    assert tally.per_host["breach_s"][0] == pytest.approx(20.0, abs=0.5)
    assert tally.per_host["breach_most_bytes"].tolist() == [2048 * MIB]


def test_a_step_waits_until_its_memory_is_there() -> None:
    trace = trace_of((500.0, 500.0), (3072.0, 500.0), (500.0, 500.0))
    satisfied = tally_of(trace, Asks([2048, 3072], wait_s=400.0)).steps

    assert satisfied.waits_s == [pytest.approx(100.0, abs=0.1)]
    assert satisfied.never.sum() == 0
    assert tally_of(trace).steps.never.tolist() == [[1, 0]]


def test_guests_are_compared_only_while_they_want_more_than_there_is() -> None:
    plenty = tally_of(trace_of((500.0, 500.0)))
    scarce = tally_of(trace_of((500.0, 500.0), (4000.0, 500.0), (3072.0, 1024.0)))
    wanted = np.minimum(np.array([3072.0, 1024.0]) * 1.2, 4096)
    share = np.minimum(2048 / wanted, 1)

    assert plenty.unevenness.scarce_s.tolist() == [0.0]
    assert highest(plenty.unevenness.histogram_s, 0.99) == 0.0
    # 3072 and 1024 want 4916 of 4096; 4000 and 500 want 4096, their maximum, and 600.
    assert scarce.unevenness.scarce_s.tolist() == [600.0]
    second = share.sum() ** 2 / (2 * (share**2).sum())
    first = 1.5**2 / (2 * 1.25)
    assert scarce.unevenness.jain_s[0] == pytest.approx(300 * (first + second))
    assert scarce.unevenness.dispersion_s[0] == pytest.approx(
        300 * (4000 - 500) / 2048 / 2 + 300 * (3072 - 1024) / 2048 / 2
    )


def test_the_worst_moment_is_kept_with_its_row_and_its_guests() -> None:
    trace = trace_of((500.0, 500.0), (3072.0, 500.0), (4000.0, 500.0), (500.0, 500.0))
    moment = tally_of(trace).worst.moment

    assert moment is not None
    assert (moment.host, moment.row) == (0, 2)
    assert moment.demand_bytes == (4000 * MIB, 500 * MIB)
    assert moment.missing_bytes == (4000 - 2048) * MIB


def test_a_world_in_which_all_is_well_has_no_worst_moment() -> None:
    world = world_of(500.0, 500.0)
    tally = Tally(world.hosts)
    tally.advance(world, 100.0)
    tally.end(world)

    assert tally.worst.moment is None
    assert tally.guests["bad_s"].sum() == 0
