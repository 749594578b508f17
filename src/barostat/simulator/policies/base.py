"""What a policy is to the simulator."""

from __future__ import annotations

from typing import Protocol

from barostat.simulator.world import World

__all__ = ["SizingPolicy"]


class SizingPolicy(Protocol):
    """Decides how large the guests of all hosts are, all hosts at once.

    A policy is made for one run and sees one `World` from its beginning to its end.
    """

    @property
    def name(self) -> str:
        """As `--policy` takes it."""
        ...

    @property
    def period_s(self) -> float:
        """How often it looks while something may change."""
        ...

    def act(self, world: World) -> float | None:
        """Look at all hosts, and ask guests for other sizes by `world.ask`.

        Returns:
            After how many seconds it wants to look again; None if nothing will change for it until
            the guests' demand does.
        """
        ...
