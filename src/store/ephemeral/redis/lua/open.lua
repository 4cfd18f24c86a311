-- KEYS: session, index, mark, what stands before the id in a session's key. ARGV: deadline, now, valid_after, session id,
-- then the session's fields from `c` to `p`, and how many sessions the user may have. Answers whether it was opened, and the
-- ids of those that were ended for it; they are marked as end.lua does it, and for the same reason.
local mark = redis.call('HMGET', KEYS[3], 'v', 'u')
if mark[1] and tonumber(mark[2]) > now and tonumber(mark[1]) > tonumber(ARGV[3]) then
  return {0}
end
local c, o, u, r, i, e = ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9], ARGV[10]
local expires_at = math.min(tonumber(e), tonumber(r) + tonumber(i))
redis.call('HSET', KEYS[1], 'c', c, 'o', o, 'u', u, 'r', r, 'i', i, 'e', e,
  'k', string.format('%.0f', expires_at), 'd', ARGV[11], 'a', ARGV[12], 'g', ARGV[13], 'p', ARGV[14])
tidy(KEYS[1], expires_at)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)

local answer, most = {1}, math.max(tonumber(ARGV[15]), 1)
if redis.call('ZCARD', KEYS[2]) >= most then
  local others = {}
  for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
    local s = redis.call('HMGET', KEYS[4] .. id, 'o', 'x', 'r', 'i', 'e')
    if not s[1] or not s[2] and math.min(tonumber(s[5]), tonumber(s[3]) + tonumber(s[4])) <= now then
      redis.call('ZREM', KEYS[2], id)
    elseif s[2] then
      answer[#answer + 1] = id
    else
      others[#others + 1] = {id, tonumber(s[1])}
    end
  end
  table.sort(others, function(one, other)
    return one[2] < other[2] or one[2] == other[2] and one[1] < other[1]
  end)
  for at = 1, #others + 1 - most do
    redis.call('HSET', KEYS[4] .. others[at][1], 'x', 'ended')
    answer[#answer + 1] = others[at][1]
  end
end
redis.call('ZADD', KEYS[2], expires_at, ARGV[4])
tidy_index(KEYS[2])
return answer
