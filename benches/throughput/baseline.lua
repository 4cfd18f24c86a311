-- The rotation of the baseline: the minimum that any rotation of a refresh token needs from Redis, without the
-- additions of Signet (no clock, no deadline, no reuse detection, no grace, no not-before time). One HMGET reads the
-- session, a comparison checks the counter, and one HSET writes it. rotate_refresh_tokens.lua makes these two calls as
-- well, reads the time, and sometimes extends the TTL of the record. All its additional work and bytes count as its own
-- cost. KEYS: session. ARGV: counter, now.
local s = redis.call('HMGET', KEYS[1], 'c', 'i', 'e', 'p')
if s[1] ~= ARGV[1] then
  return redis.error_reply('NOTCURRENT')
end
local now = tonumber(ARGV[2])
local counter = tonumber(s[1]) + 1
redis.call('HSET', KEYS[1], 'c', counter, 'u', now, 'r', now)
return {counter, math.min(tonumber(s[3]), now + tonumber(s[2])), s[4]}
