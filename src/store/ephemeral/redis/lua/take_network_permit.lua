-- KEYS: networks, the network's limit. ARGV: deadline, now, network, ttl of a network, microseconds between permits,
-- burst. Returns 1 if the network is known and the permit is granted.
local signed_in_at = redis.call('ZSCORE', KEYS[1], ARGV[3])
if not signed_in_at or tonumber(signed_in_at) + tonumber(ARGV[4]) <= now then
  return 0
end
return take(KEYS[2], tonumber(ARGV[5]), tonumber(ARGV[6])) == 0 and 1 or 0
