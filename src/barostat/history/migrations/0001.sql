-- Times are seconds (at) or milliseconds (at_ms) since 1970 UTC, sizes as their names say.

CREATE TABLE guest (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    first_at INTEGER NOT NULL,
    last_at INTEGER NOT NULL
);

-- One row is `step` seconds of one guest: looks counts the seconds in which it was looked at, a
-- plain name is their mean. NULL is what costs nothing: a lowest, highest, target or promised value
-- that equals its plain name or what is assigned, as most do; and a demand that nobody knows.
-- In order of time first, so that writing appends.
CREATE TABLE sample (
    step INTEGER NOT NULL,
    at INTEGER NOT NULL,
    guest INTEGER NOT NULL,
    looks INTEGER NOT NULL,
    status INTEGER NOT NULL,           -- the worst: 0 unknown, 1 OK, 2 Low, 3 Warning
    assigned_kib INTEGER NOT NULL,
    assigned_min_kib INTEGER,
    assigned_max_kib INTEGER,
    demand_kib INTEGER,
    demand_max_kib INTEGER,
    pressure_max INTEGER,              -- demand over assigned, in thousandths
    available_kib INTEGER,
    available_min_kib INTEGER,
    target_kib INTEGER,
    balloon_kib INTEGER NOT NULL,
    plugged_kib INTEGER NOT NULL,
    promised_kib INTEGER,
    PRIMARY KEY (step, at, guest)
) WITHOUT ROWID;

CREATE TABLE host_sample (
    step INTEGER NOT NULL,
    at INTEGER NOT NULL,
    looks INTEGER NOT NULL,
    tier INTEGER NOT NULL,             -- the worst: 0 plenty, 1 buffers cut, 2 demand cut, 3 short
    capacity_kib INTEGER NOT NULL,
    promised_kib INTEGER NOT NULL,
    in_hand_kib INTEGER NOT NULL,
    in_hand_min_kib INTEGER,
    pool_kib INTEGER NOT NULL,
    PRIMARY KEY (step, at)
) WITHOUT ROWID;

-- Every move, with how it ended where that is known, and every change of the reason for none.
CREATE TABLE decision (
    at_ms INTEGER NOT NULL,
    guest INTEGER NOT NULL,
    kind TEXT NOT NULL,                -- a kind of move, or 'hold'
    from_bytes INTEGER NOT NULL,
    to_bytes INTEGER NOT NULL,
    by_balloon INTEGER NOT NULL,
    reasons TEXT NOT NULL,             -- JSON: [[code, {number: value}], ...]
    arrived INTEGER,
    ended_bytes INTEGER,
    took_ms INTEGER,
    error TEXT,
    PRIMARY KEY (at_ms, guest)
) WITHOUT ROWID;
CREATE INDEX decision_by_guest ON decision (guest, at_ms);

-- What decisions saw: a reel is a row that stands by itself and those that only say what changed.
CREATE TABLE film (
    id INTEGER PRIMARY KEY,
    reel INTEGER NOT NULL,             -- the id of the reel's first row
    at_ms INTEGER NOT NULL,
    data BLOB NOT NULL
);
CREATE INDEX film_by_time ON film (at_ms);

CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    who TEXT NOT NULL,
    origin TEXT NOT NULL,
    what TEXT NOT NULL,
    guest TEXT,
    before TEXT,                       -- JSON
    after TEXT
);
CREATE INDEX audit_by_time ON audit (at_ms);
