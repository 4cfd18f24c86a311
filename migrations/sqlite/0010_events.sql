-- Security events, in the list of the fleet (an empty scope) and in that of each user. `number` counts the events of one
-- class in one list, so that the oldest beyond the bound are found without counting.

CREATE TABLE events (
    place      INTEGER PRIMARY KEY AUTOINCREMENT,
    scope      BLOB    NOT NULL,
    is_attempt INTEGER NOT NULL,
    number     INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    event      TEXT    NOT NULL
) STRICT;

CREATE INDEX events_by_scope ON events (scope, is_attempt, place);
CREATE INDEX events_to_sweep ON events (expires_at);
