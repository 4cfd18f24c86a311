-- KEYS: index, prefix of session keys. ARGV: deadline, now, claims, custom claims. Returns the number of open sessions.
-- Writes only to open sessions: a missing record that HSET created would have no TTL, and an ended one is about to be
-- deleted.
local open = 0
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local key = KEYS[2] .. id
  local s = redis.call('HMGET', key, 'r', 'i', 'e', 'x')
  if s[1] and not s[4] and math.min(tonumber(s[3]), tonumber(s[1]) + tonumber(s[2])) > now then
    if ARGV[4] == '' then
      redis.call('HSET', key, 'p', ARGV[3])
      redis.call('HDEL', key, 'm')
    else
      redis.call('HSET', key, 'p', ARGV[3], 'm', ARGV[4])
    end
    open = open + 1
  end
end
return open
