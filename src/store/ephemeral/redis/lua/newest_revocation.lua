-- KEYS: revocations, stream epoch. ARGV: deadline, now. Returns the stream's identity and the id of its newest entry,
-- or an empty id if it has none.
local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
return {redis.call('GET', KEYS[2]) or '', newest[1] and newest[1][1] or ''}
