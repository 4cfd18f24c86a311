-- KEYS: day. ARGV: deadline, now.
local attempts, day_ends = read_attempts(KEYS[1])
if attempts > 0 then
  write_attempts(KEYS[1], attempts - 1, day_ends)
end
return 1
