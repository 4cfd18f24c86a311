-- KEYS: session, index, sign-in mark, prefix of session keys, networks. ARGV: deadline, now, valid_after, session id,
-- the session's fields from `c` to `m`, maximum number of sessions, network, its ttl, maximum number of networks.
-- Returns 1 if the session was opened and 0 if not, then 1 if the network is new, and then the ids of sessions that were
-- ended for it. Those are marked as in end_sessions.lua, for the same reason.
local mark = redis.call('HMGET', KEYS[3], 'v', 'u')
if mark[1] and tonumber(mark[2]) > now and tonumber(mark[1]) > tonumber(ARGV[3]) then
  return {0}
end
local c, o, u, r, i, e = ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9], ARGV[10]
local expires_at = math.min(tonumber(e), tonumber(r) + tonumber(i))
redis.call('HSET', KEYS[1], 'c', c, 'o', o, 'u', u, 'r', r, 'i', i, 'e', e,
  'k', expires_at, 'd', ARGV[11], 'a', ARGV[12], 'g', ARGV[13], 'p', ARGV[14],
  't', ARGV[15])
if ARGV[16] ~= '' then
  redis.call('HSET', KEYS[1], 'm', ARGV[16])
end
set_ttl(KEYS[1], expires_at)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)

local reply, max_sessions = {1, remember(KEYS[5], ARGV[18], ARGV[19], ARGV[20])}, math.max(tonumber(ARGV[17]), 1)
if redis.call('ZCARD', KEYS[2]) >= max_sessions then
  local others = {}
  for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
    local s = redis.call('HMGET', KEYS[4] .. id, 'o', 'x', 'r', 'i', 'e')
    if not s[1] or not s[2] and math.min(tonumber(s[5]), tonumber(s[3]) + tonumber(s[4])) <= now then
      redis.call('ZREM', KEYS[2], id)
    elseif s[2] then
      reply[#reply + 1] = id
    else
      others[#others + 1] = {id, tonumber(s[1])}
    end
  end
  table.sort(others, function(one, other)
    return one[2] < other[2] or one[2] == other[2] and one[1] < other[1]
  end)
  for n = 1, #others + 1 - max_sessions do
    redis.call('HSET', KEYS[4] .. others[n][1], 'x', 'ended')
    reply[#reply + 1] = others[n][1]
  end
end
redis.call('ZADD', KEYS[2], expires_at, ARGV[4])
extend_index_ttl(KEYS[2], expires_at)
return reply
