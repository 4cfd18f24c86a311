-- KEYS: index, what stands before the id in a session's key. ARGV: deadline, now, profile. Answers how many were open.
-- Writes only to what is there and not over: a record that were made anew here would have no TTL, and one that waits for its
-- revocation is to be taken away.
local open = 0
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local key = KEYS[2] .. id
  local s = redis.call('HMGET', key, 'r', 'i', 'e', 'x')
  if s[1] and not s[4] and math.min(tonumber(s[3]), tonumber(s[1]) + tonumber(s[2])) > now then
    redis.call('HSET', key, 'p', ARGV[3])
    open = open + 1
  end
end
return open
