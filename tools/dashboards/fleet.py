"""The dashboard of a fleet: which host has memory, and which needs it."""

from __future__ import annotations

from tools.dashboards.panels import (
    BALANCER,
    BYTES,
    HOSTS,
    NUMBER,
    RATE,
    RATIO,
    SOME_IS_BAD,
    STATUS_COLOURS,
    VM,
    Panel,
    Row,
    stat,
)

__all__ = ["ROWS"]

ROWS = (
    Row(
        title="Now",
        panels=(
            stat("Hosts", "That answer.", "count(barostat_build_info)"),
            stat(
                "Hosts down",
                "Whose daemon does not answer.",
                'count(up{job="barostat"} == 0) or vector(0)',
                thresholds=SOME_IS_BAD,
            ),
            stat("VMs", "That are seen.", f"count({VM}_physical_bytes{HOSTS})"),
            stat(
                "VMs in Warning",
                "They need more than they have.",
                'sum(instance:barostat_dynamic_memory_vm_status:sum{instance=~"$instance", '
                'status="Warning"})',
                thresholds=SOME_IS_BAD,
            ),
            stat(
                "Hosts that brake",
                "They are themselves short of memory.",
                'sum(barostat_host_brake{instance=~"$instance", stage!="free"}) or vector(0)',
                thresholds=SOME_IS_BAD,
            ),
            stat(
                "Over-subscription",
                "The sum of all maximums over what there is to hand out.",
                f"sum(barostat_vm_maximum_bytes{HOSTS}) "
                f"/ sum(barostat_ledger_capacity_bytes{HOSTS})",
                unit=RATIO,
            ),
        ),
    ),
    Row(
        title="Hosts",
        panels=(
            Panel(
                title="Hosts",
                about="Who has memory, and who needs it.",
                kind="table",
                by="instance",
                queries={
                    "capacity": f"sum by (instance) (barostat_ledger_capacity_bytes{HOSTS})",
                    "in hand": f"sum by (instance) (barostat_ledger_in_hand_bytes{HOSTS})",
                    "demand": "sum by (instance) "
                    f"(instance:barostat_dynamic_memory_vm_demand_bytes:sum{HOSTS})",
                    "average pressure": "sum by (instance) "
                    f"({BALANCER}_average_pressure_ratio{HOSTS})",
                    "system pressure": "sum by (instance) "
                    f"({BALANCER}_system_current_pressure_ratio{HOSTS})",
                    "over-subscription": "sum by (instance) "
                    f"(instance:barostat_oversubscription:ratio{HOSTS})",
                    "VMs": f"count by (instance) ({VM}_physical_bytes{HOSTS})",
                    "VMs in Warning": "sum by (instance) ("
                    'instance:barostat_dynamic_memory_vm_status:sum{instance=~"$instance", '
                    'status="Warning"})',
                },
                unit=BYTES,
                units={
                    "average pressure": RATIO,
                    "system pressure": RATIO,
                    "over-subscription": RATIO,
                    "VMs": NUMBER,
                    "VMs in Warning": NUMBER,
                },
                size=(24, 10),
            ),
            Panel(
                title="Average pressure",
                about="Equal pressure on all hosts is what placement is for.",
                queries={"{{instance}}": f"{BALANCER}_average_pressure_ratio{HOSTS}"},
                unit=RATIO,
                size=(12, 9),
            ),
            Panel(
                title="System pressure",
                about="Above 100 % a host is too small for its VMs.",
                queries={"{{instance}}": f"{BALANCER}_system_current_pressure_ratio{HOSTS}"},
                unit=RATIO,
                size=(12, 9),
            ),
            Panel(
                title="In hand",
                about="What each host could still give.",
                queries={"{{instance}}": f"{BALANCER}_available_memory_bytes{HOSTS}"},
                unit=BYTES,
            ),
            Panel(
                title="Moved",
                about="What was added to VMs and removed from them.",
                queries={
                    "{{instance}}": f"instance:barostat_dynamic_memory_vm_moved_bytes:rate5m{HOSTS}"
                },
                unit=RATE,
            ),
            Panel(
                title="VMs by status",
                about="Of all hosts.",
                queries={
                    "{{status}}": "sum by (status) "
                    f"(instance:barostat_dynamic_memory_vm_status:sum{HOSTS})"
                },
                stacked=True,
                colours=STATUS_COLOURS,
            ),
        ),
    ),
)
