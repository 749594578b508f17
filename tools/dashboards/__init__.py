"""Grafana's dashboards, made from code: `python -m tools.dashboards` writes them.

They need nothing but a Prometheus with the rules of deploy/prometheus.
"""
