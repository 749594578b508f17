"""How long what is kept, and how seconds become longer samples.

Samples are rolled up by SQL from the next finer ones, the running period too, so that every period
can be read up to the last 10 s; doing it twice changes nothing. What is too old goes at the same
time, a little at a time.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

__all__ = ["DAY_S", "GUEST_MEANS", "HOST_MEANS", "STEPS", "Step", "forget", "roll_up"]

HOUR_S: Final = 3600
DAY_S: Final = 24 * HOUR_S
YEAR_AND_A_MONTH_S: Final = 400 * DAY_S
"""So that a month can be compared with the same one of the year before."""


@dataclass(frozen=True, slots=True)
class Step:
    """Samples of `step_s` seconds, kept for `kept_s`."""

    step_s: int
    kept_s: int


STEPS: Final = (
    Step(1, HOUR_S),  # what is looked into while it happens
    Step(10, DAY_S),  # what happened last night
    Step(300, YEAR_AND_A_MONTH_S),
)

DECISIONS_KEPT_S: Final = 90 * DAY_S
"""Who took whose memory is asked the next day, or weeks later when somebody was on holiday."""

AUDIT_KEPT_S: Final = YEAR_AND_A_MONTH_S

GUEST_MEANS: Final = """
    sum(looks) AS looks, max(status) AS status,
    sum(assigned_kib * looks) / sum(looks) AS assigned_kib,
    min(coalesce(assigned_min_kib, assigned_kib)) AS assigned_min_kib,
    max(coalesce(assigned_max_kib, assigned_kib)) AS assigned_max_kib,
    sum(demand_kib * looks) / sum(looks) FILTER (WHERE demand_kib IS NOT NULL) AS demand_kib,
    max(coalesce(demand_max_kib, demand_kib)) AS demand_max_kib,
    max(coalesce(pressure_max, demand_kib * 1000 / max(assigned_kib, 1))) AS pressure_max,
    sum(available_kib * looks) / sum(looks) FILTER (WHERE available_kib IS NOT NULL)
        AS available_kib,
    min(coalesce(available_min_kib, available_kib)) AS available_min_kib,
    sum(coalesce(target_kib, assigned_kib) * looks) / sum(looks) AS target_kib,
    sum(balloon_kib * looks) / sum(looks) AS balloon_kib,
    sum(plugged_kib * looks) / sum(looks) AS plugged_kib,
    sum(coalesce(promised_kib, assigned_kib) * looks) / sum(looks) AS promised_kib
"""
"""One sample of many, with every value said: what is not said of one is as the table has it."""

HOST_MEANS: Final = """
    sum(looks) AS looks, max(tier) AS tier,
    sum(capacity_kib * looks) / sum(looks) AS capacity_kib,
    sum(promised_kib * looks) / sum(looks) AS promised_kib,
    sum(in_hand_kib * looks) / sum(looks) AS in_hand_kib,
    min(coalesce(in_hand_min_kib, in_hand_kib)) AS in_hand_min_kib,
    sum(pool_kib * looks) / sum(looks) AS pool_kib
"""

ROLL_UP_GUESTS: Final = f"""
INSERT OR REPLACE INTO sample
SELECT :step, bucket, guest, looks, status,
    assigned_kib, nullif(assigned_min_kib, assigned_kib), nullif(assigned_max_kib, assigned_kib),
    demand_kib, nullif(demand_max_kib, demand_kib),
    nullif(pressure_max, demand_kib * 1000 / max(assigned_kib, 1)),
    available_kib, nullif(available_min_kib, available_kib), nullif(target_kib, assigned_kib),
    balloon_kib, plugged_kib, nullif(promised_kib, assigned_kib)
FROM (
    SELECT at - at % :step AS bucket, guest, {GUEST_MEANS} FROM sample
    WHERE step = :finer AND at >= :first AND at < :end
    GROUP BY bucket, guest
)
"""  # noqa: S608 - our own

ROLL_UP_HOST: Final = f"""
INSERT OR REPLACE INTO host_sample
SELECT :step, bucket, looks, tier, capacity_kib, promised_kib,
    in_hand_kib, nullif(in_hand_min_kib, in_hand_kib), pool_kib
FROM (
    SELECT at - at % :step AS bucket, {HOST_MEANS} FROM host_sample
    WHERE step = :finer AND at >= :first AND at < :end
    GROUP BY bucket
)
"""  # noqa: S608 - our own


def roll_up(database: sqlite3.Connection, *, first_s: int, last_s: int) -> None:
    """Bring the longer samples up to date with what was written from one second to another."""
    for finer, coarser in pairwise(STEPS):
        step_s = coarser.step_s
        period = {
            "finer": finer.step_s,
            "step": step_s,
            "first": first_s - first_s % step_s,
            "end": last_s - last_s % step_s + step_s,
        }
        database.execute(ROLL_UP_GUESTS, period)
        database.execute(ROLL_UP_HOST, period)


def forget(database: sqlite3.Connection, *, now_s: int) -> None:
    """Remove what is older than it is kept."""
    for step in STEPS:
        old = (step.step_s, now_s - step.kept_s)
        database.execute("DELETE FROM sample WHERE step = ? AND at < ?", old)
        database.execute("DELETE FROM host_sample WHERE step = ? AND at < ?", old)
    decided, changed = now_s - DECISIONS_KEPT_S, now_s - AUDIT_KEPT_S
    database.execute("DELETE FROM decision WHERE at_ms < ?", (decided * 1000,))
    database.execute("DELETE FROM audit WHERE at_ms < ?", (changed * 1000,))
    database.execute("DELETE FROM guest WHERE last_at < ?", (now_s - YEAR_AND_A_MONTH_S,))
