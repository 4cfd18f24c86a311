-- The floor's rotation: the least that any rotation of a refresh token asks of Redis, and nothing that Signet does beyond it
-- (no clock, no deadline, no reuse, no grace, no floor). The session is read by one HMGET, compared, and written by one HSET. Signet's
-- present.lua does these two as well, asks for the time, and now and then puts the record's own end further off; what it does
-- more, and what of it travels, is its own cost and held against it.
-- KEYS: session. ARGV: counter, now.
local s = redis.call('HMGET', KEYS[1], 'c', 'i', 'e', 'p')
if s[1] ~= ARGV[1] then
  return redis.error_reply('NOTINFORCE')
end
local now = tonumber(ARGV[2])
local counter = tonumber(s[1]) + 1
redis.call('HSET', KEYS[1], 'c', counter, 'u', now, 'r', now)
return {counter, math.min(tonumber(s[3]), now + tonumber(s[2])), s[4]}
