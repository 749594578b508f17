"""The metrics of the host and of the loop: what there is to share, and whether it is well shared.

What mirrors a counter of Windows' "Hyper-V Dynamic Memory Balancer" has its name and says which.
Every state and every reason has its sample always, 0 where it does not hold: a sample that comes
and goes cannot be counted on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from barostat import __version__
from barostat.core.allocation import Tier
from barostat.core.decision import Decision
from barostat.core.pressure import Status
from barostat.core.reasons import ReasonCode
from barostat.engine.loop import Tick
from barostat.host.brake import Stage
from barostat.host.host import HostReport
from barostat.service.metrics_seen import BOUNDS_S, Durations, Seen

__all__ = ["host_families"]

_CODES: Final = tuple(ReasonCode)
HOLDS: Final = (
    *_CODES[_CODES.index(ReasonCode.NO_SETTINGS) : _CODES.index(ReasonCode.CAPACITY_LOST)],
    ReasonCode.FALSE_SIZE,  # of a guest and of the host
)
ALARMS: Final = _CODES[_CODES.index(ReasonCode.CAPACITY_LOST) :]


def _available_for_balancing(tick: Tick) -> int:
    return max(0, tick.decision.in_hand_bytes - tick.decision.pool_bytes)


def _average_pressure(tick: Tick) -> float | None:
    """Give the mean over the VMs that Dynamic Memory is on for; None without any."""
    pressures = [
        guest.pressure
        for guest in tick.decision.guests
        if guest.pressure is not None and guest.status is not Status.UNKNOWN
    ]
    return sum(pressures) / len(pressures) if pressures else None


def _system_pressure(tick: Tick) -> float | None:
    """Give what all VMs need over all there is; one that cannot be asked needs what it has."""
    if tick.decision.capacity_bytes <= 0:
        return None
    needed = sum(
        guest.promised_bytes
        if guest.demand_bytes is None or guest.status is Status.UNKNOWN
        else guest.demand_bytes
        for guest in tick.decision.guests
    )
    return needed / tick.decision.capacity_bytes


TICK_GAUGES: Final[Sequence[tuple[str, str, Callable[[Tick], float | None]]]] = (
    (
        "barostat_dynamic_memory_balancer_available_memory_bytes",
        "Available Memory: what VMs may still be given.",
        lambda tick: max(0, tick.decision.in_hand_bytes),
    ),
    (
        "barostat_dynamic_memory_balancer_available_memory_for_balancing_bytes",
        "Available Memory For Balancing: the same, less the pool for VMs that are short.",
        _available_for_balancing,
    ),
    (
        "barostat_dynamic_memory_balancer_average_pressure_ratio",
        "Average Pressure: the mean of the pressures of all VMs that Dynamic Memory is on for.",
        _average_pressure,
    ),
    (
        "barostat_dynamic_memory_balancer_system_current_pressure_ratio",
        "System Current Pressure: what all VMs need over what may be handed out to them.",
        _system_pressure,
    ),
    (
        "barostat_ledger_capacity_bytes",
        "What may be handed out to VMs.",
        lambda tick: tick.decision.capacity_bytes,
    ),
    (
        "barostat_ledger_promised_bytes",
        "What VMs have, or may still take.",
        lambda tick: tick.decision.promised_bytes,
    ),
    (
        "barostat_ledger_in_hand_bytes",
        "Capacity less promised; below 0 the host lost memory that it had handed out.",
        lambda tick: tick.decision.in_hand_bytes,
    ),
    (
        "barostat_ledger_pool_bytes",
        "What should stay in hand so that a VM that is short need not wait.",
        lambda tick: tick.decision.pool_bytes,
    ),
    (
        "barostat_starting_vms",
        "How many VMs wait to start, or may and are not seen yet.",
        lambda tick: len(tick.snapshot.reservations),
    ),
    (
        "barostat_set_aside_bytes",
        "What is set aside for VMs that may start and are not seen yet.",
        lambda tick: sum(tick.decision.state.set_aside_bytes.values()),
    ),
    (
        "barostat_paused",
        "1 if the operator holds every VM of the host at its size, else 0.",
        lambda tick: tick.snapshot.paused,
    ),
)

REPORT_GAUGES: Final[Sequence[tuple[str, str, Callable[[HostReport], float | None]]]] = (
    (
        "barostat_host_memory_bytes",
        "All memory that the host's kernel manages.",
        lambda report: report.memory.total_bytes,
    ),
    (
        "barostat_host_available_bytes",
        "What the host's kernel calls available.",
        lambda report: report.memory.available_bytes,
    ),
    (
        "barostat_host_reserve_bytes",
        "What the host keeps for itself.",
        lambda report: report.accounts.reserve_bytes,
    ),
    (
        "barostat_host_overhead_bytes",
        "What the VMs' QEMU processes take beside the VMs' memory.",
        lambda report: report.accounts.overhead_bytes,
    ),
    (
        "barostat_host_foreign_bytes",
        "VMs on this host that Barostat does not see.",
        lambda report: report.accounts.foreign_bytes,
    ),
    (
        "barostat_host_hugetlb_bytes",
        "Pools of hugepages that no VM that is seen has.",
        lambda report: report.accounts.hugetlb_bytes,
    ),
    (
        "barostat_host_wanted_back_bytes",
        "What VMs are asked to give back to the host itself.",
        lambda report: report.wanted_back_bytes,
    ),
    (
        "barostat_host_swap_out_bytes_per_second",
        "What the host swaps out, averaged over about 10 s.",
        lambda report: report.swap_out_bytes_per_s,
    ),
    (
        "barostat_host_stall_ratio",
        "The share of the last 10 s in which something on the host waited for memory (PSI).",
        lambda report: report.memory.stall_ratio,
    ),
)


def host_families(seen: Seen) -> Iterator[Metric]:
    """Give every metric of the host and of the loop."""
    tick, report = seen.tick, seen.host
    for name, text, value in TICK_GAUGES:
        yield _gauge(name, text, None if tick is None else value(tick))
    for name, text, told in REPORT_GAUGES:
        yield _gauge(name, text, None if report is None else told(report))
    yield _states(
        "barostat_host_brake",
        "How hard the host brakes: free (not at all), holding (no VM grows) or taking (VMs give "
        "back). 1 for what holds.",
        "stage",
        None if report is None else {stage.value: stage is report.stage for stage in Stage},
    )
    yield from _loop(seen)
    yield from _reasons(None if tick is None else tick.decision)


def _loop(seen: Seen) -> Iterator[Metric]:
    ticked = seen.tick is not None
    yield CounterMetricFamily("barostat_ticks_total", "Passes over all VMs.", value=seen.ticks)
    yield CounterMetricFamily(
        "barostat_hurried_passes_total",
        "Passes out of turn, for VMs that could not wait for the next pass over all.",
        value=seen.hurried,
    )
    yield CounterMetricFamily(
        "barostat_looks_total",
        "Looks at single VMs between passes, because they could soon be short.",
        value=seen.looks,
    )
    yield _gauge(
        "barostat_last_tick_timestamp_seconds",
        "When the last pass was, since the epoch.",
        seen.at_s if ticked else None,
    )
    durations = HistogramMetricFamily(
        "barostat_tick_duration_seconds",
        "How long the parts of a pass took: to observe all VMs, and to decide.",
        labels=["part"],
    )
    for part, took in (("observe", seen.observing), ("decide", seen.deciding)):
        durations.add_metric((part,), _cumulated(took), took.sum_s)
    yield durations
    yield _gauge("barostat_moving", "0 if it decides and moves nothing, else 1.", seen.moving)
    yield _gauge(
        "barostat_faults",
        "How many VMs or connections should be seen and are not.",
        seen.faults,
    )
    yield _gauge(
        "barostat_limit_faults",
        "Around how many VMs a limit (a fence, Smart Paging) does not stand where it belongs.",
        seen.limit_faults,
    )
    yield _states("barostat_build_info", "The version that runs.", "version", {__version__: True})


def _reasons(decision: Decision | None) -> Iterator[Metric]:
    """Count the VMs that are left at their sizes, and the host's alarms, by their reasons."""
    held: Counter[str] | None = None
    alarms: Counter[str] | None = None
    if decision is not None:
        still = [guest for guest in decision.guests if guest.move is None and guest.reasons]
        held = _counted(HOLDS, (guest.reasons[0].code for guest in still))
        alarms = _counted(ALARMS, (alarm.code for alarm in decision.alarms))
    yield _states(
        "barostat_held_vms",
        "How many VMs are left at their sizes, by the first reason why.",
        "reason",
        held,
    )
    yield _states("barostat_alarms", "What is wrong with the host, by reason.", "reason", alarms)
    yield _states(
        "barostat_tier",
        "How far the memory goes: plenty, buffers_cut, demand_cut or short. 1 for what holds.",
        "tier",
        None if decision is None else {tier.value: tier is decision.tier for tier in Tier},
    )


def _counted(known: Sequence[ReasonCode], found: Iterable[ReasonCode]) -> Counter[str]:
    counts = Counter({code.value: 0 for code in known})
    counts.update(code.value for code in found)
    return counts


def _gauge(name: str, text: str, value: float | None) -> Metric:
    family = GaugeMetricFamily(name, text)
    if value is not None:
        family.add_metric((), value)
    return family


def _states(name: str, text: str, label: str, values: Mapping[str, float] | None) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for state, value in (values or {}).items():
        family.add_metric((state,), value)
    return family


def _cumulated(took: Durations) -> list[tuple[str, float]]:
    total, buckets = 0, []
    bounds = [*(str(bound) for bound in BOUNDS_S), "+Inf"]
    for bound, count in zip(bounds, took.counts, strict=True):
        total += count
        buckets.append((bound, float(total)))
    return buckets
