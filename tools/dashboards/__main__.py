"""Write the dashboards into deploy/grafana, or into the folder that is named."""

from __future__ import annotations

import sys
from pathlib import Path

from tools.dashboards import fleet, host
from tools.dashboards.grafana import Variable, dashboard, written

FOLDER = Path(__file__).parent.parent.parent / "deploy" / "grafana"

INSTANCES = "label_values(barostat_build_info, instance)"
VMS = 'label_values(barostat_dynamic_memory_vm_physical_bytes{instance="$instance"}, vm)'

DASHBOARDS = {
    "barostat-host.json": dashboard(
        "Barostat: a host",
        uid="barostat-host",
        rows=host.ROWS,
        variables=(Variable("instance", "Host", INSTANCES), Variable("vm", "VM", VMS)),
    ),
    "barostat-fleet.json": dashboard(
        "Barostat: fleet",
        uid="barostat-fleet",
        rows=fleet.ROWS,
        variables=(Variable("instance", "Hosts", INSTANCES, many=True),),
    ),
}


def main(folder: Path = FOLDER) -> None:
    """Write them."""
    for name, content in DASHBOARDS.items():
        (folder / name).write_text(written(content))
        print(f"written: {folder / name}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
