-- Administrators list the users who are disabled, or whose address was never verified, the newest first. Both are few among
-- many.

CREATE INDEX users_disabled ON users (number) WHERE disabled;
CREATE INDEX users_unverified ON users (number) WHERE NOT verified;
