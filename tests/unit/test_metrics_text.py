"""What `/metrics` says of a pass."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.service.scraped import Scrape, box
from tests.unit.builders import POLICY, devices, guest, settings

from barostat import __version__
from barostat.core.decide import State, decide
from barostat.core.observation import (
    Depth,
    GuestObservation,
    HostObservation,
    RunState,
    Snapshot,
)
from barostat.core.pressure import Status
from barostat.core.reasons import ReasonCode, because
from barostat.core.settings import MemorySettings
from barostat.engine.loop import Tick
from barostat.errors import DeadlineError
from barostat.host.brake import Stage
from barostat.service.metrics import Metrics
from barostat.service.metrics_host import ALARMS, HOLDS
from barostat.units import GIB, MIB

VM = "barostat_dynamic_memory_vm_"
BALANCER = "barostat_dynamic_memory_balancer_"


def tick(
    *guests: GuestObservation,
    capacity: int = 8192,
    known: dict[str, MemorySettings] | None = None,
    faults: dict[str, str] | None = None,
    at: float = 100.0,
) -> Tick:
    usual = {seen.name: settings() for seen in guests}
    alarms = (because(ReasonCode.HOST_SWAPS, rate_bytes_per_s=1),) * 2
    snapshot = Snapshot(
        now_s=at,
        host=HostObservation(capacity_bytes=capacity * MIB, alarms=alarms),
        guests=guests,
        settings=usual if known is None else known,
        settings_faults=faults or {},
    )
    return Tick(
        snapshot=snapshot,
        state=State(),
        policy=POLICY,
        decision=decide(snapshot, State(), POLICY),
        observe_s=0.02,
        decide_s=0.002,
    )


def scrape(*guests: GuestObservation, **given: object) -> Scrape:
    metrics = Metrics(epoch_clock=lambda: 1_700_000_000.0)
    metrics.tick(tick(*guests, **given))  # type: ignore[arg-type]
    return Scrape(metrics)


def test_a_guest_s_figures_are_those_of_the_decision() -> None:
    web = guest(used=400, has=devices(1024, balloon=256))

    said = scrape(web)

    assert said(f"{VM}physical_bytes", vm="web") == 768 * MIB
    assert said(f"{VM}demand_bytes", vm="web") == 464 * MIB
    assert said(f"{VM}guest_visible_physical_memory_bytes", vm="web") == 1024 * MIB
    assert said(f"{VM}pressure_current_ratio", vm="web") == pytest.approx(464 / 768)
    assert web.statistics is not None
    available = said(f"{VM}guest_available_bytes", vm="web")
    assert available == web.statistics.available_bytes
    assert said("barostat_vm_minimum_bytes", vm="web") == 256 * MIB
    assert said("barostat_vm_maximum_bytes", vm="web") == 2048 * MIB
    assert said("barostat_vm_promised_bytes", vm="web") == 768 * MIB


def test_what_a_guest_does_not_say_is_left_out_and_not_zero() -> None:
    silent = replace(guest(run_state=RunState.BOOTING), statistics=None)

    said = scrape(silent)

    assert said(f"{VM}physical_bytes", vm="web") == 1024 * MIB
    for name in (
        "demand_bytes",
        "guest_available_bytes",
        "pressure_current_ratio",
        "pressure_minimum_ratio",
        "pressure_maximum_ratio",
    ):
        assert said.get(VM + name, vm="web") is None
    assert {said(f"{VM}status", vm="web", status=name) for name in ("OK", "Low", "Warning")} == {0}


def test_the_depth_that_holds_is_one_and_the_others_are_zero() -> None:
    said = scrape(replace(guest(), heard_by=Depth.AGENT), replace(guest("old"), statistics=None))

    shown = {
        name: [said("barostat_vm_depth", vm=name, depth=depth.value) for depth in Depth]
        for name in ("web", "old")
    }
    assert shown == {"web": [0, 0, 0, 1], "old": [1, 0, 0, 0]}


def test_a_pass_out_of_turn_is_counted_apart_and_does_not_say_how_all_stand() -> None:
    metrics = Metrics(looks=lambda: 7)
    turn = tick(guest(), guest("db"))
    metrics.tick(turn)
    before = Scrape(metrics)

    hurried = replace(turn.snapshot, hurried=frozenset({"db"}), now_s=100.3)
    metrics.tick(replace(turn, snapshot=hurried, observe_s=9.0, decide_s=9.0))

    after = Scrape(metrics)
    for name in ("barostat_ticks_total", "barostat_last_tick_timestamp_seconds"):
        assert after(name) == before(name)
    count = "barostat_tick_duration_seconds_count"
    assert after(count, part="observe") == before(count, part="observe") == 1
    assert (before("barostat_hurried_passes_total"), before("barostat_looks_total")) == (0, 7)
    assert (after("barostat_hurried_passes_total"), after("barostat_looks_total")) == (1, 7)


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.UNKNOWN])
def test_one_status_holds_and_the_others_are_zero(status: Status) -> None:
    found = tick(guest())
    judged = replace(found.decision.guests[0], status=status)
    metrics = Metrics()

    metrics.tick(replace(found, decision=replace(found.decision, guests=(judged,))))

    said = Scrape(metrics)
    held = {name: said(f"{VM}status", vm="web", status=name) for name in ("OK", "Low", "Warning")}
    assert held == {name: float(name == status.value) for name in held}


def test_the_pressure_lies_in_its_band_where_the_guest_is_left_alone() -> None:
    said = scrape(guest(used=780))

    lowest = said(f"{VM}pressure_minimum_ratio", vm="web")
    highest = said(f"{VM}pressure_maximum_ratio", vm="web")
    target = said("barostat_vm_target_bytes", vm="web")
    band = POLICY.dead_band_bytes(1024 * MIB)
    assert lowest == pytest.approx(844 * MIB / (target + band))
    assert highest == pytest.approx(844 * MIB / (target - band))
    assert lowest < said(f"{VM}pressure_current_ratio", vm="web") < highest


def test_in_a_shortage_the_band_ends_at_the_pressure_of_what_there_is() -> None:
    said = scrape(guest(used=1500, has=devices(1024, plugged=640)), capacity=1000)

    target = said("barostat_vm_target_bytes", vm="web")
    assert target < 1564 * MIB
    highest = said(f"{VM}pressure_maximum_ratio", vm="web")
    assert highest == pytest.approx(1564 * MIB / target)


def test_a_guest_without_dynamic_memory_has_no_bounds_no_band_and_no_status() -> None:
    for known in ({}, {"web": settings(enabled=False)}):
        said = scrape(guest(), known=known)

        assert said("barostat_vm_dynamic_memory", vm="web") == 0
        assert said.get("barostat_vm_minimum_bytes", vm="web") is None
        assert said.get(f"{VM}pressure_maximum_ratio", vm="web") is None
        assert said(f"{VM}status", vm="web", status="OK") == 0


def test_the_balancer_s_pressures_are_the_mean_and_the_whole() -> None:
    one = guest("one", used=448)  # needs half of what it has
    two = guest("two", used=704)  # three quarters
    static = guest("static")

    said = scrape(one, static, two, known={"one": settings(), "two": settings()}, capacity=4096)

    assert said(f"{BALANCER}average_pressure_ratio") == pytest.approx((0.5 + 0.75) / 2)
    whole = said(f"{BALANCER}system_current_pressure_ratio")
    assert whole == pytest.approx((512 + 768 + 1024) / 4096)


def test_without_guests_there_is_no_average() -> None:
    said = scrape()

    assert said.get(f"{BALANCER}average_pressure_ratio") is None
    assert said(f"{BALANCER}system_current_pressure_ratio") == 0
    assert scrape(capacity=0).get(f"{BALANCER}system_current_pressure_ratio") is None


def test_what_is_available_for_balancing_leaves_the_pool_alone() -> None:
    said = scrape(guest())

    pool, in_hand = said("barostat_ledger_pool_bytes"), said("barostat_ledger_in_hand_bytes")
    assert pool > 0
    assert said(f"{BALANCER}available_memory_bytes") == in_hand
    assert said(f"{BALANCER}available_memory_for_balancing_bytes") == in_hand - pool
    assert said("barostat_ledger_capacity_bytes") == 8192 * MIB
    assert said("barostat_ledger_promised_bytes") == 8192 * MIB - in_hand


def test_a_host_that_lost_memory_has_none_available_and_less_than_none_in_hand() -> None:
    said = scrape(guest(), capacity=512)

    assert said("barostat_ledger_in_hand_bytes") == -512 * MIB
    assert said(f"{BALANCER}available_memory_bytes") == 0
    assert said(f"{BALANCER}available_memory_for_balancing_bytes") == 0
    assert said("barostat_alarms", reason="capacity-lost") == 1


def test_guests_that_are_held_are_counted_by_reason_and_every_reason_is_there() -> None:
    said = scrape(guest("a"), guest("b"), guest("c"), known={}, faults={"c": "too much"})

    assert said("barostat_held_vms", reason="no-settings") == 2
    assert said("barostat_held_vms", reason="bad-settings") == 1
    assert {said("barostat_held_vms", reason=code.value) for code in HOLDS} == {0, 1, 2}
    assert said("barostat_alarms", reason="host-swaps") == 2
    assert {said("barostat_alarms", reason=code.value) for code in ALARMS} == {0, 2}


def test_reasons_to_hold_a_guest_and_alarms_of_the_host_are_told_apart() -> None:
    assert ReasonCode.ENOUGH in HOLDS
    assert ReasonCode.NO_SAFE_PAGING in HOLDS
    assert not {ReasonCode.NUDGED, ReasonCode.BY_BALLOON} & set(HOLDS)
    kinds = {code.value.split("-")[0] for code in ALARMS}
    assert kinds == {"capacity", "minimums", "no", "takes", "false", "host"}


def test_ages_are_of_the_last_word_and_of_the_last_answer() -> None:
    said = scrape(guest(at=97.0))

    assert said("barostat_vm_statistics_age_seconds", vm="web") == 3
    assert said("barostat_vm_seen_age_seconds", vm="web") == 3


def test_a_guest_that_never_spoke_is_silent_since_it_booted() -> None:
    silent = replace(guest(disturbed=40.0), statistics=None)

    assert scrape(silent)("barostat_vm_statistics_age_seconds", vm="web") == 60


@pytest.mark.parametrize(
    "state", [RunState.PAUSED, RunState.MIGRATING, RunState.UNREACHABLE], ids=lambda s: s.value
)
def test_a_guest_that_cannot_speak_is_not_called_silent(state: RunState) -> None:
    said = scrape(guest(run_state=state, at=40.0))

    assert said.get("barostat_vm_statistics_age_seconds", vm="web") is None
    assert said("barostat_vm_seen_age_seconds", vm="web") == 60


def test_the_box_is_shown_as_it_was_last_seen() -> None:
    metrics = Metrics(host=box)
    metrics.tick(tick(guest()))

    said = Scrape(metrics)

    assert said("barostat_host_memory_bytes") == 18 * GIB
    assert said("barostat_host_available_bytes") == 5 * GIB
    assert said("barostat_host_reserve_bytes") == 2 * GIB
    assert said("barostat_host_overhead_bytes") == GIB
    assert said("barostat_host_foreign_bytes") == 3 * GIB
    assert said("barostat_host_hugetlb_bytes") == 4 * GIB
    assert said("barostat_host_wanted_back_bytes") == MIB
    assert said("barostat_host_swap_out_bytes_per_second") == 7
    assert said("barostat_host_stall_ratio") == 0.25
    stages = {stage.value: said("barostat_host_brake", stage=stage.value) for stage in Stage}
    assert stages == {"free": 0, "holding": 1, "taking": 0}


def test_before_the_first_pass_only_what_is_known_is_said() -> None:
    said = Scrape(Metrics(moving=False))

    assert said("barostat_ticks_total") == 0
    assert said("barostat_build_info", version=__version__) == 1
    assert said("barostat_moving") == 0
    assert said.get("barostat_last_tick_timestamp_seconds") is None
    assert said.get("barostat_ledger_capacity_bytes") is None
    assert said.guests() == set()


def test_every_metric_is_described_before_the_first_pass_as_after_it() -> None:
    metrics = Metrics(host=box)
    before = Scrape(metrics)

    metrics.tick(tick(guest()))

    assert Scrape(metrics).types == before.types


def test_the_loop_tells_of_itself() -> None:
    metrics = Metrics(
        faults=lambda: {name: DeadlineError("silent") for name in ("db", "web")},
        limit_faults=lambda: {"web": "its cgroup is shared", "": "no memory cgroups"},
        epoch_clock=lambda: 1_700_000_000.5,
    )
    for _ in range(3):
        metrics.tick(tick(guest()))

    said = Scrape(metrics)

    assert said("barostat_ticks_total") == 3
    assert said("barostat_last_tick_timestamp_seconds") == 1_700_000_000.5
    assert said("barostat_faults") == 1  # web is seen, whether it answers or not
    assert said("barostat_limit_faults") == 2
    assert said("barostat_moving") == 1
    assert said("barostat_paused") == 0
    assert said("barostat_tier", tier="plenty") == 1
    assert said("barostat_tier", tier="short") == 0
    name = "barostat_tick_duration_seconds"
    assert said(f"{name}_bucket", part="observe", le="0.01") == 0
    assert said(f"{name}_bucket", part="observe", le="0.03") == 3
    assert said(f"{name}_bucket", part="decide", le="+Inf") == 3
    assert said(f"{name}_count", part="observe") == 3
    assert said(f"{name}_sum", part="observe") == pytest.approx(0.06)


def test_a_pass_is_written_once_however_many_ask() -> None:
    metrics = Metrics()
    metrics.tick(tick(guest()))
    first = metrics.render()

    assert metrics.render() is first
    metrics.tick(tick(guest()))
    assert metrics.render() is not first


@pytest.mark.parametrize("name", ['we"b', "we\\b", "we\nb", "Zürich", "\udcff.qmp"])
def test_a_strange_name_spoils_nothing(name: str) -> None:
    said = scrape(guest(name), guest("db"))

    assert "db" in said.guests()
    assert len(said.guests()) == 2


def test_two_names_that_are_no_utf_8_stay_two() -> None:
    assert len(scrape(guest("\udcfe"), guest("\udcff")).guests()) == 2
