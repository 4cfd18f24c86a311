-- Claims that an administrator gave a user: a JSON object. Sessions have a copy. Absent if there are none, and in rows that
-- an older build wrote.

ALTER TABLE users ADD COLUMN custom_claims TEXT;
ALTER TABLE sessions ADD COLUMN custom_claims TEXT;
