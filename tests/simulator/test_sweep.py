"""Policies on the same hosts, in one process and in several."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading

import numpy as np
import pytest
from tests.simulator.worlds import hosts_of, trace_of

from barostat.errors import BarostatError, InputError
from barostat.simulator.hosts import Hosts, draw, lay_out
from barostat.simulator.sweep import Comparison, simulate, tolerance_ratio
from barostat.simulator.trace import Trace
from barostat.simulator.workers import play_all

CALM, BUSY = (500.0, 500.0), (3072.0, 500.0)


def many() -> tuple[Trace, Hosts]:
    chance = np.random.default_rng(3)
    trace = trace_of(*(tuple(row) for row in chance.uniform(50, 3000, (5, 6))))
    return trace, lay_out(trace, draw(trace, hosts=17, guests=4, seed=1), capacity_ratio=0.6)


@pytest.fixture(scope="module")
def compared() -> Comparison:
    trace, hosts = many()
    return simulate(trace, hosts, ["static", "barostat"], workers=1, keep_series=True)


def test_blocks_of_hosts_are_put_together_as_if_they_were_one(compared: Comparison) -> None:
    trace, hosts = many()
    result = compared.results[0]
    needed = np.nansum(trace.demand_bytes[:, hosts.vm], axis=(0, 2)) * trace.step_s

    assert result.totals.guests["demand_byte_s"] == pytest.approx(needed)
    assert (result.totals.guests["unmet_byte_s"] >= compared.bound.unmet_byte_s).all()


def test_the_worst_moment_is_that_of_all_hosts(compared: Comparison) -> None:
    static = compared.results[0]
    assert static.worst is not None
    assert static.series is not None
    worst, missing = static.worst, static.series.missing_bytes

    assert worst.missing_bytes == pytest.approx(missing.max())
    assert worst.row * len(compared.hosts.vm) + worst.host == missing.argmax()
    assert worst.vm == tuple(compared.hosts.vm[worst.host])


def test_the_guests_of_the_worst_host_are_kept(compared: Comparison) -> None:
    static, own = compared.results
    for result in static, own:
        assert result.series is not None
        assert result.worst is not None
        guests, worst = result.series.guests, result.worst
        assert guests.host == worst.host
        assert guests.demand_bytes.dtype == np.float32
        assert guests.demand_bytes[worst.row] == pytest.approx(np.array(worst.demand_bytes))
        sums = result.series.assigned_bytes[:, worst.host]
        assert guests.assigned_bytes.sum(axis=1) == pytest.approx(sums, rel=1e-5)


def test_barostat_says_why_the_worst_moment_was_so(compared: Comparison) -> None:
    static, own = compared.results

    assert static.worst is not None
    assert static.worst.decision is None
    assert own.worst is not None
    assert own.worst.decision is not None


def test_series_are_kept_only_when_they_are_wanted() -> None:
    trace = trace_of(CALM, BUSY)

    assert simulate(trace, hosts_of(trace), ["static"], workers=1).results[0].series is None


def test_samples_of_minutes_are_tolerated_and_seconds_are_taken_as_they_are() -> None:
    assert tolerance_ratio(trace_of(CALM, step_s=300.0)) == 0.02
    assert tolerance_ratio(trace_of(CALM, step_s=1.0)) == 0


def test_an_unknown_policy_is_refused_before_anything_is_played() -> None:
    trace = trace_of(CALM)

    with pytest.raises(InputError, match="no policy 'statik'"):
        simulate(trace, hosts_of(trace), ["statik"])


def _serve(stage: str, work: str) -> str:
    match work:
        case "fail":
            raise InputError("this piece cannot be done")
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "wait":
            threading.Event().wait()
    return stage + work


def test_pieces_come_back_in_order_and_their_share_is_told() -> None:
    shares: list[float] = []
    done = play_all(_serve, "s", ["a", "b", "c", "d"], workers=2, progress=shares.append)

    assert done == ["sa", "sb", "sc", "sd"]
    assert shares == [0.25, 0.5, 0.75, 1.0]


def test_an_error_in_a_process_comes_through_and_ends_the_others() -> None:
    with pytest.raises(InputError, match="cannot be done"):
        play_all(_serve, "", ["wait", "fail"], workers=2)

    assert multiprocessing.active_children() == []


def test_an_interruption_ends_all_processes_at_once() -> None:
    def interrupt(_share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        play_all(_serve, "", ["wait", "a"], workers=2, progress=interrupt)

    assert multiprocessing.active_children() == []


def test_a_process_that_is_killed_is_told_of() -> None:
    with pytest.raises(BarostatError, match="ended by somebody else") as caught:
        play_all(_serve, "", ["wait", "die"], workers=2)

    assert "fewer workers" in caught.value.hint
