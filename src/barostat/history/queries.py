"""The questions that are asked of the history, in SQL; each is answered along an index.

A guest's samples lie among those of all others of the same second, because that is how they are
written: so they are picked one by one, along a grid of the times at which they must be.
"""

from __future__ import annotations

from typing import Final

from barostat.history.rollup import GUEST_MEANS, HOST_MEANS

__all__ = [
    "AUDITS",
    "DECISIONS",
    "DECISIONS_OF_GUEST",
    "FILM",
    "GUESTS",
    "GUEST_ID",
    "HOST_SAMPLES",
    "METERING",
    "OLDEST_FILM",
    "REEL",
    "SAMPLES",
]

GUEST_ID: Final = "SELECT id FROM guest WHERE name = ?"

GUESTS: Final = "SELECT name, first_at, last_at FROM guest ORDER BY name LIMIT ?"

SAMPLES: Final = f"""
WITH RECURSIVE grid (at) AS (
    VALUES (:first) UNION ALL SELECT at + :step FROM grid WHERE at + :step < :until
)
SELECT sample.at - sample.at % :width AS bucket, {GUEST_MEANS}
FROM grid CROSS JOIN sample
    ON sample.step = :step AND sample.at = grid.at AND sample.guest = :guest
GROUP BY bucket ORDER BY bucket
"""  # noqa: S608 - our own

HOST_SAMPLES: Final = f"""
SELECT at - at % :width AS bucket, {HOST_MEANS} FROM host_sample
WHERE step = :step AND at >= :first AND at < :until
GROUP BY bucket ORDER BY bucket
"""  # noqa: S608 - our own

METERING: Final = """
SELECT guest.name, sum(looks), sum(assigned_kib * looks) / sum(looks),
    min(coalesce(assigned_min_kib, assigned_kib)), max(coalesce(assigned_max_kib, assigned_kib))
FROM sample JOIN guest ON guest.id = sample.guest
WHERE step = :step AND at >= :since AND at < :until
GROUP BY guest.id ORDER BY guest.name
"""

_DECISION: Final = """
SELECT at_ms, guest.name, kind, from_bytes, to_bytes, by_balloon, reasons,
    arrived, ended_bytes, took_ms, error
FROM decision JOIN guest ON guest.id = decision.guest
WHERE at_ms >= :since AND at_ms < :until
"""
DECISIONS: Final = _DECISION + "ORDER BY at_ms DESC, guest.name DESC LIMIT :limit"
DECISIONS_OF_GUEST: Final = _DECISION + "AND guest.id = :guest ORDER BY at_ms DESC LIMIT :limit"

REEL: Final = "SELECT reel FROM film WHERE at_ms <= ? ORDER BY at_ms DESC, id DESC LIMIT 1"
FILM: Final = """
SELECT at_ms, data FROM film WHERE id BETWEEN :reel AND :reel + :most AND reel = :reel ORDER BY id
"""
OLDEST_FILM: Final = "SELECT min(at_ms) FROM film"

AUDITS: Final = """
SELECT at_ms, who, origin, what, guest, before, after FROM audit
WHERE at_ms >= :since AND at_ms < :until ORDER BY at_ms DESC, id DESC LIMIT :limit
"""
