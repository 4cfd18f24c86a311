-- KEYS: followers. ARGV: deadline, now. Returns name and report of each follower in turn, also of those that do not count
-- any more.
return redis.call('HGETALL', KEYS[1])
