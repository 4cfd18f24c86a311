-- KEYS: session, index, mark. ARGV: deadline, now, valid_after, session id, then the session's fields from `c` to `p`.
local mark = redis.call('HMGET', KEYS[3], 'v', 'u')
if mark[1] and tonumber(mark[2]) > now and tonumber(mark[1]) > tonumber(ARGV[3]) then
  return 0
end
local c, o, u, r, i, e = ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9], ARGV[10]
local expires_at = math.min(tonumber(e), tonumber(r) + tonumber(i))
redis.call('HSET', KEYS[1], 'c', c, 'o', o, 'u', u, 'r', r, 'i', i, 'e', e,
  'd', ARGV[11], 'a', ARGV[12], 'g', ARGV[13], 'p', ARGV[14])
tidy(KEYS[1], expires_at)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
redis.call('ZADD', KEYS[2], expires_at, ARGV[4])
tidy_index(KEYS[2])
return 1
