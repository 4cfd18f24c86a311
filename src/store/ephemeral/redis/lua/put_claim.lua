-- KEYS: claim. ARGV: deadline, now, digest, payload, tries, expires_at.
redis.call('HSET', KEYS[1], 'd', ARGV[3], 'p', ARGV[4], 't', ARGV[5], 'e', ARGV[6])
-- To the millisecond: whatever clock it is asked for by, it is good no longer than whoever keeps it has said.
redis.call('PEXPIRE', KEYS[1], math.max(tonumber(ARGV[6]) - now, 1))
return 1
