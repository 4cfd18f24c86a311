-- KEYS: day. ARGV: deadline, now, attempts a day. Returns the milliseconds until the next attempt is allowed, 0 if this
-- one is.
local attempts, day_ends = read_attempts(KEYS[1])
if attempts >= tonumber(ARGV[3]) then
  return day_ends - now
end
write_attempts(KEYS[1], attempts + 1, day_ends)
return 0
