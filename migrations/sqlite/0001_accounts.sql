-- What lasts: users, their projects and their API keys.
-- Ids are the sixteen bytes of a UUID; moments are milliseconds since 1970; lists are JSON arrays of text.

CREATE TABLE users (
    -- AUTOINCREMENT: the number of a deleted user is never given to another.
    number               INTEGER PRIMARY KEY AUTOINCREMENT,
    id                   BLOB    NOT NULL UNIQUE,
    email                TEXT    NOT NULL UNIQUE,
    username             TEXT,
    username_key         TEXT    UNIQUE,
    full_name            TEXT,
    password_hash        TEXT,
    verified             INTEGER NOT NULL,
    disabled             INTEGER NOT NULL,
    superuser            INTEGER NOT NULL,
    roles                TEXT    NOT NULL,
    -- The second factor, where it is on: its sealed secret, the last time step that was used, and the hashes of the recovery
    -- codes that were not, as a JSON object by their ids. In the row and not in a table of their own, so that no change of
    -- the factor leaves another's codes behind.
    totp                 BLOB,
    totp_step            INTEGER,
    recovery_codes       TEXT,
    token_balance        INTEGER NOT NULL DEFAULT 0 CHECK (token_balance >= 0),
    tokens_used          INTEGER NOT NULL DEFAULT 0 CHECK (tokens_used >= 0),
    subscription_tier    TEXT,
    sessions_valid_after INTEGER NOT NULL,
    created_at           INTEGER NOT NULL,
    updated_at           INTEGER NOT NULL
) STRICT;

-- Whose sessions were ended and when, in that order: what a node reads so that no failover of Redis brings one back. In it are
-- the few for whom that ever happened.
CREATE INDEX users_by_ending ON users (sessions_valid_after, id) WHERE sessions_valid_after > created_at;

-- Who has a second factor: what is read when the secrets are sealed anew.
CREATE INDEX users_with_totp ON users (number) WHERE totp IS NOT NULL;

-- Users who are gone, for as long as a session of theirs could come back.
CREATE TABLE deleted_users (
    id         BLOB    PRIMARY KEY,
    deleted_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX deleted_users_by_moment ON deleted_users (deleted_at, id);

CREATE TABLE projects (
    id         BLOB    NOT NULL UNIQUE,
    user_id    BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name       TEXT    NOT NULL,
    personal   INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE INDEX projects_of_user ON projects (user_id, personal DESC, created_at);
CREATE UNIQUE INDEX one_personal_project ON projects (user_id) WHERE personal = 1;

CREATE TABLE api_keys (
    id             BLOB    NOT NULL UNIQUE,
    project_id     BLOB    NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    user_id        BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    prefix         TEXT    NOT NULL UNIQUE,
    digest         BLOB    NOT NULL CHECK (length(digest) = 32),
    name           TEXT    NOT NULL,
    scopes         TEXT    NOT NULL,
    last_used_at   INTEGER,
    expires_at     INTEGER,
    deactivated_at INTEGER,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL
) STRICT;

CREATE INDEX api_keys_of_project ON api_keys (project_id, created_at DESC, id DESC);
CREATE INDEX api_keys_of_user ON api_keys (user_id);
