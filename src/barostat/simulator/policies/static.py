"""Fixed sizes: what a host without Dynamic Memory does."""

from __future__ import annotations

from barostat.simulator.world import World

__all__ = ["Static"]


class Static:
    """Every VM keeps its startup: its share of the host, in proportion to its provisioned size."""

    name = "static"
    period_s = 60.0

    def act(self, world: World) -> float | None:
        """Ask nobody for anything."""
        del world
        return None
