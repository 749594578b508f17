"""Histories of days: the newest moment by the real writer, the days before it as it rolls them up.

To look at a host for a week takes 600,000 passes; the rows that these would come to are inserted.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from tests.unit.builders import guest
from tests.unit.history_world import NOON_S, Watched, looked

from barostat.core.settings import MemorySettings
from barostat.history.store import Store
from barostat.units import KIB, MIB

STEP_S = 300
DAY_ROWS = 86_400 // STEP_S


def record_days(
    path: Path,
    demands_mib: Mapping[str, Sequence[float]],
    *,
    capacity_mib: int = 8192,
    settings: Mapping[str, MemorySettings] | None = None,
) -> None:
    """Make a history that ends at NOON_S; the last demand of each VM is of the 5 min before it."""
    host = Watched(capacity=capacity_mib, settings=dict(settings or {}))
    with closing(Store(path)) as store:
        store.write([looked(host.look(*map(guest, demands_mib)), at_s=NOON_S - 1)])
    with closing(sqlite3.connect(path)) as database, database:
        for name, demands in demands_mib.items():
            _insert(database, name, demands)
        longest = max(map(len, demands_mib.values()))
        database.executemany(
            "INSERT INTO host_sample (step, at, looks, tier, capacity_kib, promised_kib, "
            "in_hand_kib, pool_kib) VALUES (?, ?, ?, 0, ?, 0, 0, 0)",
            [
                (STEP_S, NOON_S - ago * STEP_S, STEP_S, capacity_mib * 1024)
                for ago in range(1, longest + 1)
            ],
        )


def _insert(database: sqlite3.Connection, name: str, demands_mib: Sequence[float]) -> None:
    first_s = NOON_S - len(demands_mib) * STEP_S
    database.execute("UPDATE guest SET first_at = ? WHERE name = ?", (first_s, name))
    number = database.execute("SELECT id FROM guest WHERE name = ?", (name,)).fetchone()[0]
    rows = [
        (STEP_S, first_s + row * STEP_S, number, STEP_S, 1024 * MIB // KIB, int(demand * 1024))
        for row, demand in enumerate(demands_mib)
    ]
    database.executemany(
        "INSERT INTO sample (step, at, guest, looks, status, assigned_kib, demand_kib, "
        "balloon_kib, plugged_kib) VALUES (?, ?, ?, ?, 1, ?, ?, 0, 0)",
        rows,
    )
