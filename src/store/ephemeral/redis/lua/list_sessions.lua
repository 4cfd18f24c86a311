-- KEYS: index, prefix of session keys (in the same slot, because the hash tag is in it). ARGV: deadline, now. Returns
-- id and fields of each open session, and removes the others from the index.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local sessions = {}
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local s = redis.call('HMGET', KEYS[2] .. id, 'c', 'o', 'u', 'r', 'i', 'e', 'd', 'a', 'g', 'p', 't', 'm', 'x')
  if not s[1] or math.min(tonumber(s[6]), tonumber(s[4]) + tonumber(s[5])) <= now then
    redis.call('ZREM', KEYS[1], id)
  elseif not s[13] then
    sessions[#sessions + 1] = {id, unpack(s, 1, 12)}
  end
end
return sessions
