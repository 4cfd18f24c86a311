-- KEYS: nodes. ARGV: deadline, now, node.
redis.call('HDEL', KEYS[1], ARGV[3])
return 1
