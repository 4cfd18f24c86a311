-- KEYS: revocations. ARGV: deadline, before.
redis.call('XTRIM', KEYS[1], 'MINID', '=', string.format('%.0f', now))
return 1
