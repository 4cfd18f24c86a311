-- KEYS: revocations. ARGV: deadline, time before which entries are deleted.
redis.call('XTRIM', KEYS[1], 'MINID', '=', string.format('%.0f', now))
return 1
