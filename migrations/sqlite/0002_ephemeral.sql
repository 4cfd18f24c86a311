-- What expires: sessions, claims, limits and revocations; and the sealed keyring.
-- Each table that is swept has an index by which the sweep finds what has expired without reading what has not.

CREATE TABLE sessions (
    id         BLOB    NOT NULL UNIQUE,
    user_id    BLOB    NOT NULL,
    counter    INTEGER NOT NULL,
    opened_at  INTEGER NOT NULL,
    used_at    INTEGER NOT NULL,
    rotated_at INTEGER NOT NULL,
    idle       INTEGER NOT NULL,
    ends_at    INTEGER NOT NULL,
    -- The first day on which the session is surely over. A day and not a moment, so that a rotation seldom moves it
    -- and the index is seldom written.
    sweep_on   INTEGER NOT NULL,
    dialect    TEXT    NOT NULL,
    address    TEXT    NOT NULL,
    agent      TEXT    NOT NULL,
    profile    TEXT    NOT NULL
) STRICT;

CREATE INDEX sessions_of_user ON sessions (user_id, opened_at DESC, id DESC);
CREATE INDEX sessions_to_sweep ON sessions (sweep_on);

-- Sign-ins that read an earlier `valid_after` from the user's row can no longer open a session.
CREATE TABLE sign_in_marks (
    user_id     BLOB    PRIMARY KEY,
    valid_after INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX sign_in_marks_to_sweep ON sign_in_marks (expires_at);

-- AUTOINCREMENT: a follower's place stays behind what comes, also when all before it was forgotten.
CREATE TABLE revocations (
    place        INTEGER PRIMARY KEY AUTOINCREMENT,
    kind         TEXT    NOT NULL,
    id           BLOB,
    before       INTEGER,
    until        INTEGER NOT NULL,
    published_at INTEGER NOT NULL
) STRICT;

CREATE INDEX revocations_to_forget ON revocations (published_at);

CREATE TABLE claims (
    subject    TEXT    NOT NULL,
    purpose    TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    digest     BLOB    NOT NULL,
    payload    BLOB    NOT NULL,
    tries_left INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (subject, purpose, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX claims_to_sweep ON claims (expires_at);

-- How many wrong tries a subject has had in the day that began with the first of them.
CREATE TABLE wrong_tries (
    subject    TEXT    PRIMARY KEY,
    tries      INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX wrong_tries_to_sweep ON wrong_tries (expires_at);

-- `full_at`: the moment, in microseconds, at which the limit allows a whole burst again.
CREATE TABLE limits (
    key      TEXT    PRIMARY KEY,
    full_at  INTEGER NOT NULL,
    -- The first hour in which the row surely says nothing; an hour for the same reason as the sessions' day.
    sweep_on INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX limits_to_sweep ON limits (sweep_on);

CREATE TABLE floor (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    at  INTEGER NOT NULL
) STRICT;

CREATE TABLE ring (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    version INTEGER NOT NULL,
    bytes   BLOB    NOT NULL
) STRICT;
