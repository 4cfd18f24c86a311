-- KEYS: day. ARGV: deadline, now.
local tries, day_ends = tries_of(KEYS[1])
if tries > 0 then
  keep_tries(KEYS[1], tries - 1, day_ends)
end
return 1
