-- KEYS: claim. ARGV: deadline, now, digest.
local claim = redis.call('HMGET', KEYS[1], 'd', 't')
local attempts = tonumber(claim[2] or 0)
-- A claim with a negative number of attempts is held. Another one may have its key by now.
if attempts < 0 and claim[1] == ARGV[3] then
  redis.call('HSET', KEYS[1], 't', -attempts)
end
return 1
