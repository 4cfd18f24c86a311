-- KEYS: limit. ARGV: deadline, now, microseconds between permits, burst. Returns the milliseconds until the next
-- permit, 0 if this one is granted.
return take(KEYS[1], tonumber(ARGV[3]), tonumber(ARGV[4]))
