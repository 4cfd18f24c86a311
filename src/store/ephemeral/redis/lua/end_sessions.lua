-- KEYS: index, prefix of session keys, sign-in mark, networks. ARGV: deadline, now, scope, session id, valid_after.
-- With valid_after, forgets the networks: someone who knew the old password may have signed in from them. Marks the
-- sessions as ended but keeps their records. delete_sessions.lua deletes them only after their revocations are
-- published, so that a caller whose publishing failed finds them again. Returns the latest time at which any of them
-- was opened or had tokens issued, and then their ids.
if ARGV[5] ~= '' then
  local valid_after = tonumber(redis.call('HGET', KEYS[3], 'v') or ARGV[5])
  redis.call('HSET', KEYS[3], 'v', string.format('%.0f', math.max(valid_after, tonumber(ARGV[5]))), 'u', now + 600000)
  set_ttl(KEYS[3], now + 600000)
  redis.call('DEL', KEYS[4])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local ids = {ARGV[4]}
if ARGV[3] ~= 'one' then
  ids = redis.call('ZRANGE', KEYS[1], 0, -1)
end
local reply = {now}
for _, id in ipairs(ids) do
  local key = KEYS[2] .. id
  local s = redis.call('HMGET', key, 'u', 'r', 'i', 'e', 'l', 'x', 'o')
  local excluded = ARGV[3] == 'others' and id == ARGV[4]
  if s[1] and not excluded and math.min(tonumber(s[4]), tonumber(s[2]) + tonumber(s[3])) > now then
    if not s[6] then
      redis.call('HSET', key, 'x', 'ended')
    end
    reply[1] = math.max(reply[1], tonumber(s[1]), tonumber(s[5] or 0), tonumber(s[7]))
    reply[#reply + 1] = id
  end
end
return reply
