-- KEYS: claim. ARGV: deadline, now, digest, payload, attempts, expires_at.
redis.call('HSET', KEYS[1], 'd', ARGV[3], 'p', ARGV[4], 't', ARGV[5], 'e', ARGV[6])
-- The TTL is exact here: a caller whose clock is behind must not redeem the claim after its lifetime.
redis.call('PEXPIRE', KEYS[1], math.max(tonumber(ARGV[6]) - now, 1))
return 1
