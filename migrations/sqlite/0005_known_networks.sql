-- The networks that users signed in from, which have rate limits of their own.

CREATE TABLE known_networks (
    user_id    BLOB    NOT NULL,
    network    TEXT    NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, network)
) STRICT, WITHOUT ROWID;

CREATE INDEX known_networks_to_sweep ON known_networks (expires_at);
