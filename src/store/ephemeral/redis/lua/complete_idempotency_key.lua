-- KEYS: idempotency key. ARGV: deadline, now, fingerprint, response, expires_at.
local fingerprint = redis.call('HGET', KEYS[1], 'f')
if fingerprint and fingerprint ~= ARGV[3] then
  return 0
end
redis.call('HSET', KEYS[1], 'f', ARGV[3], 'r', ARGV[4], 'e', ARGV[5])
redis.call('PEXPIRE', KEYS[1], math.max(tonumber(ARGV[5]) - now, 1))
return 1
