"""The dashboard of one host: who has its memory, who needs it, and how one VM does."""

from __future__ import annotations

from tools.dashboards.panels import (
    BALANCER,
    BYTES,
    GREEN,
    HOST,
    NUMBER,
    ONE,
    PRESSURE,
    RATE,
    RATIO,
    RED,
    SECONDS,
    SOME_IS_BAD,
    STATUS_COLOURS,
    VM,
    Panel,
    Row,
    stat,
    status_number,
)

__all__ = ["ROWS"]

ROWS = (
    Row(
        title="Now",
        panels=(
            stat(
                "Average pressure",
                "The mean demand over assigned of all VMs that Dynamic Memory is on for. "
                "With all of a buffer of 20 % it is 83 %.",
                f"{BALANCER}_average_pressure_ratio{HOST}",
                unit=RATIO,
                thresholds=PRESSURE,
            ),
            stat(
                "System pressure",
                "What all VMs need over what may be handed out. Above 100 % the host is too small.",
                f"{BALANCER}_system_current_pressure_ratio{HOST}",
                unit=RATIO,
                thresholds=PRESSURE,
            ),
            stat(
                "Available for balancing",
                "What may still be given without touching the pool.",
                f"{BALANCER}_available_memory_for_balancing_bytes{HOST}",
                unit=BYTES,
            ),
            stat(
                "VMs in Warning",
                "They need more than they have; their kernels page.",
                'instance:barostat_dynamic_memory_vm_status:sum{instance="$instance", '
                'status="Warning"}',
                thresholds=SOME_IS_BAD,
            ),
            stat(
                "Host brakes",
                "1: no VM grows, or VMs give back, because the host itself is short.",
                'sum(barostat_host_brake{instance="$instance", stage!="free"})',
                thresholds=SOME_IS_BAD,
            ),
            stat(
                "Last pass",
                "How long ago the VMs were last looked at.",
                f"time() - barostat_last_tick_timestamp_seconds{HOST}",
                unit=SECONDS,
                thresholds=((None, GREEN), (30, RED)),
            ),
        ),
    ),
    Row(
        title="Memory",
        panels=(
            Panel(
                title="Who has it",
                about="What each VM has, stacked, and what is in hand on top; capacity as a line.",
                queries={
                    "{{vm}}": f"{VM}_physical_bytes{HOST}",
                    "in hand": f"{BALANCER}_available_memory_bytes{HOST}",
                    "capacity": f"barostat_ledger_capacity_bytes{HOST}",
                },
                unit=BYTES,
                size=(16, 10),
                stacked=True,
                lines=("capacity",),
            ),
            Panel(
                title="VMs by status",
                about="OK, Low, Warning and Paging; those without Dynamic Memory have none.",
                queries={"{{status}}": f"instance:barostat_dynamic_memory_vm_status:sum{HOST}"},
                size=(8, 10),
                stacked=True,
                colours=STATUS_COLOURS,
            ),
            Panel(
                title="VMs",
                about="As `barostat list` shows them.",
                kind="table",
                by="vm",
                queries={
                    "status": status_number("vm", 'instance="$instance"'),
                    "assigned": f"sum by (vm) ({VM}_physical_bytes{HOST})",
                    "demand": f"sum by (vm) ({VM}_demand_bytes{HOST})",
                    "pressure": f"sum by (vm) ({VM}_pressure_current_ratio{HOST})",
                    "target": f"sum by (vm) (barostat_vm_target_bytes{HOST})",
                    "minimum": f"sum by (vm) (barostat_vm_minimum_bytes{HOST})",
                    "maximum": f"sum by (vm) (barostat_vm_maximum_bytes{HOST})",
                },
                unit=BYTES,
                units={"pressure": RATIO, "status": NUMBER},
                size=(24, 10),
            ),
        ),
    ),
    Row(
        title="$vm",
        panels=(
            Panel(
                title="Assigned against demand",
                about="Between its minimum and its maximum.",
                queries={
                    "assigned": f"{VM}_physical_bytes{ONE}",
                    "demand": f"{VM}_demand_bytes{ONE}",
                    "target": f"barostat_vm_target_bytes{ONE}",
                    "minimum": f"barostat_vm_minimum_bytes{ONE}",
                    "maximum": f"barostat_vm_maximum_bytes{ONE}",
                },
                unit=BYTES,
                size=(12, 9),
            ),
            Panel(
                title="Pressure and its band",
                about="Between minimum and maximum the VM is left alone.",
                queries={
                    "pressure": f"{VM}_pressure_current_ratio{ONE}",
                    "minimum": f"{VM}_pressure_minimum_ratio{ONE}",
                    "maximum": f"{VM}_pressure_maximum_ratio{ONE}",
                },
                unit=RATIO,
                size=(12, 9),
            ),
            Panel(
                title="What the guest sees",
                about="Its own available memory; the most it could see since it booted.",
                queries={
                    "available": f"{VM}_guest_available_bytes{ONE}",
                    "visible": f"{VM}_guest_visible_physical_memory_bytes{ONE}",
                },
                unit=BYTES,
            ),
            Panel(
                title="Added and removed",
                about="A second, as it was seen.",
                queries={
                    "added": f"rate({VM}_added_bytes_total{ONE}[$__rate_interval])",
                    "removed": f"-rate({VM}_removed_bytes_total{ONE}[$__rate_interval])",
                },
                unit=RATE,
            ),
            Panel(
                title="Operations",
                about="A minute. An operation counts when it ends and moved something.",
                queries={
                    "add": f"60 * rate({VM}_add_operations_total{ONE}[$__rate_interval])",
                    "remove": f"60 * rate({VM}_remove_operations_total{ONE}[$__rate_interval])",
                    "unasked": f"60 * rate(barostat_vm_strays_total{ONE}[$__rate_interval])",
                },
            ),
        ),
    ),
    Row(
        title="The host and the loop",
        panels=(
            Panel(
                title="Where the host's memory goes",
                about="What is not for VMs, stacked, and what may be handed out.",
                queries={
                    "reserve": f"barostat_host_reserve_bytes{HOST}",
                    "overhead": f"barostat_host_overhead_bytes{HOST}",
                    "other VMs": f"barostat_host_foreign_bytes{HOST}",
                    "hugepages": f"barostat_host_hugetlb_bytes{HOST}",
                    "capacity": f"barostat_ledger_capacity_bytes{HOST}",
                    "available": f"barostat_host_available_bytes{HOST}",
                },
                unit=BYTES,
                stacked=True,
                lines=("available",),
            ),
            Panel(
                title="Pool",
                about="In hand should stay above what the pool should hold.",
                queries={
                    "in hand": f"barostat_ledger_in_hand_bytes{HOST}",
                    "set aside for VMs that start": f"barostat_set_aside_bytes{HOST}",
                    "pool": f"barostat_ledger_pool_bytes{HOST}",
                    "wanted back": f"barostat_host_wanted_back_bytes{HOST}",
                },
                unit=BYTES,
            ),
            Panel(
                title="Stalls and swapping of the host",
                about="The share of time in which something waited for memory; bytes swapped out.",
                queries={
                    "stalls": f"barostat_host_stall_ratio{HOST}",
                    "swap out": f"barostat_host_swap_out_bytes_per_second{HOST}",
                },
                units={"stalls": RATIO, "swap out": RATE},
            ),
            Panel(
                title="VMs left at their sizes, by reason",
                about="The codes are those of docs/reference/reasons.md.",
                queries={"{{reason}}": f"barostat_held_vms{HOST} > 0"},
                stacked=True,
            ),
            Panel(
                title="Alarms, by reason",
                about="Nothing is good.",
                queries={"{{reason}}": f"barostat_alarms{HOST} > 0"},
                stacked=True,
            ),
            Panel(
                title="Duration of a pass (95 %)",
                about="It comes once a second.",
                queries={
                    "{{part}}": "histogram_quantile(0.95, sum by (part, le) ("
                    f"rate(barostat_tick_duration_seconds_bucket{HOST}[$__rate_interval])))"
                },
                unit=SECONDS,
            ),
            Panel(
                title="How deep VMs are seen into",
                about="static: not at all; balloon: by statistics; qga, agent: by a program in it.",
                queries={"{{depth}}": f"sum by (depth) (barostat_vm_depth{HOST})"},
                stacked=True,
            ),
            Panel(
                title="Out of turn",
                about="A second: looks at VMs that could soon be short, and passes for those that "
                "were.",
                queries={
                    "looks": f"rate(barostat_looks_total{HOST}[$__rate_interval])",
                    "passes": f"rate(barostat_hurried_passes_total{HOST}[$__rate_interval])",
                },
            ),
            Panel(
                title="VMs seen less deep",
                about="An hour: who spoke in them fell silent, or is not believed any more.",
                queries={"{{vm}}": f"topk(5, increase(barostat_vm_demotions_total{HOST}[1h])) > 0"},
            ),
            Panel(
                title="Silence",
                about="How long VMs, or their hypervisors, have said nothing.",
                queries={
                    "{{vm}} statistics": f"topk(5, barostat_vm_statistics_age_seconds{HOST})",
                    "{{vm}} hypervisor": f"topk(5, barostat_vm_seen_age_seconds{HOST})",
                },
                unit=SECONDS,
                size=(12, 8),
            ),
            Panel(
                title="VMs that do not do as they are asked",
                about="How often in a row, while they are left to rest for it.",
                queries={"{{vm}}": f"barostat_vm_failed_wishes{HOST} > 0"},
                size=(12, 8),
            ),
        ),
    ),
)
