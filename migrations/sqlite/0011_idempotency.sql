-- Requests with an `Idempotency-Key`, and the sealed responses of those that succeeded.

CREATE TABLE idempotency_keys (
    key         TEXT    NOT NULL PRIMARY KEY,
    fingerprint BLOB    NOT NULL,
    response    BLOB,
    expires_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_keys_to_sweep ON idempotency_keys (expires_at);
