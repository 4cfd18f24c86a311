-- What the services that follow the published revocation feed report of themselves.

CREATE TABLE followers (
    name        TEXT    NOT NULL PRIMARY KEY,
    epoch       TEXT    NOT NULL,
    position    TEXT    NOT NULL,
    jwks        TEXT    NOT NULL,
    complete_at INTEGER NOT NULL,
    reported_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
