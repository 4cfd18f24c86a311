-- Users, their projects and their API keys.
--
-- Moments are bigint: milliseconds since 1970, UTC, as the program counts them. So they come back exactly, one more
-- millisecond is `+ 1`, and no session's time zone has a say. To read one: to_timestamp(created_at / 1000.0).
--
-- Addresses, username keys and prefixes are compared byte by byte (COLLATE "C"): the program has made them canonical, and an
-- index whose order hangs from the system's locale breaks when the system is upgraded.

CREATE TABLE users (
    id uuid PRIMARY KEY,
    number bigint GENERATED ALWAYS AS IDENTITY (CACHE 1) UNIQUE,
    email text COLLATE "C" NOT NULL UNIQUE,
    username text,
    username_key text COLLATE "C" UNIQUE,
    full_name text,
    password_hash text,
    verified boolean NOT NULL,
    disabled boolean NOT NULL,
    superuser boolean NOT NULL,
    roles text[] NOT NULL,
    -- The second factor, where it is on: its sealed secret, the last time step that was used, and the hashes of the recovery
    -- codes that were not, by their ids. In the row and not in a table of their own, so that no change of the factor leaves
    -- another's codes behind.
    totp bytea,
    totp_step bigint,
    recovery_codes jsonb,
    token_balance bigint NOT NULL DEFAULT 0 CHECK (token_balance >= 0),
    tokens_used bigint NOT NULL DEFAULT 0 CHECK (tokens_used >= 0),
    subscription_tier text,
    sessions_valid_after bigint NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
);

-- Whose sessions were ended and when, in that order: what a node reads so that no failover of Redis brings one back. In it are
-- the few for whom that ever happened.
CREATE INDEX users_by_ending ON users (sessions_valid_after, id) WHERE sessions_valid_after > created_at;

-- Who has a second factor: what is read when the secrets are sealed anew.
CREATE INDEX users_with_totp ON users (number) WHERE totp IS NOT NULL;

-- Users who are gone, for as long as a session of theirs could come back.
CREATE TABLE deleted_users (
    id uuid PRIMARY KEY,
    deleted_at bigint NOT NULL
);
CREATE INDEX deleted_users_by_moment ON deleted_users (deleted_at, id);

CREATE TABLE projects (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    name text NOT NULL,
    personal boolean NOT NULL,
    created_at bigint NOT NULL
);
CREATE INDEX projects_of_user ON projects (user_id);
CREATE UNIQUE INDEX one_personal_project ON projects (user_id) WHERE personal;

-- The time of last use changes often and is in no index: the room left in each page keeps such a change within it.
CREATE TABLE api_keys (
    id uuid PRIMARY KEY,
    project_id uuid NOT NULL REFERENCES projects ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    prefix text COLLATE "C" NOT NULL UNIQUE,
    digest bytea NOT NULL CHECK (length(digest) = 32),
    name text NOT NULL,
    scopes text[] NOT NULL,
    last_used_at bigint,
    expires_at bigint,
    deactivated_at bigint,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX api_keys_of_project ON api_keys (project_id, created_at DESC, id DESC);
CREATE INDEX api_keys_of_user ON api_keys (user_id);
