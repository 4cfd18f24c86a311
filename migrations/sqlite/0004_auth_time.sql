-- When the user authenticated. Absent in sessions that an older build opened: they authenticated at `opened_at`.

ALTER TABLE sessions ADD COLUMN auth_time INTEGER;
