-- KEYS: claim. ARGV: deadline, now, digest, payload, tries, expires_at.
redis.call('HSET', KEYS[1], 'd', ARGV[3], 'p', ARGV[4], 't', ARGV[5], 'e', ARGV[6])
tidy(KEYS[1], tonumber(ARGV[6]))
return 1
