"""What a scraper reads: the text that is served, parsed by Prometheus's own client."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from barostat.host.accounts import Accounts
from barostat.host.brake import Stage
from barostat.host.host import HostReport
from barostat.host.memory import Memory
from barostat.service.metrics import Metrics
from barostat.units import GIB, MIB

__all__ = ["Scrape", "box"]


class Scrape:
    """One scrape. No series is there twice."""

    def __init__(self, metrics: Metrics) -> None:
        self.text = metrics.render().decode()
        self.types: dict[str, str] = {}
        self.values: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        for family in text_string_to_metric_families(self.text):
            self.types[family.name] = family.type
            for sample in family.samples:
                key = (sample.name, frozenset(sample.labels.items()))
                assert key not in self.values
                self.values[key] = sample.value

    def get(self, name: str, **labels: str) -> float | None:
        """Say a series' value, None if there is no such series."""
        return self.values.get((name, frozenset(labels.items())))

    def __call__(self, name: str, **labels: str) -> float:
        """Say the value of a series that must be there."""
        return self.values[(name, frozenset(labels.items()))]

    def guests(self) -> set[str]:
        """Name all VMs that any series is of."""
        return {value for _, labels in self.values for label, value in labels if label == "vm"}


def box() -> HostReport:
    """A box that is seen, with a figure for all that can be."""
    accounts = Accounts(
        capacity_bytes=8 * GIB,
        reserve_bytes=2 * GIB,
        overhead_bytes=GIB,
        foreign_bytes=3 * GIB,
        hugetlb_bytes=4 * GIB,
    )
    return HostReport(
        seen_at_s=100.0,
        memory=Memory(total_bytes=18 * GIB, available_bytes=5 * GIB, stall_ratio=0.25),
        accounts=accounts,
        stage=Stage.HOLDING,
        wanted_back_bytes=MIB,
        swap_out_bytes_per_s=7.0,
        outside_bytes=GIB,
        vms=2,
        foreign=("other",),
        unfit={},
        alarms=(),
    )
