-- KEYS: index, and what stands before the id in a session's key (the same slot: the tag is in it). ARGV: deadline, now.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local found = {}
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local s = redis.call('HMGET', KEYS[2] .. id, 'c', 'o', 'u', 'r', 'i', 'e', 'd', 'a', 'g', 'p', 'x')
  if not s[1] or math.min(tonumber(s[6]), tonumber(s[4]) + tonumber(s[5])) <= now then
    redis.call('ZREM', KEYS[1], id)
  elseif not s[11] then
    found[#found + 1] = {id, unpack(s, 1, 10)}
  end
end
return found
