"""What a scraper reads: the text that is served, parsed by Prometheus's own client."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from barostat.service.metrics import Metrics

__all__ = ["Scrape"]


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
