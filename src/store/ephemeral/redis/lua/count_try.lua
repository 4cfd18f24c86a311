-- KEYS: day. ARGV: deadline, now, tries a day. Answers after how many milliseconds to come back.
local tries, day_ends = tries_of(KEYS[1])
if tries >= tonumber(ARGV[3]) then
  return day_ends - now
end
keep_tries(KEYS[1], tries + 1, day_ends)
return 0
