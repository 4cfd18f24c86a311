-- KEYS: the requester's limit, the total. ARGV: deadline, now, microseconds between permits and burst of each. Returns
-- the milliseconds until the next permit of each, 0 for what is granted. A requester over its own limit takes nothing
-- from the total.
local wait = take(KEYS[1], tonumber(ARGV[3]), tonumber(ARGV[4]))
if wait > 0 then
  return {wait, 0}
end
return {0, take(KEYS[2], tonumber(ARGV[5]), tonumber(ARGV[6]))}
