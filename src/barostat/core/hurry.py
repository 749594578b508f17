"""Who cannot wait for its turn, seen in one look at it alone.

Between two ticks a guest is looked at by itself; whether that look is worth a decision out of turn
is said here, without a word about the others: what there is for it, and whose share of that is
left alone, `decide` finds out. So this may answer yes where nothing can be had, never no where
waiting would hurt.
"""

from __future__ import annotations

from barostat.core.assess import assess
from barostat.core.guest_state import GuestState
from barostat.core.ledger import held_bytes
from barostat.core.observation import GuestObservation
from barostat.core.policy import Policy
from barostat.core.settings import MemorySettings
from barostat.core.targets import in_plenty_bytes

__all__ = ["hurries"]


def hurries(
    guest: GuestObservation,
    settings: MemorySettings | None,
    previous: GuestState | None,
    *,
    now_s: float,
    tight: bool,
    policy: Policy,
) -> bool:
    """Say whether a guest needs more, at once, than it was promised already.

    Args:
        guest: as seen just now.
        settings: what its operator wants; None holds it at its size.
        previous: what the last decision remembered of it, None at first sight.
        now_s: the snapshot's clock.
        tight: memory was short at the last decision.
        policy: the numbers to act by.
    """
    item = assess(
        guest, settings, None, None, previous, now_s=now_s, held=False, tight=tight, policy=policy
    )
    line = item.line
    if line is None or not line.urgent:
        return False
    sizes, goal = item.sizes, item.state.wish.goal_bytes
    promised = held_bytes(sizes.actual_bytes, sizes.wished_bytes, goal)
    return line.within_reach(in_plenty_bytes(line)) - promised >= line.granularity_bytes
