-- The floor's rotation: the least that any rotation of a refresh token asks of Redis, and nothing that Signet does beyond it
-- (no clock, no deadline, no reuse, no grace, no floor). The session is read by one HMGET, compared, written by one HSET, and it and its
-- place in the user's index are kept as long as it lives. Signet's present.lua does these six commands as well; what it does
-- more, and what of it travels, is its own cost and held against it.
-- KEYS: session, index. ARGV: counter, session id, now.
local s = redis.call('HMGET', KEYS[1], 'c', 'i', 'e', 'p')
if s[1] ~= ARGV[1] then
  return redis.error_reply('NOTINFORCE')
end
local now = tonumber(ARGV[3])
local counter = tonumber(s[1]) + 1
local ends = math.min(tonumber(s[3]), now + tonumber(s[2]))
redis.call('HSET', KEYS[1], 'c', counter, 'u', now, 'r', now)
redis.call('PEXPIRE', KEYS[1], ends - now)
redis.call('ZADD', KEYS[2], ends, ARGV[2])
redis.call('PEXPIRE', KEYS[2], ends - now)
return {counter, ends, s[4]}
