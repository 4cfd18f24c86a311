-- KEYS: nodes. ARGV: deadline, now, node, position, lifetime of a report in milliseconds. Times are by this server's
-- clock, because the clocks of nodes differ. The hash expires with its newest report.
redis.call('HSET', KEYS[1], ARGV[3], string.format('%.0f ', server_now) .. ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return 1
