"""The metrics of single VMs: one table, a line each, with the text that `/metrics` gives it.

What mirrors a counter of Windows' "Hyper-V Dynamic Memory VM" has its name and says which. What a
VM does not say is left out, never zero. The only label that tells VMs apart is `vm`, the name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from barostat.core.decision import GuestDecision
from barostat.core.guest_state import GuestState
from barostat.core.observation import Depth, GuestObservation, RunState
from barostat.core.policy import Policy
from barostat.core.pressure import Status
from barostat.core.settings import MemorySettings
from barostat.service.metrics_seen import Account, Seen

__all__ = ["guest_families"]

STATUSES: Final = tuple(status for status in Status if status is not Status.UNKNOWN)
SPEAKING: Final = {RunState.RUNNING, RunState.BOOTING}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One VM, from every side. `settings` is None where Dynamic Memory is not on for it."""

    name: str
    now_s: float
    seen: GuestObservation
    decided: GuestDecision
    settings: MemorySettings | None
    state: GuestState
    account: Account
    policy: Policy


Value = Callable[[Row], float | None]


def _band(row: Row) -> tuple[float, float] | None:
    """Say between which pressures nothing is moved: the dead-band around the target.

    Above `urgent_ratio` a guest does not wait for the dead-band to be given more; in a shortage
    its target alone says how high the pressure may rise.
    """
    demand, target = row.decided.demand_bytes, row.decided.target_bytes
    if demand is None or row.settings is None:
        return None
    band = row.policy.dead_band_bytes(row.decided.assigned_bytes)
    high = min(demand / max(1, target - band), row.policy.urgent_ratio)
    return demand / (target + band), max(high, demand / max(1, target))


def _lowest(row: Row) -> float | None:
    band = _band(row)
    return None if band is None else band[0]


def _highest(row: Row) -> float | None:
    band = _band(row)
    return None if band is None else band[1]


def _silent_s(row: Row) -> float | None:
    """Say how long a VM that could speak has said nothing that can be believed."""
    seen = row.seen
    if seen.run_state not in SPEAKING:
        return None
    spoke_s = seen.disturbed_at_s if seen.statistics is None else seen.statistics_at_s
    return max(0.0, row.now_s - spoke_s)


def _failed(row: Row) -> int:
    """Say how often in a row a VM that is left to rest did not do as it was asked."""
    trusts = (row.state.wish.giving, row.state.wish.taking)
    return max(trust.failures if trust.rest_until_s > row.now_s else 0 for trust in trusts)


GAUGES: Final[Sequence[tuple[str, str, Value]]] = (
    (
        "barostat_dynamic_memory_vm_physical_bytes",
        "Physical Memory: what the VM has now (base RAM less balloon, plus plugged).",
        lambda row: row.decided.assigned_bytes,
    ),
    (
        "barostat_dynamic_memory_vm_demand_bytes",
        "Memory Demand: what the VM needs now.",
        lambda row: row.decided.demand_bytes,
    ),
    (
        "barostat_dynamic_memory_vm_guest_available_bytes",
        "Guest Available Memory: what the VM's own kernel calls available.",
        lambda row: row.decided.available_bytes,
    ),
    (
        "barostat_dynamic_memory_vm_guest_visible_physical_memory_bytes",
        "Guest Visible Physical Memory: base RAM and the most plugged since boot, balloon or not.",
        lambda row: row.account.visible_bytes,
    ),
    (
        "barostat_dynamic_memory_vm_pressure_current_ratio",
        "Current Pressure: demand over physical memory. 1 is exactly enough, above is short.",
        lambda row: row.decided.pressure,
    ),
    (
        "barostat_dynamic_memory_vm_pressure_minimum_ratio",
        "Minimum Pressure: below it, memory is taken back from the VM.",
        _lowest,
    ),
    (
        "barostat_dynamic_memory_vm_pressure_maximum_ratio",
        "Maximum Pressure: above it, memory is added to the VM, if there is any.",
        _highest,
    ),
    (
        "barostat_vm_dynamic_memory",
        "1 if Dynamic Memory is on for the VM and its settings can be used, else 0.",
        lambda row: row.settings is not None,
    ),
    (
        "barostat_vm_minimum_bytes",
        "The VM's minimum, where Dynamic Memory is on for it.",
        lambda row: None if row.settings is None else row.settings.minimum_bytes,
    ),
    (
        "barostat_vm_maximum_bytes",
        "The VM's maximum, where Dynamic Memory is on for it.",
        lambda row: None if row.settings is None else row.settings.maximum_bytes,
    ),
    (
        "barostat_vm_target_bytes",
        "What the VM should have with the memory that there is.",
        lambda row: row.decided.target_bytes,
    ),
    (
        "barostat_vm_promised_bytes",
        "What the ledger counts for the VM: what it has, or may still take.",
        lambda row: row.decided.promised_bytes,
    ),
    (
        "barostat_vm_paged_bytes",
        "How much of the VM's memory the host pages for it while it restarts.",
        lambda row: row.decided.paged_bytes,
    ),
    (
        "barostat_vm_seen_age_seconds",
        "At the last pass: how long ago the VM's hypervisor last answered.",
        lambda row: max(0.0, row.now_s - row.seen.seen_at_s),
    ),
    (
        "barostat_vm_statistics_age_seconds",
        "At the last pass: how long a VM that could speak has said nothing believable.",
        _silent_s,
    ),
    (
        "barostat_vm_failed_wishes",
        "While the VM rests for not doing as asked: how often in a row it did not. Else 0.",
        _failed,
    ),
)

COUNTERS: Final[Sequence[tuple[str, str, Value]]] = (
    (
        "barostat_dynamic_memory_vm_added_bytes_total",
        "Added Memory: all that was seen to be added to the VM.",
        lambda row: row.account.added_bytes,
    ),
    (
        "barostat_dynamic_memory_vm_removed_bytes_total",
        "Removed Memory: all that was seen to be removed from the VM.",
        lambda row: row.account.removed_bytes,
    ),
    (
        "barostat_dynamic_memory_vm_add_operations_total",
        "Memory Add Operations: operations (not pages) that added memory to the VM.",
        lambda row: row.account.additions,
    ),
    (
        "barostat_dynamic_memory_vm_remove_operations_total",
        "Memory Remove Operations: operations (not pages) that removed memory from the VM.",
        lambda row: row.account.removals,
    ),
    (
        "barostat_vm_demotions_total",
        "How often the VM was seen less deep though it ran on: who spoke in it fell silent.",
        lambda row: row.account.demotions,
    ),
    (
        "barostat_vm_strays_total",
        "How often the VM's size changed though Barostat had asked it for nothing.",
        lambda row: row.account.strays,
    ),
)


def guest_families(seen: Seen) -> Iterator[Metric]:
    """Give every metric of single VMs, with a sample for each VM that it is known of."""
    rows = [(_label(row.name), row) for row in _rows(seen)]
    for family_of, lines in ((GaugeMetricFamily, GAUGES), (CounterMetricFamily, COUNTERS)):
        for name, text, value in lines:
            family = family_of(name, text, labels=["vm"])
            for label, row in rows:
                found = value(row)
                if found is not None:
                    family.add_metric((label,), found)
            yield family
    yield _status(rows)
    yield _depth(rows)


def _depth(rows: Sequence[tuple[str, Row]]) -> Metric:
    family = GaugeMetricFamily(
        "barostat_vm_depth",
        "How deep the VM is seen into: 1 for what holds, 0 for the others. static: it says "
        "nothing; balloon: its balloon driver speaks; qga: and qemu-guest-agent; agent: Barostat's "
        "agent.",
        labels=["vm", "depth"],
    )
    for label, row in rows:
        for depth in Depth:
            family.add_metric((label, depth.value), row.seen.depth is depth)
    return family


def _status(rows: Sequence[tuple[str, Row]]) -> Metric:
    family = GaugeMetricFamily(
        "barostat_dynamic_memory_vm_status",
        "Memory Status: 1 for what holds, 0 for the others. All are 0 where Dynamic Memory is off "
        "for the VM or nothing is known of it.",
        labels=["vm", "status"],
    )
    for label, row in rows:
        for status in STATUSES:
            family.add_metric((label, status.value), row.decided.status is status)
    return family


def _rows(seen: Seen) -> Iterator[Row]:
    tick = seen.tick
    if tick is None:
        return
    snapshot, decision = tick.snapshot, tick.decision
    for guest, decided in zip(snapshot.guests, decision.guests, strict=True):
        settings = snapshot.settings.get(guest.name)
        yield Row(
            name=guest.name,
            now_s=snapshot.now_s,
            seen=guest,
            decided=decided,
            settings=settings if settings is not None and settings.enabled else None,
            state=decision.state.guests[guest.name],
            account=seen.accounts[guest.name],
            policy=tick.policy,
        )


def _label(name: str) -> str:
    """Make a name that is no UTF-8 (a socket's file may have any) one that can be written."""
    return name if name.isascii() else name.encode(errors="backslashreplace").decode()
